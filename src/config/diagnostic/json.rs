//! Problems for machines: one array, one object each.

use super::Diagnostic;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::Value;
use std::ops::Range;

/// An error or a warning about a configuration. What is not known is null.
#[derive(Serialize, JsonSchema)]
struct Problem {
    /// Its code, such as `E0101`; `docs/errors.md` has all of them.
    id: &'static str,
    /// `error` or `warning`.
    severity: &'static str,
    /// What is wrong; secrets in it are masked.
    message: String,
    /// The file.
    file: String,
    /// Where it begins, from 1.
    line: Option<usize>,
    /// In characters, from 1.
    column: Option<usize>,
    /// The first place behind it.
    end: Option<Position>,
    /// What to do.
    help: Option<String>,
    /// What to write instead.
    replacement: Option<String>,
}

/// A place in a file.
#[derive(Serialize, JsonSchema)]
struct Position {
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
}

/// One array, an object a problem.
pub(super) fn report(name: &str, text: &str, diagnostics: &[Diagnostic]) -> Value {
    let problems = diagnostics.iter().map(|one| problem(name, text, one));
    // Texts and numbers alone: this does not fail.
    serde_json::to_value(problems.collect::<Vec<_>>()).unwrap_or_default()
}

/// JSON Schema of what `edgespan check --json` prints.
pub fn report_schema() -> Schema {
    schema_for!(Vec<Problem>)
}

fn problem(name: &str, text: &str, diagnostic: &Diagnostic) -> Problem {
    let place = diagnostic.span.as_ref().map(|span| {
        let Range { start, end } = span.clone();
        (position(text, start), position(text, end.max(start)))
    });
    let help = match (&diagnostic.label, &diagnostic.help) {
        (Some(label), Some(help)) => Some(format!("{label}; {help}")),
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    Problem {
        id: diagnostic.code.id(),
        severity: diagnostic.code.severity().name(),
        message: diagnostic.message.clone(),
        file: name.to_owned(),
        line: place.map(|((line, _), _)| line),
        column: place.map(|((_, column), _)| column),
        end: place.map(|(_, (line, column))| Position { line, column }),
        help,
        replacement: diagnostic.replacement.clone(),
    }
}

/// Line and column of a byte offset, from one; an offset behind the end is the end.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |last| last.chars().count())
        + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("ä: b", 4), (1, 4));
        assert_eq!(position("a\nb: c\n", 5), (2, 4));
        assert_eq!(position("a\n", 99), (2, 1));
    }
}
