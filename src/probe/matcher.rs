//! What a value has to be.
//!
//! One kind of matcher for headers, members of JSON, bodies and attributes of spans; each gives
//! its value as JSON, and none where there is none.

use super::template::{JsonTemplate, Template};
use super::values::Values;
use regex::Regex;
use serde_json::Value;

/// Most characters of a value that are told.
pub(super) const SHOWN_MAX: usize = 200;

/// Everything that one value has to be, all of it.
#[derive(Clone, Debug, Default)]
pub struct Matcher(pub Vec<Test>);

/// One thing that a value has to be.
#[derive(Clone, Debug)]
pub enum Test {
    /// The same.
    Equals(JsonTemplate),
    /// A text in which this is found somewhere.
    Matches(Regex),
    /// A text that has this in it, or a list that has it as an item.
    Contains(Template),
    /// There, or not there.
    Exists(bool),
    /// A number on this side of another.
    Number(Side, f64),
}

/// On which side of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// More.
    GreaterThan,
    /// Less.
    LessThan,
    /// As much or more.
    AtLeast,
    /// As much or less.
    AtMost,
}

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What was wanted, in words.
    pub expected: String,
    /// What was there: neither masked nor cut yet.
    pub got: String,
}

impl Matcher {
    /// The first test that `actual` does not pass.
    pub fn check(&self, actual: Option<&Value>, values: &Values) -> Option<Mismatch> {
        let failed = self.0.iter().find(|test| !test.holds(actual, values))?;
        Some(Mismatch {
            expected: failed.told(values),
            got: actual.map_or_else(|| "nothing".to_owned(), Value::to_string),
        })
    }

    /// All of it, in words.
    pub fn told(&self, values: &Values) -> String {
        let tests: Vec<String> = self.0.iter().map(|test| test.told(values)).collect();
        tests.join(" and ")
    }
}

impl Test {
    fn holds(&self, actual: Option<&Value>, values: &Values) -> bool {
        match (self, actual) {
            (Self::Exists(wanted), actual) => actual.is_some() == *wanted,
            (_, None) => false,
            (Self::Equals(expected), Some(actual)) => equal(expected, actual, values),
            (Self::Matches(regex), Some(actual)) => regex.is_match(&text(actual)),
            (Self::Contains(part), Some(actual)) => {
                let part = part.render(values);
                match actual {
                    Value::Array(items) => items.iter().any(|item| text(item) == part),
                    Value::String(actual) => actual.contains(&part),
                    Value::Object(members) => members.contains_key(&part),
                    Value::Null | Value::Bool(_) | Value::Number(_) => text(actual).contains(&part),
                }
            }
            (Self::Number(side, than), Some(actual)) => {
                number(actual).is_some_and(|actual| side.holds(actual, *than))
            }
        }
    }

    fn told(&self, values: &Values) -> String {
        match self {
            Self::Equals(expected) => shown(&expected.render(values), values),
            Self::Matches(regex) => format!("a match of /{regex}/"),
            Self::Contains(part) => {
                let part = values.masked(&part.render(values));
                format!("{:?} in it", cut(&part))
            }
            Self::Exists(true) => "anything".to_owned(),
            Self::Exists(false) => "nothing".to_owned(),
            Self::Number(side, than) => format!("{} {than}", side.name()),
        }
    }
}

impl Side {
    fn holds(self, actual: f64, than: f64) -> bool {
        match self {
            Self::GreaterThan => actual > than,
            Self::LessThan => actual < than,
            Self::AtLeast => actual >= than,
            Self::AtMost => actual <= than,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::GreaterThan => "more than",
            Self::LessThan => "less than",
            Self::AtLeast => "at least",
            Self::AtMost => "at most",
        }
    }
}

/// Typed, except that a header has only text and what fills a hole has no type: there the
/// spelling decides. 1 and 1.0 are one number.
fn equal(expected: &JsonTemplate, actual: &Value, values: &Values) -> bool {
    let rendered = expected.render(values);
    if rendered == *actual {
        return true;
    }
    match (&rendered, actual) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::String(one), other) if expected.is_filled_text() => *one == text(other),
        _ => false,
    }
}

/// A value as the text of a header: numbers and truth values of the file serve for both.
pub(super) fn typed(text: &str, wanted: &Matcher) -> Value {
    let wants_other = wanted.0.iter().any(|test| {
        matches!(
            test,
            Test::Equals(JsonTemplate::Plain(Value::Number(_) | Value::Bool(_)))
        )
    });
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) if wants_other => value,
        Ok(_) | Err(_) => Value::String(text.to_owned()),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn number(value: &Value) -> Option<f64> {
    value
        .as_str()
        .map_or_else(|| value.as_f64(), |text| text.trim().parse().ok())
}

/// A value as a person reads it: JSON, masked, and cut after that.
fn shown(value: &Value, values: &Values) -> String {
    cut(&values.masked(&value.to_string()))
}

/// At most [`SHOWN_MAX`] characters.
pub(super) fn cut(text: &str) -> String {
    let mut characters = text.chars();
    let mut out: String = characters.by_ref().take(SHOWN_MAX).collect();
    if characters.next().is_some() {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(test: Test, actual: Option<Value>) -> bool {
        let mut values = Values::default();
        values.set("order", "7".to_owned(), false);
        let matcher = Matcher(vec![test]);
        matcher.check(actual.as_ref(), &values).is_none()
    }

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn equality_is_typed_except_for_what_fills_a_hole() {
        let equals = |expected: Value| Test::Equals(JsonTemplate::Plain(expected));
        assert!(holds(equals(json!(1)), Some(json!(1.0))));
        assert!(!holds(equals(json!(1)), Some(json!("1"))));
        assert!(!holds(equals(json!(null)), None));
        let filled = || Test::Equals(JsonTemplate::Text(template("{{order}}")));
        assert!(holds(filled(), Some(json!(7))));
        assert!(holds(filled(), Some(json!("7"))));
        let plain = Test::Equals(JsonTemplate::Text(template("7")));
        assert!(!holds(plain, Some(json!(7))));
    }

    #[test]
    fn a_number_is_compared_on_its_side_and_at_its_bound() {
        let at = |side, actual| holds(Test::Number(side, 5.0), Some(json!(actual)));
        assert!(!at(Side::GreaterThan, 5) && at(Side::GreaterThan, 6));
        assert!(!at(Side::LessThan, 5) && at(Side::LessThan, 4));
        assert!(at(Side::AtLeast, 5) && !at(Side::AtLeast, 4));
        assert!(at(Side::AtMost, 5) && !at(Side::AtMost, 6));
        assert!(holds(Test::Number(Side::AtLeast, 5.0), Some(json!("5"))));
        assert!(!holds(Test::Number(Side::AtLeast, 5.0), Some(json!("x"))));
    }

    #[test]
    fn texts_lists_and_maps_can_contain() {
        let contains = || Test::Contains(template("{{order}}"));
        assert!(holds(contains(), Some(json!("a 7 b"))));
        assert!(holds(contains(), Some(json!([6, 7]))));
        assert!(holds(contains(), Some(json!({"7": 1}))));
        assert!(!holds(contains(), Some(json!([77]))));
        assert!(!holds(contains(), None));
    }

    #[test]
    fn what_does_not_hold_is_told_with_what_was_there() {
        let matcher = Matcher(vec![
            Test::Exists(true),
            Test::Matches(Regex::new("^a").unwrap()),
        ]);
        let mismatch = matcher
            .check(Some(&json!("b")), &Values::default())
            .unwrap();
        assert_eq!(mismatch.expected, "a match of /^a/");
        assert_eq!(mismatch.got, "\"b\"");
        let mismatch = matcher.check(None, &Values::default()).unwrap();
        assert_eq!(
            (mismatch.expected.as_str(), mismatch.got.as_str()),
            ("anything", "nothing")
        );
    }

    #[test]
    fn a_header_is_a_number_where_one_is_wanted() {
        let wants = |value: Value| Matcher(vec![Test::Equals(JsonTemplate::Plain(value))]);
        assert_eq!(typed("7", &wants(json!(7))), json!(7));
        assert_eq!(typed("7", &Matcher::default()), json!("7"));
        assert_eq!(typed("seven", &wants(json!(7))), json!("seven"));
    }
}
