//! `error.type`: what made a span an error (semantic conventions 1.44.0, Stable).

use super::span::OpenSpan;

/// The value of `error.type`.
#[derive(Clone, Copy)]
pub(super) enum ErrorType<'a> {
    /// A word of low cardinality.
    Word(&'a str),
    /// An HTTP status code.
    Status(u16),
}

impl ErrorType<'_> {
    /// Makes the span an error of this type.
    pub(super) fn write(self, span: &mut OpenSpan) {
        span.set_error();
        match self {
            Self::Word(word) => span.str("error.type", word),
            Self::Status(status) => span.str("error.type", &status.to_string()),
        }
    }
}
