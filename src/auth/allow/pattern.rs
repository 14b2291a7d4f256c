//! Patterns of `matches`, compiled once.

use cel::ExecutionError;
use cel::common::types::{CelBool, CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use regex::{Regex, RegexBuilder};
use std::any::Any;
use std::sync::Arc;

/// What a call of `matches` becomes.
pub(super) const MATCHES: &str = "@matches";
/// Longest text that is searched, in bytes; a longer one is an error.
pub(super) const SEARCHED_BYTES_MAX: usize = 16 << 10;
/// What a pattern may compile to, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// The type of patterns. No expression can name it.
pub(super) static PATTERN: Type = Type::new_unspecified_type("@pattern");

/// A pattern, as a value among values.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Arc<Regex>);

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        let mut builder = RegexBuilder::new(source);
        match builder.size_limit(COMPILED_BYTES_MAX).build() {
            Ok(regex) => Ok(Self(Arc::new(regex))),
            Err(regex::Error::CompiledTooBig(_)) => Err("it compiles to more than 1 MiB".into()),
            Err(error) => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                Err(last.trim_start_matches("error: ").to_owned())
            }
        }
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

/// `@matches(text, pattern)`: whether the pattern is found anywhere in the text, as CEL has it.
pub(super) fn matches<'b, 'v>(
    arguments: Vec<CowVal<'b, 'v>>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, pattern] = arguments.as_slice() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let text = text.downcast_ref::<CelString<'_>>();
    let (Some(text), Some(pattern)) = (text, pattern.downcast_ref::<Pattern>()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    if text.inner().len() > SEARCHED_BYTES_MAX {
        return Err(ExecutionError::function_error(MATCHES, "text too long"));
    }
    Ok(CowVal::owned(CelBool::from(
        pattern.0.is_match(text.inner()),
    )))
}
