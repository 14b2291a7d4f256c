//! `${NAME}`, `${NAME:-default}` and `$$` in the values of a tree.
//!
//! On the tree and not on the text, so that a value of the environment can neither change the
//! structure of the document nor move a position.

use super::diagnostic::{Code, Diagnostic, Findings, Span};
use super::env::Environment;
use super::tree::{Node, Origin, Scalar, Value};

/// Replaces every placeholder below `node`; what cannot be replaced is told and left.
pub(in crate::config) fn substitute(
    node: &mut Node,
    environment: &Environment,
    findings: &mut Findings,
) {
    match &mut node.value {
        Value::Sequence(items) => {
            for item in items {
                substitute(item, environment, findings);
            }
        }
        Value::Mapping(entries) => {
            for entry in entries {
                substitute(&mut entry.value, environment, findings);
            }
        }
        Value::Scalar(scalar) if scalar.text.contains('$') => {
            let mut problems = Vec::new();
            let replaced = replace(&scalar.text, environment, &mut problems);
            let origin = match (problems.is_empty(), replaced.substituted) {
                (false, _) => Origin::Missing,
                (true, true) => Origin::Environment,
                (true, false) => Origin::Document,
            };
            for problem in problems {
                findings.push(problem.at(&node.span));
            }
            *scalar = Scalar {
                text: replaced.text,
                // As if the value stood there without quotes, which `{a: ${B}}` does not allow.
                plain: scalar.plain || replaced.substituted,
                origin,
            };
        }
        Value::Scalar(_) => {}
    }
}

/// A text after replacement.
#[derive(Debug, PartialEq)]
struct Replaced {
    text: String,
    substituted: bool,
}

/// What is wrong with a placeholder.
#[derive(Debug, PartialEq)]
enum Problem {
    Missing(String),
    Malformed,
}

impl Problem {
    fn at(self, span: &Span) -> Diagnostic {
        match self {
            Self::Missing(name) => {
                let message = format!("the environment has no `{name}`");
                Diagnostic::at(Code::VariableMissing, span, message)
                    .help(format!("set it, or give a default: `${{{name}:-default}}`"))
            }
            Self::Malformed => {
                let message = "a placeholder is `${NAME}` or `${NAME:-default}`";
                Diagnostic::at(Code::Placeholder, span, message)
                    .help("write `$$` for a dollar sign before `{`")
            }
        }
    }
}

fn replace(text: &str, environment: &Environment, problems: &mut Vec<Problem>) -> Replaced {
    let mut out = String::with_capacity(text.len());
    let mut substituted = false;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let Some(inner) = after.strip_prefix('{') else {
            // A dollar alone is a dollar: it ends many regular expressions.
            out.push('$');
            rest = after;
            continue;
        };
        let Some((name, default, after)) = placeholder(inner) else {
            problems.push(Problem::Malformed);
            out.push_str("${");
            rest = inner;
            continue;
        };
        substituted = true;
        let value = environment.get(name);
        match (value, default) {
            (None, None) => problems.push(Problem::Missing(name.to_owned())),
            (Some(""), Some(default)) | (None, Some(default)) => out.push_str(default),
            (Some(value), _) => out.push_str(value),
        }
        rest = after;
    }
    out.push_str(rest);
    Replaced {
        text: out,
        substituted,
    }
}

/// Name, default and what follows, of a text that stands behind `${`.
fn placeholder(inner: &str) -> Option<(&str, Option<&str>, &str)> {
    let (body, after) = inner.split_once('}')?;
    let (name, default) = match body.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (body, None),
    };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let named = name.bytes().all(letters) && !name.starts_with(|one: char| one.is_ascii_digit());
    (named && !name.is_empty()).then_some((name, default, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let environment: Environment = [("A", "one"), ("EMPTY", ""), ("MONEY", "$5 ${A}")]
            .into_iter()
            .collect();
        let mut problems = Vec::new();

        let replaced = replace(text, &environment, &mut problems);

        assert_eq!((replaced.text.as_str(), problems), (expected, Vec::new()));
    }

    #[test]
    fn placeholders_are_replaced_and_dollars_escaped() {
        check("${A}", "one");
        check("x-${A}-${A}", "x-one-one");
        check("${B:-two}", "two");
        check("${EMPTY:-two}", "two");
        check("${EMPTY}", "");
        check("${B:-}", "");
        check("${B:-http://h:1/:-x}", "http://h:1/:-x");
        check("$${A}", "${A}");
        check("$$", "$");
        check("^/a$", "^/a$");
        check("$A", "$A");
    }

    #[test]
    fn a_value_is_not_looked_at_again() {
        check("${MONEY}", "$5 ${A}");
    }

    #[test]
    fn all_missing_names_are_told_at_once() {
        let mut problems = Vec::new();

        replace("${X} ${Y} ${1}", &Environment::default(), &mut problems);

        let missing = |name: &str| Problem::Missing(name.to_owned());
        assert_eq!(problems, [missing("X"), missing("Y"), Problem::Malformed]);
    }

    proptest! {
        #[test]
        fn a_text_with_every_dollar_doubled_comes_back_as_it_was(text in "[${}A:a -]{0,40}") {
            let mut problems = Vec::new();

            let doubled = text.replace('$', "$$");
            let replaced = replace(&doubled, &Environment::default(), &mut problems);

            prop_assert_eq!(replaced, Replaced { text, substituted: false });
            prop_assert!(problems.is_empty());
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            replace(&text, &Environment::default(), &mut Vec::new());
        }
    }
}
