//! Paths: plain ones, and templates with captures.

use super::Misread;

/// Checks a path without captures: a prefix, or what a rewrite or redirect puts in its place.
pub(in crate::config) fn plain_path(text: &str) -> Result<&str, Misread> {
    rooted(text)?;
    if text.contains(['{', '}']) {
        return Err(Misread::new("this path takes no captures").label("plain text only"));
    }
    Ok(text)
}

/// Checks a template such as `/api/v1/orders/{order_id}`.
pub(in crate::config) fn template(text: &str) -> Result<&str, Misread> {
    rooted(text)?;
    let segments: Vec<&str> = text.split('/').skip(1).collect();
    let mut names: Vec<&str> = Vec::new();
    for (position, segment) in segments.iter().enumerate() {
        let Some(name) = capture(segment)? else { continue };
        let (name, rest) = match name.strip_suffix("...") {
            Some(name) => (name, true),
            None => (name, false),
        };
        if !is_capture_name(name) {
            return Err(Misread::new("a capture needs a name").label("letters, digits and `_`"));
        }
        if rest && position + 1 != segments.len() {
            return Err(Misread::new("`{name...}` takes all that is left").label("it stands last"));
        }
        if names.contains(&name) {
            return Err(Misread::new(format!("two captures are called `{name}`")));
        }
        names.push(name);
    }
    Ok(text)
}

/// The names of a template's captures, in order.
pub(in crate::config) fn captures(template: &str) -> impl Iterator<Item = &str> {
    let name = |segment: &'_ str| -> Option<&str> {
        let inner = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(inner.strip_suffix("...").unwrap_or(inner))
    };
    template.split('/').filter_map(name)
}

/// The inside of a segment that is a capture.
fn capture(segment: &str) -> Result<Option<&str>, Misread> {
    let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let braces = inner.unwrap_or(segment).contains(['{', '}']);
    if braces {
        return Err(Misread::new("a capture is a whole segment").label("such as `/{name}/`"));
    }
    Ok(inner)
}

fn is_capture_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(letters) && !name.starts_with(|one: char| one.is_ascii_digit())
}

/// Rules that all paths obey. A request's path is normalised before it is matched, so a path that
/// no normalised request can have would never match.
fn rooted(text: &str) -> Result<(), Misread> {
    if !text.starts_with('/') {
        return Err(Misread::new("a path starts with `/`"));
    }
    if text.contains(['?', '#']) {
        return Err(Misread::new("a path has no query and no fragment").help("match `query` beside it"));
    }
    if text.bytes().any(|byte| byte <= b' ' || byte >= 0x7f || byte == b'\\') {
        return Err(Misread::new("a path is written as in a request")
            .label("blanks and other letters percent-encoded"));
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Misread::new("`.` and `..` never reach a route").label("such requests get 400"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[&str]>) {
        let names = template(text).ok().map(|text| captures(text).collect::<Vec<_>>());
        assert_eq!(names.as_deref(), expected, "{text}");
    }

    #[test]
    fn captures_are_whole_segments_with_names_of_their_own() {
        check("/", Some(&[]));
        check("/api/v1/orders/{order_id}", Some(&["order_id"]));
        check("/{a}/b/{rest...}", Some(&["a", "rest"]));
    }

    #[test]
    fn a_template_that_cannot_be_is_refused() {
        for text in [
            "", "a", "/{}", "/{a}/{a}", "/x{a}", "/{a}x", "/{a", "/a}", "/{1}", "/{a...}/b", "/{a b}",
            "/a?b", "/a#b", "/a/../b", "/./a", "/ä", "/a b", "/a\\b", "/{...}",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_plain_path_takes_no_captures() {
        assert!(plain_path("/static").is_ok());
        assert!(plain_path("/{a}").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _unused = template(&text).is_ok() && plain_path(&text).is_ok();
            let _unused = captures(&text).count();
        }
    }
}
