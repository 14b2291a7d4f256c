//! OTLP as Tempo writes it in JSON, which is not OTLP's own JSON: ids are base64, enumerations are
//! words, numbers of 64 bits are texts, and what has its default is left out (protobuf's mapping).

use crate::view;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, span, status,
};
use serde_json::{Map, Value, json};

/// The groups of a trace.
pub(super) fn groups(groups: &[ResourceSpans]) -> Value {
    groups.iter().map(group).collect()
}

/// Members in order, without those that have their default.
#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn put(&mut self, name: &str, value: Value) {
        let is_default = match &value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Number(number) => number.as_u64() == Some(0),
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(_) => false,
        };
        if !is_default {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// A number of 64 bits.
    fn put_long(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.put(name, Value::String(value.to_string()));
        }
    }

    fn put_bytes(&mut self, name: &str, bytes: &[u8]) {
        self.put(name, Value::String(STANDARD.encode(bytes)));
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

fn group(group: &ResourceSpans) -> Value {
    let mut members = Members::default();
    if let Some(resource) = &group.resource {
        let mut inner = Members::default();
        inner.put("attributes", attributes(&resource.attributes));
        let dropped = resource.dropped_attributes_count;
        inner.put("droppedAttributesCount", dropped.into());
        members.put("resource", inner.done());
    }
    let scopes = group.scope_spans.iter().map(scope_spans).collect();
    members.put("scopeSpans", scopes);
    members.put("schemaUrl", group.schema_url.as_str().into());
    members.done()
}

fn scope_spans(scoped: &ScopeSpans) -> Value {
    let mut members = Members::default();
    if let Some(named) = &scoped.scope {
        members.put("scope", scope(named));
    }
    members.put("spans", scoped.spans.iter().map(one_span).collect());
    members.put("schemaUrl", scoped.schema_url.as_str().into());
    members.done()
}

fn scope(scope: &InstrumentationScope) -> Value {
    let mut members = Members::default();
    members.put("name", scope.name.as_str().into());
    members.put("version", scope.version.as_str().into());
    members.put("attributes", attributes(&scope.attributes));
    let dropped = scope.dropped_attributes_count;
    members.put("droppedAttributesCount", dropped.into());
    members.done()
}

fn one_span(span: &Span) -> Value {
    let mut members = Members::default();
    members.put_bytes("traceId", &span.trace_id);
    members.put_bytes("spanId", &span.span_id);
    members.put("traceState", span.trace_state.as_str().into());
    members.put_bytes("parentSpanId", &span.parent_span_id);
    members.put("flags", span.flags.into());
    members.put("name", span.name.as_str().into());
    members.put("kind", kind(span.kind));
    members.put_long("startTimeUnixNano", span.start_time_unix_nano);
    members.put_long("endTimeUnixNano", span.end_time_unix_nano);
    members.put("attributes", attributes(&span.attributes));
    let dropped = span.dropped_attributes_count;
    members.put("droppedAttributesCount", dropped.into());
    members.put("events", span.events.iter().map(event).collect());
    members.put("droppedEventsCount", span.dropped_events_count.into());
    members.put("links", span.links.iter().map(link).collect());
    members.put("droppedLinksCount", span.dropped_links_count.into());
    if let Some(status) = &span.status {
        members.put("status", status_of(status));
    }
    members.done()
}

/// A word, or the number where we know no word for it.
fn kind(kind: i32) -> Value {
    match span::SpanKind::try_from(kind) {
        Ok(span::SpanKind::Unspecified) => Value::Null,
        Ok(kind) => kind.as_str_name().into(),
        Err(_) => kind.into(),
    }
}

fn status_of(status: &Status) -> Value {
    let mut members = Members::default();
    members.put("message", status.message.as_str().into());
    let code = match status::StatusCode::try_from(status.code) {
        Ok(status::StatusCode::Unset) => Value::Null,
        Ok(code) => code.as_str_name().into(),
        Err(_) => status.code.into(),
    };
    members.put("code", code);
    members.done()
}

fn event(event: &span::Event) -> Value {
    let mut members = Members::default();
    members.put_long("timeUnixNano", event.time_unix_nano);
    members.put("name", event.name.as_str().into());
    members.put("attributes", attributes(&event.attributes));
    let dropped = event.dropped_attributes_count;
    members.put("droppedAttributesCount", dropped.into());
    members.done()
}

fn link(link: &span::Link) -> Value {
    let mut members = Members::default();
    members.put_bytes("traceId", &link.trace_id);
    members.put_bytes("spanId", &link.span_id);
    members.put("traceState", link.trace_state.as_str().into());
    members.put("attributes", attributes(&link.attributes));
    let dropped = link.dropped_attributes_count;
    members.put("droppedAttributesCount", dropped.into());
    members.put("flags", link.flags.into());
    members.done()
}

fn attributes(attributes: &[KeyValue]) -> Value {
    let pair = |one: &KeyValue| json!({"key": one.key, "value": any(one.value.as_ref())});
    attributes.iter().map(pair).collect()
}

fn any(value: Option<&AnyValue>) -> Value {
    use any_value::Value as Any;
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json!({"stringValue": text}),
        Some(Any::BoolValue(truth)) => json!({"boolValue": truth}),
        Some(Any::IntValue(number)) => json!({"intValue": number.to_string()}),
        Some(Any::DoubleValue(number)) => json!({"doubleValue": double(*number)}),
        Some(Any::BytesValue(bytes)) => json!({"bytesValue": STANDARD.encode(bytes)}),
        Some(Any::ArrayValue(list)) => {
            let values: Value = list.values.iter().map(|one| any(Some(one))).collect();
            json!({"arrayValue": {"values": values}})
        }
        Some(Any::KvlistValue(map)) => json!({"kvlistValue": {"values": attributes(&map.values)}}),
        // A reference into a table that traces do not have.
        Some(Any::StringValueStrindex(_)) | None => json!({}),
    }
}

/// JSON has no number for these.
fn double(number: f64) -> Value {
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        (if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        })
        .into()
    } else {
        number.into()
    }
}

/// An attribute of a span as a search tells of it.
pub(super) fn attribute(key: &str, value: &view::Value) -> Value {
    json!({"key": key, "value": any_of_view(value)})
}

fn any_of_view(value: &view::Value) -> Value {
    match value {
        view::Value::Text(text) => json!({"stringValue": text}),
        view::Value::Bool(truth) => json!({"boolValue": truth}),
        view::Value::Int(number) => json!({"intValue": number.to_string()}),
        view::Value::Double(number) => json!({"doubleValue": double(*number)}),
        view::Value::Bytes(bytes) => json!({"bytesValue": STANDARD.encode(bytes)}),
        view::Value::List(list) => {
            let values: Value = list.iter().map(any_of_view).collect();
            json!({"arrayValue": {"values": values}})
        }
        view::Value::Map(map) => {
            let values: Value = map
                .iter()
                .map(|(key, value)| attribute(key, value))
                .collect();
            json!({"kvlistValue": {"values": values}})
        }
        view::Value::Empty => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
    use opentelemetry_proto::tonic::resource::v1::Resource;

    fn pair(key: &str, value: any_value::Value) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    }

    #[test]
    fn a_span_is_written_as_tempo_writes_it() {
        let span = Span {
            trace_id: vec![0x5b, 0x8e, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            span_id: vec![0, 0, 0, 0, 0, 0, 0, 2],
            name: "GET /cart".to_owned(),
            kind: 2,
            start_time_unix_nano: 1_544_712_660_000_000_000,
            end_time_unix_nano: 1_544_712_661_000_000_000,
            attributes: vec![
                pair("n", any_value::Value::IntValue(200)),
                pair("ratio", any_value::Value::DoubleValue(0.5)),
                pair("nan", any_value::Value::DoubleValue(f64::NAN)),
                pair("off", any_value::Value::BoolValue(false)),
                pair("empty", any_value::Value::StringValue(String::new())),
                pair(
                    "list",
                    any_value::Value::ArrayValue(ArrayValue {
                        values: vec![AnyValue {
                            value: Some(any_value::Value::BytesValue(vec![1])),
                        }],
                    }),
                ),
                pair(
                    "map",
                    any_value::Value::KvlistValue(KeyValueList {
                        values: vec![pair("k", any_value::Value::IntValue(-1))],
                    }),
                ),
            ],
            events: vec![span::Event {
                time_unix_nano: 7,
                name: "exception".to_owned(),
                ..span::Event::default()
            }],
            links: vec![span::Link {
                trace_id: vec![1; 16],
                span_id: vec![2; 8],
                ..span::Link::default()
            }],
            status: Some(Status {
                message: "no".to_owned(),
                code: 2,
            }),
            ..Span::default()
        };
        let written = groups(&[ResourceSpans {
            resource: Some(Resource {
                attributes: vec![pair(
                    "service.name",
                    any_value::Value::StringValue("shop".to_owned()),
                )],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "lib".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }]);

        insta::assert_snapshot!(serde_json::to_string_pretty(&written).unwrap());
    }

    #[test]
    fn an_empty_span_has_no_member() {
        assert_eq!(one_span(&Span::default()), json!({}));
        assert_eq!(any(None), json!({}));
        let odd = Span {
            kind: 77,
            ..Span::default()
        };
        assert_eq!(one_span(&odd), json!({"kind": 77}));
    }
}
