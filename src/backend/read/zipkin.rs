//! Traces of Zipkin's API v2: a list of spans, microseconds, values that are texts.

use super::{ByService, attribute, error_status, list, number, span_id, text, trace_id};
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, Status, span, status};
use serde_json::Value;
use std::collections::HashSet;

/// Nanoseconds of Zipkin's microsecond.
const MICROSECOND: u64 = 1_000;

/// One trace: its id and its spans; None if there is no span with an id.
pub(in crate::backend) fn trace(spans: &Value) -> Option<(TraceId, Vec<ResourceSpans>)> {
    let spans = list(Some(spans));
    let id = spans
        .iter()
        .find_map(|span| trace_id(text(span.get("traceId"))))?;
    let shared = spans.iter().filter(|span| is_shared(span));
    let shared: HashSet<_> = shared
        .map(|span| (text(span.get("id")), service(span)))
        .collect();
    let mut found = ByService::default();
    for span in spans {
        let service = service(span);
        let resource = || {
            vec![attribute(
                "service.name",
                Any::StringValue(service.to_owned()),
            )]
        };
        let is_below_shared = shared.contains(&(text(span.get("parentId")), service));
        found.add(service, resource, one(id, span, is_below_shared));
    }
    Some((id, found.groups()))
}

fn service(span: &Value) -> &str {
    text(span.pointer("/localEndpoint/serviceName"))
}

fn is_shared(span: &Value) -> bool {
    span.get("shared").and_then(Value::as_bool) == Some(true)
}

/// The id of the server's half of a span whose client's half has the id as it is.
fn other_half(mut id: Vec<u8>) -> Vec<u8> {
    id.iter_mut().for_each(|byte| *byte = !*byte);
    id
}

fn one(trace: TraceId, value: &Value, is_below_shared: bool) -> Span {
    let start = number(value.get("timestamp"))
        .unwrap_or(0)
        .saturating_mul(MICROSECOND);
    let length = number(value.get("duration"))
        .unwrap_or(0)
        .saturating_mul(MICROSECOND);
    let tags = tags(value);
    let id = |name: &str| {
        let id = span_id(text(value.get(name)));
        id.map(|id| id.to_bytes().to_vec()).unwrap_or_default()
    };
    // A client and its server may share one id (B3's old way): the server's half gets one of its
    // own, or it would count as the same span told twice.
    let (own, parent) = if is_shared(value) {
        (other_half(id("id")), id("id"))
    } else if is_below_shared {
        (id("id"), other_half(id("parentId")))
    } else {
        (id("id"), id("parentId"))
    };
    Span {
        trace_id: trace.to_bytes().to_vec(),
        span_id: own,
        parent_span_id: parent,
        name: text(value.get("name")).to_owned(),
        kind: kind(text(value.get("kind"))),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(length),
        status: state(value),
        events: list(value.get("annotations")).iter().map(event).collect(),
        attributes: tags,
        ..Span::default()
    }
}

fn tags(value: &Value) -> Vec<KeyValue> {
    let tags = value.get("tags").and_then(Value::as_object);
    let tags = tags.into_iter().flatten();
    // What OTLP has a field for stands there.
    let tags = tags.filter(|(key, _)| !key.starts_with("otel.status_"));
    let tags =
        tags.map(|(key, value)| attribute(key, Any::StringValue(text(Some(value)).to_owned())));
    let mut tags: Vec<_> = tags.collect();
    let peer = text(value.pointer("/remoteEndpoint/serviceName"));
    if !peer.is_empty() && !tags.iter().any(|tag| tag.key == "service.peer.name") {
        tags.push(attribute(
            "service.peer.name",
            Any::StringValue(peer.to_owned()),
        ));
    }
    tags
}

fn event(annotation: &Value) -> span::Event {
    span::Event {
        time_unix_nano: number(annotation.get("timestamp"))
            .unwrap_or(0)
            .saturating_mul(MICROSECOND),
        name: text(annotation.get("value")).to_owned(),
        ..span::Event::default()
    }
}

fn kind(name: &str) -> i32 {
    let kind = match name {
        "SERVER" => span::SpanKind::Server,
        "CLIENT" => span::SpanKind::Client,
        "PRODUCER" => span::SpanKind::Producer,
        "CONSUMER" => span::SpanKind::Consumer,
        // Zipkin has no kind for what happens within a service.
        _ => span::SpanKind::Internal,
    };
    kind.into()
}

/// A tag `error` makes an error of a span, whatever its text; OpenTelemetry writes its own beside.
fn state(value: &Value) -> Option<Status> {
    let tag = |name: &str| {
        value
            .get("tags")
            .and_then(|tags| tags.get(name))
            .and_then(Value::as_str)
    };
    match (tag("otel.status_code"), tag("error")) {
        (Some("ERROR"), said) => Some(error_status(
            tag("otel.status_description").or(said).unwrap_or_default(),
        )),
        (Some("OK"), _) => Some(Status {
            code: status::StatusCode::Ok.into(),
            message: String::new(),
        }),
        (_, Some(said)) if said != "false" => Some(error_status(said)),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Kind, Status as Ended, Trace};
    use serde_json::json;

    #[test]
    fn a_trace_of_zipkin_is_read() {
        let document = json!([
            {"traceId": "86154a4ba6e91385", "id": "86154a4ba6e91385", "name": "get /api",
             "kind": "CLIENT", "timestamp": 1_795_262_601_482_000_u64, "duration": 2_000,
             "localEndpoint": {"serviceName": "frontend"},
             "remoteEndpoint": {"serviceName": "backend"},
             "annotations": [{"timestamp": 1_795_262_601_482_500_u64, "value": "retry"}],
             "tags": {"http.response.status_code": "502", "error": "bad gateway"}},
            {"traceId": "86154a4ba6e91385", "id": "86154a4ba6e91385", "shared": true,
             "name": "get /api", "kind": "SERVER", "timestamp": 1_795_262_601_483_000_u64,
             "duration": 500, "localEndpoint": {"serviceName": "backend"}},
            {"traceId": "86154a4ba6e91385", "id": "1", "parentId": "86154a4ba6e91385",
             "name": "query", "timestamp": 1_795_262_601_483_100_u64, "duration": 100,
             "localEndpoint": {"serviceName": "backend"}}]);

        let (id, groups) = trace(&document).unwrap();

        assert_eq!(id.to_string(), "000000000000000086154a4ba6e91385");
        let trace = Trace::of_resource_spans(id, &groups);
        let [client, server, below] = &trace.spans[..] else {
            panic!("three spans: {trace:?}");
        };
        assert_eq!((&*client.service, client.kind), ("frontend", Kind::Client));
        assert_eq!(
            (client.status, client.message.as_str()),
            (Ended::Error, "bad gateway")
        );
        assert_eq!(client.text("service.peer.name"), Some("backend"));
        assert_eq!(client.events[0].name, "retry");
        assert_eq!((&*server.service, server.kind), ("backend", Kind::Server));
        assert_eq!(server.parent, Some(client.id));
        assert_eq!(server.duration(), 500_000);
        assert_eq!(below.parent, Some(server.id));
    }

    #[test]
    fn what_is_no_trace_is_none() {
        for document in [json!({}), json!([]), json!([{"traceId": "no"}]), json!("x")] {
            assert!(trace(&document).is_none(), "{document}");
        }
    }
}
