//! Where no edgespan stands behind: services that answer with the headers that they got.

use super::compare::Line;
use http::HeaderMap;
use serde_json::Value;
use std::str::FromStr;

/// How deep the headers may stand in a JSON document.
const DEPTH_MAX: usize = 4;
/// Most header lines that are read of an echo.
const LINES_MAX: usize = 1000;

/// Where the echo stands in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echo {
    /// The body is JSON with the headers under `headers`, or is them.
    Json,
    /// The body has one `name: value` a line.
    Lines,
    /// Whichever of the two the body is.
    Body,
    /// Each header X comes back as an answer's header of this name, with X for the star.
    Header {
        /// Before the star, in lower case.
        before: String,
        /// After the star, in lower case.
        after: String,
    },
}

/// Why a text names no echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEcho {
    /// Not one of the words.
    #[error("one of json, lines and body is needed")]
    Form,
    /// Not exactly one star.
    #[error("one `*` is needed, where the header's name stands, as in `x-seen-*`")]
    Star,
}

impl FromStr for Echo {
    type Err = BadEcho;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "lines" => Ok(Self::Lines),
            "body" => Ok(Self::Body),
            _ => Err(BadEcho::Form),
        }
    }
}

impl Echo {
    /// The echo of `--echo-header`.
    ///
    /// # Errors
    /// [`BadEcho::Star`].
    pub fn of_header(text: &str) -> Result<Self, BadEcho> {
        let text = text.to_ascii_lowercase();
        let (before, after) = text.split_once('*').ok_or(BadEcho::Star)?;
        if after.contains('*') || before.is_empty() && after.is_empty() {
            return Err(BadEcho::Star);
        }
        Ok(Self::Header {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    /// The header lines that the service says it got; None: there is no echo in the answer.
    pub fn read(&self, headers: &HeaderMap, body: &[u8]) -> Option<Vec<Line>> {
        match self {
            Self::Json => json(body),
            Self::Lines => lines(body),
            Self::Body => json(body).or_else(|| lines(body)),
            Self::Header { before, after } => of_headers(headers, before, after),
        }
    }
}

fn of_headers(headers: &HeaderMap, before: &str, after: &str) -> Option<Vec<Line>> {
    let found = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(before)?.strip_suffix(after)?;
        let value = value.as_bytes().iter().copied().map(char::from).collect();
        (!name.is_empty()).then(|| (name.to_owned(), value))
    });
    let found: Vec<Line> = found.take(LINES_MAX).collect();
    (!found.is_empty()).then_some(found)
}

fn json(body: &[u8]) -> Option<Vec<Line>> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let headers = named_headers(&document, DEPTH_MAX).unwrap_or(&document);
    let mut lines = Vec::new();
    match headers {
        Value::Object(members) => {
            for (name, value) in members {
                push(&mut lines, name, value);
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Array(pair) => {
                        if let [Value::String(name), value] = pair.as_slice() {
                            push(&mut lines, name, value);
                        }
                    }
                    Value::Object(pair) => {
                        if let (Some(Value::String(name)), Some(value)) =
                            (pair.get("name"), pair.get("value"))
                        {
                            push(&mut lines, name, value);
                        }
                    }
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    lines.truncate(LINES_MAX);
    (!lines.is_empty()).then_some(lines)
}

fn named_headers(value: &Value, depth: usize) -> Option<&Value> {
    let members = value.as_object()?;
    let own = members.iter().find(|(name, value)| {
        name.eq_ignore_ascii_case("headers") && (value.is_object() || value.is_array())
    });
    if let Some((_, headers)) = own {
        return Some(headers);
    }
    let depth = depth.checked_sub(1)?;
    members
        .values()
        .find_map(|value| named_headers(value, depth))
}

fn push(lines: &mut Vec<Line>, name: &str, value: &Value) {
    match value {
        Value::String(value) => lines.push((name.to_owned(), value.clone())),
        Value::Array(values) => {
            let texts = values.iter().filter_map(Value::as_str);
            lines.extend(texts.map(|value| (name.to_owned(), value.to_owned())));
        }
        Value::Number(number) => lines.push((name.to_owned(), number.to_string())),
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
}

fn lines(body: &[u8]) -> Option<Vec<Line>> {
    let text = std::str::from_utf8(body).ok()?;
    let is_name = |name: &str| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !name.is_empty() && name.bytes().all(token)
    };
    let line = |line: &str| {
        let (name, value) = line.split_once([':', '='])?;
        is_name(name.trim()).then(|| (name.trim().to_owned(), value.trim().to_owned()))
    };
    let found: Vec<Line> = text.lines().filter_map(line).take(LINES_MAX).collect();
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expected() -> Vec<Line> {
        [
            ("Traceparent", "00-a"),
            ("Baggage", "a=1"),
            ("Baggage", "b=2"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn json_is_read_in_every_form_that_echoes_have() {
        for body in [
            r#"{"url": "/", "headers": {"Traceparent": "00-a", "Baggage": ["a=1", "b=2"]}}"#,
            r#"{"Traceparent": "00-a", "Baggage": ["a=1", "b=2"]}"#,
            r#"{"request": {"Headers": [["Traceparent", "00-a"], ["Baggage", "a=1"], ["Baggage", "b=2"]]}}"#,
            r#"[{"name": "Traceparent", "value": "00-a"}, {"name": "Baggage", "value": ["a=1", "b=2"]}]"#,
        ] {
            let read = Echo::Body.read(&HeaderMap::new(), body.as_bytes());
            assert_eq!(read, Some(expected()), "{body}");
        }
    }

    #[test]
    fn plain_lines_are_read_and_other_lines_passed_over() {
        let body = b"GET / HTTP/1.1\nTraceparent: 00-a\r\nBaggage: a=1\nBaggage: b=2\n\nhello\n";
        assert_eq!(Echo::Body.read(&HeaderMap::new(), body), Some(expected()));
    }

    #[test]
    fn headers_of_the_answer_are_read_by_their_pattern() {
        let mut headers = HeaderMap::new();
        headers.append("x-seen-traceparent", http::HeaderValue::from_static("00-a"));
        headers.append("server", http::HeaderValue::from_static("nginx"));
        let echo = Echo::of_header("X-Seen-*").unwrap();
        assert_eq!(
            echo.read(&headers, b""),
            Some(vec![("traceparent".to_owned(), "00-a".to_owned())])
        );
        assert_eq!(Echo::of_header("x-seen"), Err(BadEcho::Star));
        assert_eq!(Echo::of_header("*"), Err(BadEcho::Star));
        assert_eq!("xml".parse::<Echo>(), Err(BadEcho::Form));
    }

    #[test]
    fn a_page_is_no_echo() {
        let page = b"<!doctype html>\n<p>hello</p>\n";
        assert_eq!(Echo::Body.read(&HeaderMap::new(), page), None);
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_is_none(body: Vec<u8>) {
            for echo in [Echo::Json, Echo::Lines, Echo::Body] {
                prop_assert!(echo.read(&HeaderMap::new(), &body).is_none_or(|lines| !lines.is_empty()));
            }
        }
    }
}
