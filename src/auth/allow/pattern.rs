//! Patterns of `matches`, compiled once.

use super::meter::{self, Meter};
use cel::ExecutionError;
use cel::common::types::{CelBool, CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};
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

/// Places of a pattern that are followed through eight bytes of a text in one unit of a budget.
const PLACES_A_UNIT: usize = 8;
/// Places of a character beyond ASCII: each of its bytes.
const CHARACTER_PLACES: usize = 4;

/// A pattern, as a value among values.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Arc<Regex>,
    /// In how many places of it a search can be at a time.
    places: usize,
}

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        let mut builder = RegexBuilder::new(source);
        match builder.size_limit(COMPILED_BYTES_MAX).build() {
            Ok(regex) => Ok(Self {
                regex: Arc::new(regex),
                // What the one parser takes the other one takes: they are the same.
                places: regex_syntax::parse(source).map_or(usize::MAX, |hir| places(&hir)),
            }),
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

/// In how many places of a pattern a search can be at a time, at most: each byte of the text is
/// looked at in each of them.
fn places(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Unicode(class)) if !class.is_ascii() => CHARACTER_PLACES,
        HirKind::Class(Class::Unicode(_) | Class::Bytes(_)) => 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            let times = usize::try_from(times).unwrap_or(usize::MAX);
            times.saturating_mul(places(&repetition.sub).saturating_add(1))
        }
        HirKind::Capture(capture) => places(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts
            .iter()
            .fold(1, |sum: usize, part| sum.saturating_add(places(part))),
    }
}

/// `@matches(meter, text, pattern)`: whether the pattern is found anywhere in the text, as CEL has it.
pub(super) fn matches<'b, 'v>(
    arguments: Vec<CowVal<'b, 'v>>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [meter, text, pattern] = arguments.as_slice() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let text = text.downcast_ref::<CelString<'_>>();
    let (Some(text), Some(pattern)) = (text, pattern.downcast_ref::<Pattern>()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    if text.inner().len() > SEARCHED_BYTES_MAX {
        return Err(ExecutionError::function_error(MATCHES, "text too long"));
    }
    let steps = text.inner().len().saturating_mul(pattern.places);
    let cost = i64::try_from(steps / PLACES_A_UNIT).unwrap_or(i64::MAX / 2);
    meter::pay(meter.downcast_ref::<Meter>(), 1 + cost)?;
    Ok(CowVal::owned(CelBool::from(
        pattern.regex.is_match(text.inner()),
    )))
}
