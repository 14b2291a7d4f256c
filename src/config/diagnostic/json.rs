//! Problems for machines: one array, one object each.

use super::Diagnostic;
use serde_json::{Value, json};
use std::ops::Range;

/// `[{id, severity, message, file, line, column, end, help, replacement}]`. Lines and columns
/// count from one, columns in characters; `end` is the first place behind.
pub(super) fn report(name: &str, text: &str, diagnostics: &[Diagnostic]) -> Value {
    let one = |diagnostic: &Diagnostic| object(name, text, diagnostic);
    Value::Array(diagnostics.iter().map(one).collect())
}

fn object(name: &str, text: &str, diagnostic: &Diagnostic) -> Value {
    let place = diagnostic.span.as_ref().map(|span| {
        let Range { start, end } = span.clone();
        (position(text, start), position(text, end.max(start)))
    });
    let help = match (&diagnostic.label, &diagnostic.help) {
        (Some(label), Some(help)) => Some(format!("{label}; {help}")),
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    json!({
        "id": diagnostic.code.id(),
        "severity": diagnostic.code.severity().name(),
        "message": diagnostic.message,
        "file": name,
        "line": place.map(|((line, _), _)| line),
        "column": place.map(|((_, column), _)| column),
        "end": place.map(|(_, (line, column))| json!({"line": line, "column": column})),
        "help": help,
        "replacement": diagnostic.replacement,
    })
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
