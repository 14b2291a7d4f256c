//! Traces as Jaeger's own page gets them (`/api/traces`): microseconds, `tags`, `processes`.

use super::{ByService, attribute, error_status, list, number, span_id, text, trace_id};
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, Status, span, status};
use serde_json::Value;

/// Nanoseconds of Jaeger's microsecond.
const MICROSECOND: u64 = 1_000;

/// The traces in `data`, each with its id.
pub(in crate::backend) fn traces(document: &Value) -> Vec<(TraceId, Vec<ResourceSpans>)> {
    let traces = list(document.get("data")).iter();
    traces
        .filter_map(|trace| Some((trace_id(text(trace.get("traceID")))?, groups(trace))))
        .collect()
}

fn groups(trace: &Value) -> Vec<ResourceSpans> {
    let mut found = ByService::default();
    let processes = trace.get("processes");
    for span in list(trace.get("spans")) {
        let key = text(span.get("processID"));
        let process = processes.and_then(|processes| processes.get(key));
        let resource = || {
            let name = text(process.and_then(|process| process.get("serviceName")));
            let mut attributes = vec![attribute("service.name", Any::StringValue(name.to_owned()))];
            attributes.extend(tags(process.and_then(|process| process.get("tags"))));
            attributes
        };
        found.add(key, resource, one(span));
    }
    found.groups()
}

fn one(value: &Value) -> Span {
    let start = number(value.get("startTime"))
        .unwrap_or(0)
        .saturating_mul(MICROSECOND);
    let length = number(value.get("duration"))
        .unwrap_or(0)
        .saturating_mul(MICROSECOND);
    let told = tags(value.get("tags"));
    let id = trace_id(text(value.get("traceID")));
    let mut references = list(value.get("references")).iter();
    let parent = references.find(|reference| {
        text(reference.get("refType")) == "CHILD_OF"
            && trace_id(text(reference.get("traceID"))) == id
    });
    let parent = parent.and_then(|reference| span_id(text(reference.get("spanID"))));
    // Before references there was one field.
    let parent = parent.or_else(|| span_id(text(value.get("parentSpanID"))));
    let links = list(value.get("references")).iter().filter_map(link);
    let links = links
        .filter(|link| Some(&link.span_id) != parent.map(|id| id.to_bytes().to_vec()).as_ref());
    Span {
        trace_id: id.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        span_id: span_id(text(value.get("spanID")))
            .map(|id| id.to_bytes().to_vec())
            .unwrap_or_default(),
        parent_span_id: parent.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        name: text(value.get("operationName")).to_owned(),
        kind: kind(&told),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(length),
        status: state(&told),
        trace_state: string(&told, "w3c.tracestate")
            .unwrap_or_default()
            .to_owned(),
        events: list(value.get("logs")).iter().map(event).collect(),
        links: links.collect(),
        // What OTLP has a field for stands there.
        attributes: told.into_iter().filter(|tag| !is_field(&tag.key)).collect(),
        ..Span::default()
    }
}

fn link(reference: &Value) -> Option<span::Link> {
    Some(span::Link {
        trace_id: trace_id(text(reference.get("traceID")))?
            .to_bytes()
            .to_vec(),
        span_id: span_id(text(reference.get("spanID")))?.to_bytes().to_vec(),
        ..span::Link::default()
    })
}

fn event(log: &Value) -> span::Event {
    let fields = tags(log.get("fields"));
    let name = string(&fields, "event").or_else(|| string(&fields, "message"));
    span::Event {
        time_unix_nano: number(log.get("timestamp"))
            .unwrap_or(0)
            .saturating_mul(MICROSECOND),
        name: name.unwrap_or("log").to_owned(),
        attributes: fields
            .into_iter()
            .filter(|field| field.key != "event")
            .collect(),
        ..span::Event::default()
    }
}

fn is_field(key: &str) -> bool {
    let fields = [
        "span.kind",
        "otel.status_code",
        "otel.status_description",
        "w3c.tracestate",
    ];
    fields.contains(&key) || key == "internal.span.format"
}

fn kind(tags: &[KeyValue]) -> i32 {
    let kind = match string(tags, "span.kind") {
        Some("server") => span::SpanKind::Server,
        Some("client") => span::SpanKind::Client,
        Some("producer") => span::SpanKind::Producer,
        Some("consumer") => span::SpanKind::Consumer,
        Some("internal") => span::SpanKind::Internal,
        Some(_) | None => span::SpanKind::Unspecified,
    };
    kind.into()
}

fn state(tags: &[KeyValue]) -> Option<Status> {
    let message = string(tags, "otel.status_description").unwrap_or_default();
    let says_error = tags.iter().any(|tag| {
        tag.key == "error"
            && match value(tag) {
                Some(Any::BoolValue(truth)) => *truth,
                Some(Any::StringValue(text)) => text == "true",
                _ => false,
            }
    });
    match string(tags, "otel.status_code") {
        Some("OK") => Some(Status {
            code: status::StatusCode::Ok.into(),
            message: message.to_owned(),
        }),
        Some("ERROR") => Some(error_status(message)),
        Some(_) | None => says_error.then(|| error_status(message)),
    }
}

fn tags(value: Option<&Value>) -> Vec<KeyValue> {
    list(value).iter().map(tag).collect()
}

fn tag(tag: &Value) -> KeyValue {
    let value = tag.get("value");
    let plain = match value {
        Some(Value::String(text)) => match text_of_type(text, super::text(tag.get("type"))) {
            Some(typed) => typed,
            None => Any::StringValue(text.clone()),
        },
        Some(Value::Bool(truth)) => Any::BoolValue(*truth),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(whole) if tag.get("type").is_none_or(|kind| kind != "float64") => {
                Any::IntValue(whole)
            }
            Some(_) | None => Any::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        other => Any::StringValue(other.map(Value::to_string).unwrap_or_default()),
    };
    attribute(text(tag.get("key")), plain)
}

/// Numbers that JavaScript would not keep are written as texts.
fn text_of_type(text: &str, kind: &str) -> Option<Any> {
    match kind {
        "int64" => text.parse().ok().map(Any::IntValue),
        "float64" => text.parse().ok().map(Any::DoubleValue),
        "bool" => text.parse().ok().map(Any::BoolValue),
        _ => None,
    }
}

fn value(tag: &KeyValue) -> Option<&Any> {
    tag.value.as_ref()?.value.as_ref()
}

fn string<'a>(tags: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = tags.iter().find(|tag| tag.key == key)?;
    match value(found) {
        Some(Any::StringValue(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Kind, Status as Ended, Trace};
    use serde_json::json;

    #[test]
    fn a_trace_of_jaegers_page_is_read() {
        let document = json!({"data": [{
            "traceID": "4bf92f3577b34da6a3ce929d0e0e4736",
            "spans": [{
                "traceID": "4bf92f3577b34da6a3ce929d0e0e4736", "spanID": "53995c3f42cd8ad8",
                "operationName": "POST", "startTime": 1_795_262_601_482_000_u64, "duration": 412_600,
                "references": [{"refType": "CHILD_OF",
                    "traceID": "4bf92f3577b34da6a3ce929d0e0e4736", "spanID": "00f067aa0ba902b7"}],
                "tags": [
                    {"key": "http.response.status_code", "type": "int64", "value": 502},
                    {"key": "span.kind", "type": "string", "value": "client"},
                    {"key": "error", "type": "bool", "value": true},
                    {"key": "big", "type": "int64", "value": "9007199254740993"}],
                "logs": [{"timestamp": 1_795_262_601_483_000_u64,
                    "fields": [{"key": "event", "type": "string", "value": "retry"}]}],
                "processID": "p1"}],
            "processes": {"p1": {"serviceName": "edgespan",
                "tags": [{"key": "host.name", "type": "string", "value": "a"}]}}}]});

        let found = traces(&document);

        let (id, groups) = &found[0];
        let trace = Trace::of_resource_spans(*id, groups);
        let span = &trace.spans[0];
        assert_eq!((&*span.service, span.name.as_str()), ("edgespan", "POST"));
        assert_eq!((span.kind, span.status), (Kind::Client, Ended::Error));
        assert_eq!(span.start, 1_795_262_601_482_000_000);
        assert_eq!(span.duration(), 412_600_000);
        assert_eq!(span.parent.unwrap().to_string(), "00f067aa0ba902b7");
        assert!(span.links.is_empty());
        assert_eq!(span.events[0].name, "retry");
        let big = span.attribute("big");
        assert_eq!(big, Some(&crate::view::Value::Int(9_007_199_254_740_993)));
    }

    #[test]
    fn what_is_no_trace_is_none() {
        for document in [
            json!({}),
            json!({"data": null}),
            json!({"data": [{"spans": 3}]}),
            json!([]),
        ] {
            assert!(traces(&document).is_empty(), "{document}");
        }
    }
}
