//! Secrets are taken out of the text before any excerpt of it can be drawn.
//!
//! Two nets: the places that the schema calls secret, and, since a misspelt key or a file that is
//! not YAML has no schema, places that look like one.

use super::Span;
use regex::Regex;
use std::sync::LazyLock;

/// Which bytes of a document nobody may see.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Mask {
    spans: Vec<Span>,
}

/// Keys whose values are secrets wherever they stand.
static SECRET_KEY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)auth|token|secret|passw|pwd|credential|cookie|api[-_.]?key|access[-_.]?key|private[-_.]?key|signature",
    )
    .ok()
});

/// `key: value` on one line of a text that nobody could parse.
static SECRET_LINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?im)(?:auth|token|secret|passw|pwd|credential|cookie|api[-_.]?key|access[-_.]?key|private[-_.]?key|signature)[\w.-]*["']?\s*:[ \t]*([^\n]+)"#,
    )
    .ok()
});

/// The credentials of a URL.
static USERINFO: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"[a-zA-Z][a-zA-Z0-9+.-]*://([^\s"']*)@"#).ok());

/// Whether a key of this name holds a secret, whatever the schema says of its place.
pub(in crate::config) fn is_secret_key(key: &str) -> bool {
    SECRET_KEY.as_ref().is_some_and(|regex| regex.is_match(key))
}

impl Mask {
    /// Hides these bytes.
    pub(in crate::config) fn hide(&mut self, span: &Span) {
        self.spans.push(span.clone());
    }

    /// Hides what looks like a secret in a text that has no tree.
    pub(in crate::config) fn hide_lookalikes(&mut self, text: &str) {
        if let Some(regex) = SECRET_LINE.as_ref() {
            let values = regex.captures_iter(text).filter_map(|found| found.get(1));
            self.spans.extend(values.map(|value| value.range()));
        }
        self.hide_below_headers(text);
    }

    /// Hides what looks like a secret in comments: a value that was commented out has no schema.
    pub(in crate::config) fn hide_comments(&mut self, text: &str) {
        let comments = comments(text);
        let mut found = Self::default();
        // As it was before it was commented out: a mark less, at the same place.
        let mut uncommented = text.to_owned();
        for comment in &comments {
            uncommented.replace_range(comment.start..=comment.start, " ");
        }
        found.hide_below_headers(&uncommented);
        for comment in comments {
            let begun = found
                .spans
                .partition_point(|span| span.end <= comment.start);
            let below = found.spans.iter().skip(begun);
            let below = below.take_while(|span| span.start < comment.end);
            self.spans
                .extend(below.map(|span| span.start.max(comment.start + 1)..span.end));
            if let Some(regex) = SECRET_LINE.as_ref() {
                let own = text.get(comment.clone()).unwrap_or_default();
                let values = regex.captures_iter(own).filter_map(|found| found.get(1));
                let moved =
                    values.map(|one| comment.start + one.start()..comment.start + one.end());
                self.spans.extend(moved);
            }
        }
    }

    /// Hides everything below a `headers:` line by its indentation: export headers are secrets.
    fn hide_below_headers(&mut self, text: &str) {
        let mut headers_indent = None;
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let content = line.trim_start_matches([' ', '-']);
            let indent = line.len() - content.len();
            if headers_indent.is_some_and(|parent| indent <= parent) && !content.trim().is_empty() {
                headers_indent = None;
            }
            let value = content.find(':').map(|colon| offset + indent + colon + 1);
            let end = offset + line.trim_end().len();
            if content.starts_with("headers") {
                headers_indent = Some(indent);
            }
            if headers_indent.is_some()
                && let Some(start) = value
                && start < end
            {
                self.spans.push(start..end);
            } else if let Some(inline) = line.find("headers:") {
                self.spans.push(offset + inline + "headers:".len()..end);
            }
            offset += line.len();
        }
    }

    /// The text with every hidden byte drawn as `*`. Offsets stay as they are.
    pub(in crate::config) fn apply(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let userinfo = USERINFO.iter().flat_map(|regex| regex.captures_iter(text));
        let userinfo = userinfo.filter_map(|found| found.get(1).map(|one| one.range()));
        for span in self.spans.iter().cloned().chain(userinfo) {
            for byte in bytes.get_mut(span).into_iter().flatten() {
                if !byte.is_ascii_whitespace() {
                    *byte = b'*';
                }
            }
        }
        // A span that cuts a character in half would leave bytes that are no text.
        String::from_utf8(bytes).unwrap_or_else(|error| {
            String::from_utf8_lossy(error.as_bytes()).replace('\u{fffd}', "*")
        })
    }
}

/// Where comments are, from their mark to the end of their line. What only looks like one, in
/// quotes, is hidden no less.
fn comments(text: &str) -> Vec<Span> {
    let mut offset = 0;
    let mut comments = Vec::new();
    for line in text.split_inclusive('\n') {
        let mark = line.match_indices('#').map(|(at, _)| at).find(|at| {
            let before = line.get(..*at).unwrap_or_default();
            before.is_empty() || before.ends_with([' ', '\t'])
        });
        comments.extend(mark.map(|at| offset + at..offset + line.trim_end().len()));
        offset += line.len();
    }
    comments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_keeps_offsets_and_line_breaks() {
        let mut mask = Mask::default();
        mask.hide(&(3..9));

        let masked = mask.apply("k: ab\ncä\nd");

        assert_eq!(masked, "k: **\n***\nd");
    }

    #[track_caller]
    fn check_comments(text: &str, expected: &str) {
        let mut mask = Mask::default();
        mask.hide_comments(text);
        assert_eq!(mask.apply(text), expected);
    }

    #[test]
    fn what_was_commented_out_is_hidden_where_it_looks_like_a_secret() {
        check_comments(
            "# old\ntoken: a #ok\n  # token: hunter2\nb: c # password: hunter2\n\t# pwd: hunter2",
            "# old\ntoken: a #ok\n  # token: *******\nb: c # password: *******\n\t# pwd: *******",
        );
    }

    #[test]
    fn headers_that_were_commented_out_are_hidden() {
        // A block of them, with its mark in the first column, and with the block's own indentation.
        check_comments(
            "#export:\n#  - otlp:\n#      headers:\n#        x-team: hunter2\n#      timeout: 1s\na: b",
            "#export:\n#  - otlp:\n#      headers:\n#        x-team: *******\n#      timeout: 1s\na: b",
        );
        check_comments(
            "a:\n  # headers:\n  #   x-team: hunter2\n  # b: c\n",
            "a:\n  # headers:\n  #   x-team: *******\n  # b: c\n",
        );
        check_comments(
            "# headers: {x-team: hunter2}",
            "# headers: ******** ********",
        );
        // One of them, among others that are not, and what one was.
        check_comments(
            "headers:\n  x-a: {env: A} # hunter2\n  # x-team: hunter2\n#  x-b: hunter2\nb: c # d: e",
            "headers:\n  x-a: {env: A} # *******\n  # x-team: *******\n#  x-b: *******\nb: c # d: e",
        );
    }

    #[track_caller]
    fn check_text(text: &str, expected: &str) {
        assert_eq!(Mask::default().apply(text), expected);
    }

    #[test]
    fn credentials_of_a_url_are_hidden_everywhere() {
        check_text(
            "endpoints: [http://user:hunter2@host:1]",
            "endpoints: [http://************@host:1]",
        );
        check_text("url: redis://:pa/ss@cache", "url: redis://******@cache");
        check_text("url: redis://:p@ss@cache", "url: redis://*****@cache");
        check_text(
            "url: 'redis://:p?#ss@cache/1'",
            "url: 'redis://******@cache/1'",
        );
    }

    #[test]
    fn an_address_after_a_url_is_no_credential() {
        for text in [
            "see https://docs.example/limits or write to me@example.com",
            "{endpoint: 'http://collector:4318', contact: me@example.com}",
            "[\"http://a:1\",\"me@example.com\"]",
            "http://a\nme@example.com",
        ] {
            check_text(text, text);
        }
    }

    #[test]
    fn a_text_without_a_tree_hides_what_looks_like_a_secret() {
        let text = "a: [\n- otlp:\n    headers:\n      x-team: hunter2\n    client_secret: hunter2\n  headers: {a: hunter2\nb: seen\n";
        let mut mask = Mask::default();
        mask.hide_lookalikes(text);

        let masked = mask.apply(text);

        assert!(!masked.contains("hunter2"), "{masked}");
        assert!(masked.contains("b: seen"), "{masked}");
    }
}
