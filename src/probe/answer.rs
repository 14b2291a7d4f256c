//! What an answer is held against, and what is taken from it.

use super::jar::Jar;
use super::matcher::{self, Mismatch};
use super::outcome::Failed;
use super::plan::{Assertion, Capture, Taken, What};
use super::values::{MASK, Values};
use crate::message::credential::may_be_credential;
use http::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// An answer, its body read once.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    /// The status.
    pub status: u16,
    /// Header lines.
    pub headers: HeaderMap,
    /// The body as text; what is no UTF-8 is replaced.
    pub body: String,
    /// The body as JSON, if it is some.
    pub json: Option<Value>,
    /// From the first packet to the last byte, redirects included.
    pub took: Duration,
}

impl Answered {
    /// Everything that does not hold. Nothing in it is masked yet.
    pub(super) fn check(&self, assertions: &[Assertion], values: &Values) -> Vec<Failed> {
        let checked = assertions.iter().filter_map(|assertion| {
            let (what, mismatch) = self.check_one(&assertion.what, values)?;
            Some(Failed {
                what,
                expected: mismatch.expected,
                got: mismatch.got,
                place: assertion.place,
            })
        });
        checked.collect()
    }

    fn check_one(&self, what: &What, values: &Values) -> Option<(String, Mismatch)> {
        match what {
            What::Status(ranges) => {
                let differs = !ranges.iter().any(|range| range.has(self.status));
                let names: Vec<String> = ranges.iter().map(ToString::to_string).collect();
                differs.then(|| {
                    let expected = names.join(" or ");
                    (
                        "status".to_owned(),
                        mismatch(expected, self.status.to_string()),
                    )
                })
            }
            What::Header(name, wanted) => {
                let lines = self.headers.get_all(name).iter();
                let lines: Vec<Value> = lines
                    .map(|line| matcher::typed(&String::from_utf8_lossy(line.as_bytes()), wanted))
                    .collect();
                let any = lines
                    .iter()
                    .any(|line| wanted.check(Some(line), values).is_none());
                if any {
                    return None;
                }
                let mut found = wanted.check(lines.first(), values)?;
                if !lines.is_empty() && may_be_credential(name.as_str()) {
                    MASK.clone_into(&mut found.got);
                }
                Some((format!("header {name}"), found))
            }
            What::Json(pointer, wanted) => {
                let member = self.json.as_ref().and_then(|json| json.pointer(pointer));
                let mut found = wanted.check(member, values)?;
                if self.json.is_none() {
                    found.got = "a body that is no JSON".to_owned();
                }
                Some((format!("json {pointer}").trim_end().to_owned(), found))
            }
            What::Body(wanted) => {
                let body = Value::String(self.body.clone());
                Some(("body".to_owned(), wanted.check(Some(&body), values)?))
            }
            What::Time(most) => (self.took > *most).then(|| {
                let expected = format!("at most {most:?}");
                let got = format!("{:.1?}", self.took);
                ("time".to_owned(), mismatch(expected, got))
            }),
        }
    }

    /// Takes what the captures want; what is not there is told.
    pub(super) fn capture(
        &self,
        captures: &[Capture],
        jar: &Jar,
        values: &mut Values,
    ) -> Vec<Failed> {
        let mut failed = Vec::new();
        for capture in captures {
            match self.take(&capture.from, jar) {
                Some(value) => values.set(&capture.name, value, capture.is_secret),
                None => failed.push(Failed {
                    what: format!("capture {}", capture.name),
                    expected: capture.from.told(),
                    got: "nothing".to_owned(),
                    place: capture.place,
                }),
            }
        }
        failed
    }

    fn take(&self, from: &Taken, jar: &Jar) -> Option<String> {
        match from {
            Taken::Header(name) => {
                let line = self.headers.get(name)?;
                Some(String::from_utf8_lossy(line.as_bytes()).into_owned())
            }
            Taken::Json(pointer) => match self.json.as_ref()?.pointer(pointer)? {
                Value::String(text) => Some(text.clone()),
                Value::Null => None,
                other
                @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                    Some(other.to_string())
                }
            },
            Taken::Regex(regex, group) => {
                let found = regex.captures(&self.body)?;
                Some(found.get(*group)?.as_str().to_owned())
            }
            Taken::Cookie(name) => jar.value(name),
        }
    }
}

impl Taken {
    fn told(&self) -> String {
        match self {
            Self::Header(name) => format!("a header {name}"),
            Self::Json(pointer) => format!("JSON at {pointer:?}"),
            Self::Regex(regex, group) => format!("group {group} of a match of /{regex}/"),
            Self::Cookie(name) => format!("a cookie {name}"),
        }
    }
}

const fn mismatch(expected: String, got: String) -> Mismatch {
    Mismatch { expected, got }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::matcher::{Matcher, Test};
    use crate::probe::plan::{Place, StatusRange};
    use crate::probe::template::{JsonTemplate, Template};
    use regex::Regex;
    use serde_json::json;

    fn answered() -> Answered {
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", "a=1".parse().unwrap());
        headers.append("set-cookie", "b=2".parse().unwrap());
        headers.append("x-count", "7".parse().unwrap());
        let json = json!({"order": {"id": 7, "state": "paid", "note": null}});
        Answered {
            status: 201,
            headers,
            body: json.to_string(),
            json: Some(json),
            took: Duration::from_millis(20),
        }
    }

    fn failed(what: What) -> Vec<(String, String, String)> {
        let assertion = Assertion {
            what,
            place: Place::default(),
        };
        let failed = answered().check(&[assertion], &Values::default());
        failed
            .into_iter()
            .map(|one| (one.what, one.expected, one.got))
            .collect()
    }

    fn contains(text: &str) -> Matcher {
        Matcher(vec![Test::Contains(Template::parse(text).unwrap())])
    }

    fn told(what: &str, expected: &str, got: &str) -> Vec<(String, String, String)> {
        vec![(what.to_owned(), expected.to_owned(), got.to_owned())]
    }

    #[test]
    fn a_status_is_one_of_several() {
        let ranges = [StatusRange::Class(2), StatusRange::Exactly(302)];
        assert_eq!(failed(What::Status(ranges.to_vec())), []);
        let found = failed(What::Status(vec![
            StatusRange::Class(3),
            StatusRange::Exactly(200),
        ]));
        assert_eq!(found, told("status", "3xx or 200", "201"));
    }

    #[test]
    fn any_line_of_a_header_serves() {
        let name = || HeaderName::from_static("set-cookie");
        use http::HeaderName;
        assert_eq!(failed(What::Header(name(), contains("b="))), []);
        let found = failed(What::Header(name(), contains("c=")));
        assert_eq!(found, told("header set-cookie", "\"c=\" in it", "***"));
        let count = HeaderName::from_static("x-count");
        let seven = Matcher(vec![Test::Equals(JsonTemplate::Plain(json!(7)))]);
        assert_eq!(failed(What::Header(count, seven)), []);
    }

    #[test]
    fn a_member_of_json_is_found_by_its_pointer() {
        let paid = || Matcher(vec![Test::Equals(JsonTemplate::Plain(json!("paid")))]);
        assert_eq!(failed(What::Json("/order/state".to_owned(), paid())), []);
        let found = failed(What::Json("/order/id".to_owned(), paid()));
        assert_eq!(found, told("json /order/id", "\"paid\"", "7"));
        let absent = Matcher(vec![Test::Exists(false)]);
        assert_eq!(failed(What::Json("/nothing".to_owned(), absent)), []);
    }

    #[test]
    fn the_time_is_kept_at_its_bound_and_not_over_it() {
        assert_eq!(failed(What::Time(Duration::from_millis(20))), []);
        let found = failed(What::Time(Duration::from_millis(19)));
        assert_eq!(found, told("time", "at most 19ms", "20.0ms"));
    }

    #[test]
    fn what_is_captured_has_a_name_and_what_is_not_there_is_told() {
        let capture = |name: &str, from| Capture {
            name: name.to_owned(),
            from,
            is_secret: name == "state",
            place: Place { line: 3, column: 5 },
        };
        let regex = Regex::new(r#""id":(\d+)"#).unwrap();
        let captures = [
            capture("id", Taken::Regex(regex, 1)),
            capture("state", Taken::Json("/order/state".to_owned())),
            capture("note", Taken::Json("/order/note".to_owned())),
        ];
        let mut values = Values::default();

        let failed = answered().capture(&captures, &Jar::default(), &mut values);

        assert_eq!(values.get("id"), Some("7"));
        assert_eq!(values.masked("it is paid"), "it is ***");
        let whats: Vec<&str> = failed.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(whats, ["capture note"]);
    }
}
