//! What an attribute may hold, and how much of it a span takes.

use super::wire::Any;

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttrValue<'a> {
    /// Text.
    Str(&'a str),
    /// An integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// A truth value.
    Bool(bool),
}

/// Bounds of one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLimits {
    /// Most attributes; what comes after is dropped and counted in the span.
    pub attribute_count_max: usize,
    /// Longest text of an attribute, in characters; longer text is cut.
    pub attribute_value_max: Option<usize>,
}

impl Default for SpanLimits {
    /// As OpenTelemetry has it: 128 attributes of any length.
    fn default() -> Self {
        Self {
            attribute_count_max: 128,
            attribute_value_max: None,
        }
    }
}

impl SpanLimits {
    /// As much of `text` as an attribute may hold.
    #[inline]
    pub(super) fn cut<'a>(&self, text: &'a str) -> &'a str {
        match self.attribute_value_max {
            // As many bytes cannot be more characters.
            Some(max) if text.len() > max => {
                let end = text.char_indices().nth(max).map(|(end, _)| end);
                end.and_then(|end| text.get(..end)).unwrap_or(text)
            }
            _ => text,
        }
    }

    /// Hands `value`, cut if it has to be, to `write`.
    pub(super) fn with_any(&self, value: AttrValue<'_>, write: impl FnOnce(&Any<'_>)) {
        match value {
            AttrValue::Str(value) => write(&Any::Text(&[self.cut(value)])),
            AttrValue::Int(value) => write(&Any::Int(value)),
            AttrValue::Double(value) => write(&Any::Double(value)),
            AttrValue::Bool(value) => write(&Any::Bool(value)),
        }
    }
}
