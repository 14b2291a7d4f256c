//! The spans that came out, held against those that have to.

use super::matcher::{self, Matcher};
use super::outcome::Failed;
use super::plan::SpanPattern;
use super::values::Values;
use crate::view::{Kind, Span, Status, Trace, Value};
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde_json::Value as Json;
use std::future::Future;
use std::pin::Pin;

/// An answer that is waited for.
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the spans of a trace are asked for.
pub trait SpanSource: Send + Sync {
    /// What is known of a trace by now; none if nothing is. The error in words.
    fn trace(&self, id: TraceId) -> Wait<'_, Result<Vec<ResourceSpans>, String>>;
}

/// What does not hold of a trace, and whether waiting could mend it.
pub(super) fn check(patterns: &[SpanPattern], trace: &Trace, values: &Values) -> Vec<Failed> {
    let failed = patterns.iter().filter_map(|pattern| {
        let spans = trace.spans.iter();
        let count = spans.filter(|span| pattern.has(span, values)).count();
        let too_many = pattern.at_most.is_some_and(|most| count > most);
        (count < pattern.at_least || too_many).then(|| Failed {
            what: "span".to_owned(),
            expected: pattern.told(values),
            got: got(count, trace),
            place: pattern.place,
        })
    });
    failed.collect()
}

/// How many there were, and which spans came out at all: usually one of them was meant.
fn got(count: usize, trace: &Trace) -> String {
    const NAMES_MAX: usize = 6;
    let total = trace.spans.len();
    if total == 0 {
        return "no span of this trace".to_owned();
    }
    let spans = trace.spans.iter().take(NAMES_MAX);
    let names: Vec<String> = spans
        .map(|span| format!("{} {} {}", span.service, kind_name(span.kind), span.name))
        .collect();
    let more = if total > NAMES_MAX { ", ..." } else { "" };
    matcher::cut(&format!("{count} of {total}: {}{more}", names.join(", ")))
}

impl SpanPattern {
    fn has(&self, span: &Span, values: &Values) -> bool {
        let text = |wanted: &Option<Matcher>, actual: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| {
                let actual = actual.map(Json::from);
                wanted.check(actual.as_ref(), values).is_none()
            })
        };
        let service = Some(&*span.service).filter(|service| !service.is_empty());
        text(&self.service, service)
            && text(&self.peer, span.text("service.peer.name"))
            && text(&self.name, Some(&span.name))
            && self.kind.is_none_or(|kind| kind == span.kind)
            && self.status.is_none_or(|status| status == span.status)
            && self.attributes.iter().all(|(key, wanted)| {
                let mut resource = span.resource.iter();
                let mut of_resource = || resource.find(|(name, _)| name == key);
                let value = span
                    .attribute(key)
                    .or_else(|| of_resource().map(|(_, value)| value));
                let value = value.map(json);
                wanted.check(value.as_ref(), values).is_none()
            })
    }

    /// All of it, in words.
    fn told(&self, values: &Values) -> String {
        let count = match (self.at_least, self.at_most) {
            (least, Some(most)) if least == most => least.to_string(),
            (0, Some(most)) => format!("at most {most}"),
            (least, Some(most)) => format!("{least} to {most}"),
            (least, None) => format!("at least {least}"),
        };
        let mut parts = Vec::new();
        let kind = self.kind.map(|kind| kind_name(kind).to_owned());
        let status = self.status.map(|status| status_name(status).to_owned());
        for (name, wanted) in [("kind", kind), ("status", status)] {
            parts.extend(wanted.map(|wanted| format!("{name} {wanted}")));
        }
        let named = [
            ("service", &self.service),
            ("peer", &self.peer),
            ("name", &self.name),
        ];
        for (name, wanted) in named {
            let wanted = wanted.as_ref().map(|wanted| wanted.told(values));
            parts.extend(wanted.map(|wanted| format!("{name} {wanted}")));
        }
        let attributes = self.attributes.iter();
        parts.extend(attributes.map(|(key, wanted)| format!("{key} {}", wanted.told(values))));
        if parts.is_empty() {
            return format!("{count} of any kind");
        }
        format!("{count} with {}", parts.join(", "))
    }
}

/// As the file writes it.
pub(super) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "unspecified",
        Kind::Internal => "internal",
        Kind::Server => "server",
        Kind::Client => "client",
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    }
}

const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Unset => "unset",
        Status::Ok => "ok",
        Status::Error => "error",
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Bool(truth) => Json::from(*truth),
        Value::Int(number) => Json::from(*number),
        Value::Double(number) => Json::from(*number),
        Value::Bytes(bytes) => Json::from(bytes.as_slice()),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(members) => {
            let members = members.iter();
            Json::Object(
                members
                    .map(|(key, value)| (key.clone(), json(value)))
                    .collect(),
            )
        }
        Value::Empty => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::matcher::Test;
    use crate::probe::plan::Place;
    use crate::probe::template::JsonTemplate;
    use opentelemetry::trace::SpanId;
    use serde_json::json;

    fn span(service: &str, name: &str, kind: Kind, status: i64) -> Span {
        Span {
            id: SpanId::from(1),
            parent: None,
            service: service.into(),
            resource: [("team".to_owned(), Value::Text("pay".to_owned()))].into(),
            scope: "".into(),
            name: name.to_owned(),
            kind,
            start: 1,
            end: 2,
            status: Status::Unset,
            message: String::new(),
            state: String::new(),
            flags: 1,
            attributes: vec![("http.response.status_code".to_owned(), Value::Int(status))],
            events: Vec::new(),
            links: Vec::new(),
        }
    }

    fn is(value: Json) -> Matcher {
        Matcher(vec![Test::Equals(JsonTemplate::Plain(value))])
    }

    fn pattern() -> SpanPattern {
        SpanPattern {
            service: None,
            peer: None,
            name: None,
            kind: Some(Kind::Server),
            status: None,
            attributes: vec![("http.response.status_code".to_owned(), is(json!(200)))],
            at_least: 1,
            at_most: None,
            place: Place::default(),
        }
    }

    fn trace() -> Trace {
        Trace {
            id: TraceId::from(1),
            spans: vec![
                span("shop", "GET /a", Kind::Server, 200),
                span("shop", "GET", Kind::Client, 502),
            ],
        }
    }

    #[test]
    fn a_span_that_is_there_holds_with_attributes_of_its_own_or_of_its_resource() {
        let of_team = SpanPattern {
            attributes: vec![("team".to_owned(), is(json!("pay")))],
            service: Some(is(json!("shop"))),
            ..pattern()
        };
        assert_eq!(
            check(&[pattern(), of_team], &trace(), &Values::default()),
            []
        );
    }

    #[test]
    fn spans_are_counted_from_both_sides() {
        let none = SpanPattern {
            kind: None,
            attributes: Vec::new(),
            at_least: 0,
            at_most: Some(1),
            ..pattern()
        };
        let failed = check(&[none], &trace(), &Values::default());
        let [failed] = failed.as_slice() else {
            panic!("{failed:?}");
        };
        assert_eq!(failed.expected, "at most 1 of any kind");
        assert_eq!(failed.got, "2 of 2: shop server GET /a, shop client GET");
    }

    #[test]
    fn what_was_wanted_is_told_in_words() {
        let wanted = SpanPattern {
            service: Some(is(json!("pay"))),
            status: Some(Status::Error),
            ..pattern()
        };
        let empty = Trace {
            spans: Vec::new(),
            ..trace()
        };
        let failed = check(&[wanted], &empty, &Values::default());
        let [failed] = failed.as_slice() else {
            panic!("{failed:?}");
        };
        assert_eq!(
            failed.expected,
            "at least 1 with kind server, status error, service \"pay\", \
             http.response.status_code 200"
        );
        assert_eq!(failed.got, "no span of this trace");
    }
}
