//! OTLP in JSON: as OTLP says (ids in hexadecimal, enums as numbers), as Tempo writes it (ids in
//! base64, enums by name), and as Jaeger's v3 does.

use super::{list, member, number, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, span, status,
};
use serde_json::Value;

/// Base64 with its padding or without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The groups of spans in a document, wherever they stand in it: bare, or in `trace` (Tempo's
/// v2) or `result` (Jaeger's v3); Tempo's v1 calls them `batches`.
pub(in crate::backend) fn groups(document: &Value) -> Vec<ResourceSpans> {
    let inner = document.get("trace").or_else(|| document.get("result"));
    let inner = inner.unwrap_or(document);
    let groups = member(inner, "resourceSpans", "resource_spans").or_else(|| inner.get("batches"));
    list(groups).iter().map(group).collect()
}

fn group(value: &Value) -> ResourceSpans {
    let resource = value.get("resource").map(|resource| Resource {
        attributes: attributes(resource),
        ..Resource::default()
    });
    let scopes = member(value, "scopeSpans", "scope_spans")
        // Before OTLP 0.15.
        .or_else(|| value.get("instrumentationLibrarySpans"));
    ResourceSpans {
        resource,
        scope_spans: list(scopes).iter().map(scope).collect(),
        schema_url: text(member(value, "schemaUrl", "schema_url")).to_owned(),
    }
}

fn scope(value: &Value) -> ScopeSpans {
    let scope = value.get("scope").map(|scope| InstrumentationScope {
        name: text(scope.get("name")).to_owned(),
        version: text(scope.get("version")).to_owned(),
        ..InstrumentationScope::default()
    });
    ScopeSpans {
        scope,
        spans: list(value.get("spans")).iter().map(one).collect(),
        schema_url: text(member(value, "schemaUrl", "schema_url")).to_owned(),
    }
}

fn one(value: &Value) -> Span {
    let moment = |camel, snake| number(member(value, camel, snake)).unwrap_or(0);
    Span {
        trace_id: id(member(value, "traceId", "trace_id"), 16),
        span_id: id(member(value, "spanId", "span_id"), 8),
        parent_span_id: id(member(value, "parentSpanId", "parent_span_id"), 8),
        trace_state: text(member(value, "traceState", "trace_state")).to_owned(),
        flags: number(value.get("flags"))
            .and_then(|flags| u32::try_from(flags).ok())
            .unwrap_or(0),
        name: text(value.get("name")).to_owned(),
        kind: kind(value.get("kind")),
        start_time_unix_nano: moment("startTimeUnixNano", "start_time_unix_nano"),
        end_time_unix_nano: moment("endTimeUnixNano", "end_time_unix_nano"),
        attributes: attributes(value),
        events: list(value.get("events")).iter().map(event).collect(),
        links: list(value.get("links")).iter().map(link).collect(),
        status: value.get("status").map(|status| Status {
            code: code(status.get("code")),
            message: text(status.get("message")).to_owned(),
        }),
        ..Span::default()
    }
}

fn event(value: &Value) -> span::Event {
    let at = number(member(value, "timeUnixNano", "time_unix_nano"));
    span::Event {
        time_unix_nano: at.unwrap_or(0),
        name: text(value.get("name")).to_owned(),
        attributes: attributes(value),
        ..span::Event::default()
    }
}

fn link(value: &Value) -> span::Link {
    span::Link {
        trace_id: id(member(value, "traceId", "trace_id"), 16),
        span_id: id(member(value, "spanId", "span_id"), 8),
        trace_state: text(member(value, "traceState", "trace_state")).to_owned(),
        attributes: attributes(value),
        ..span::Link::default()
    }
}

/// An id of `length` bytes, in hexadecimal or base64; which one is told by how long it is.
fn id(value: Option<&Value>, length: usize) -> Vec<u8> {
    let text = text(value);
    let bytes = if text.len() == 2 * length {
        hex(text)
    } else {
        LENIENT.decode(text).ok()
    };
    bytes
        .filter(|bytes| bytes.len() == length)
        .unwrap_or_default()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(pair).collect()
}

/// A kind by its number or its name.
fn kind(value: Option<&Value>) -> i32 {
    match value {
        Some(Value::String(name)) => {
            let known = span::SpanKind::from_str_name(name);
            known.unwrap_or(span::SpanKind::Unspecified).into()
        }
        other => number(other)
            .and_then(|kind| i32::try_from(kind).ok())
            .unwrap_or(0),
    }
}

fn code(value: Option<&Value>) -> i32 {
    match value {
        Some(Value::String(name)) => {
            let known = status::StatusCode::from_str_name(name);
            known.unwrap_or(status::StatusCode::Unset).into()
        }
        other => number(other)
            .and_then(|code| i32::try_from(code).ok())
            .unwrap_or(0),
    }
}

/// The attributes in an object.
pub(in crate::backend) fn attributes(value: &Value) -> Vec<KeyValue> {
    list(value.get("attributes")).iter().map(pair).collect()
}

fn pair(value: &Value) -> KeyValue {
    KeyValue {
        key: text(value.get("key")).to_owned(),
        value: value.get("value").map(typed),
        ..KeyValue::default()
    }
}

/// Reads a value of one kind.
type Reads = fn(&Value) -> Option<Any>;

/// How deep values may lie in one another is bounded by whoever parsed the JSON.
fn typed(value: &Value) -> AnyValue {
    let kinds: [(&str, &str, Reads); 7] = [
        ("stringValue", "string_value", |value| {
            value.as_str().map(|text| Any::StringValue(text.to_owned()))
        }),
        ("intValue", "int_value", |value| {
            let number = value.as_i64();
            let number = number.or_else(|| value.as_str()?.parse().ok());
            number.map(Any::IntValue)
        }),
        ("boolValue", "bool_value", |value| {
            value.as_bool().map(Any::BoolValue)
        }),
        ("doubleValue", "double_value", |value| {
            let number = value.as_f64();
            let number = number.or_else(|| value.as_str()?.parse().ok());
            number.map(Any::DoubleValue)
        }),
        ("arrayValue", "array_value", |value| {
            let values = list(value.get("values")).iter().map(typed).collect();
            Some(Any::ArrayValue(ArrayValue { values }))
        }),
        ("kvlistValue", "kvlist_value", |value| {
            let values = list(value.get("values")).iter().map(pair).collect();
            Some(Any::KvlistValue(KeyValueList { values }))
        }),
        ("bytesValue", "bytes_value", |value| {
            STANDARD.decode(value.as_str()?).ok().map(Any::BytesValue)
        }),
    ];
    let found = kinds
        .into_iter()
        .find_map(|(camel, snake, read)| read(member(value, camel, snake)?));
    AnyValue { value: found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::trace::v1::TracesData;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn tempos_spelling_and_otlps_say_the_same() {
        let tempo = json!({"trace": {"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "edge"}}]},
            "scopeSpans": [{"scope": {"name": "edgespan"}, "spans": [{
                "traceId": "S/kvNXezTaajzpKdDg5HNg==", "spanId": "APBnqguoxbc=",
                "name": "GET /", "kind": "SPAN_KIND_SERVER",
                "startTimeUnixNano": "1", "endTimeUnixNano": "3",
                "attributes": [{"key": "n", "value": {"intValue": "7"}}],
                "status": {"code": "STATUS_CODE_ERROR"}}]}]}]}});
        let otlp = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "edge"}}]},
            "scopeSpans": [{"scope": {"name": "edgespan"}, "spans": [{
                "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba8c5b7",
                "name": "GET /", "kind": 2, "startTimeUnixNano": 1, "endTimeUnixNano": "3",
                "attributes": [{"key": "n", "value": {"intValue": 7}}],
                "status": {"code": 2}}]}]}]});
        let read = groups(&tempo);
        assert_eq!(read, groups(&otlp));
        let span = &read[0].scope_spans[0].spans[0];
        assert_eq!(
            (span.kind, span.start_time_unix_nano, span.trace_id.len()),
            (2, 1, 16)
        );
        assert_eq!(span.parent_span_id, Vec::<u8>::new());
    }

    #[test]
    fn what_the_generated_types_write_is_read_back() {
        let value = |value| crate::backend::read::attribute("k", value);
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: vec![3; 8],
            name: "s".to_owned(),
            kind: 3,
            start_time_unix_nano: u64::MAX - 1,
            end_time_unix_nano: u64::MAX,
            flags: 0x301,
            trace_state: "a=b".to_owned(),
            attributes: vec![
                value(Any::IntValue(i64::MIN)),
                value(Any::BoolValue(true)),
                value(Any::DoubleValue(1.5)),
                value(Any::BytesValue(vec![0, 255])),
                value(Any::ArrayValue(ArrayValue {
                    values: vec![AnyValue {
                        value: Some(Any::StringValue("x".to_owned())),
                    }],
                })),
            ],
            events: vec![span::Event {
                name: "e".to_owned(),
                time_unix_nano: 9,
                ..Default::default()
            }],
            links: vec![span::Link {
                trace_id: vec![4; 16],
                span_id: vec![5; 8],
                ..Default::default()
            }],
            status: Some(Status::default()),
            ..Span::default()
        };
        let groups_written = vec![ResourceSpans {
            resource: Some(Resource::default()),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope::default()),
                spans: vec![span],
                schema_url: "https://s".to_owned(),
            }],
            schema_url: String::new(),
        }];
        let data = TracesData {
            resource_spans: groups_written.clone(),
        };
        assert_eq!(
            groups(&serde_json::to_value(&data).unwrap()),
            groups_written
        );
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~]{0,24}".prop_map(Value::from),
        ];
        let keys = prop_oneof![
            Just("resourceSpans"),
            Just("scopeSpans"),
            Just("spans"),
            Just("trace"),
            Just("traceId"),
            Just("attributes"),
            Just("value"),
            Just("kind"),
            Just("status"),
            Just("arrayValue"),
            Just("values"),
            Just("events"),
            Just("bytesValue"),
        ];
        leaf.prop_recursive(8, 64, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((keys.clone(), inner), 0..4).prop_map(|members| {
                    members
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_is_read_without_a_panic(document in documents()) {
            for group in groups(&document) {
                for span in group.scope_spans.iter().flat_map(|scope| &scope.spans) {
                    prop_assert!(matches!(span.trace_id.len(), 0 | 16));
                }
            }
        }
    }
}
