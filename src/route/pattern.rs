//! Regular expressions that have to match as a whole.

use super::captures::CAPTURES_MAX;
use regex::{Regex, RegexBuilder};

/// Largest compiled expression, in bytes. `\w{1,40}` takes about a tenth of it.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// An expression that matches a text as a whole or not at all, in time linear in the text.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Box<str>,
    whole: Regex,
}

/// Why an expression was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PatternError {
    /// It does not parse, or needs what has no linear-time match (backreferences, lookaround).
    #[error("the expression is not valid: {0}")]
    Syntax(Box<str>),
    /// It names more groups than a route can capture.
    #[error("an expression has at most {CAPTURES_MAX} named groups")]
    TooManyGroups,
    /// It is valid but too large once compiled.
    #[error("the expression is too large once compiled (over {COMPILED_BYTES_MAX} bytes)")]
    TooLarge,
}

impl Pattern {
    /// Compiles `source`, which needs no anchors.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(source: &str) -> Result<Self, PatternError> {
        // First alone: `a)|(?:b` is valid only within our anchors, where it escapes them.
        compile(source)?;
        // The line break ends a comment that `(?x)` may leave open at the end.
        let whole = match compile(&format!("^(?:{source})$")) {
            Ok(whole) => whole,
            Err(_) => compile(&format!("^(?:{source}\n)$"))?,
        };
        let pattern = Self {
            source: source.into(),
            whole,
        };
        if pattern.groups().count() > CAPTURES_MAX {
            return Err(PatternError::TooManyGroups);
        }
        Ok(pattern)
    }

    /// Whether it matches all of `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Names of its named groups, from left to right.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.whole.capture_names().flatten()
    }

    pub(super) const fn regex(&self) -> &Regex {
        &self.whole
    }
}

impl PartialEq for Pattern {
    /// Expressions are the same if they are written the same.
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

fn compile(source: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(source)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| {
            if matches!(error, regex::Error::CompiledTooBig(_)) {
                PatternError::TooLarge
            } else {
                PatternError::Syntax(last_line(&error.to_string()))
            }
        })
}

/// The last line of a syntax error is its reason; those before draw the expression.
fn last_line(text: &str) -> Box<str> {
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, text: &str, expected: bool) {
        let pattern = Pattern::new(source).unwrap();

        assert_eq!(pattern.matches(text), expected, "{source} on {text}");
    }

    #[test]
    fn an_expression_matches_the_whole_text() {
        check("/v[0-9]+", "/v1", true);
        check("/v[0-9]+", "/v1/x", false);
        check("/v[0-9]+", "x/v1", false);
        check("a|b", "ab", false);
        check("a|ab", "ab", true);
        check("(?m)a", "a\nb", false);
        check("a", "a\n", false);
        check("^a$", "a", true);
        check("(?x) a b # comment", "ab", true);
    }

    #[test]
    fn an_expression_cannot_leave_its_anchors() {
        assert!(matches!(
            Pattern::new("a)|(?:b"),
            Err(PatternError::Syntax(_))
        ));
    }

    #[test]
    fn a_bad_expression_says_why() {
        let unclosed = Pattern::new("/a(").unwrap_err();
        let large = Pattern::new("(\\w{500}){500}").unwrap_err();

        assert_eq!(
            unclosed.to_string(),
            "the expression is not valid: unclosed group"
        );
        assert!(matches!(large, PatternError::TooLarge));
    }
}
