//! What backends answer, read into OTLP: their JSON is OTLP's in three spellings, Jaeger's own and
//! Zipkin's.
//!
//! Read leniently: a field that is missing or of another kind counts as not told, for a trace with
//! one odd span is still worth seeing. What is no JSON at all is refused by whoever calls.

pub(super) mod jaeger;
pub(super) mod otlp;
pub(super) mod zipkin;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, status};
use serde_json::Value;
use std::collections::BTreeMap;

/// A member under either of its spellings.
pub(super) fn member<'a>(value: &'a Value, camel: &str, snake: &str) -> Option<&'a Value> {
    let found = value.get(camel).or_else(|| value.get(snake));
    found.filter(|found| !found.is_null())
}

/// A list; what is none is empty.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text; what is none is empty.
pub(super) fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// A whole number, which JSON writes as text when it has 64 bits.
pub(super) fn number(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A trace id in hexadecimal, whose leading zeros some leave out (Tempo), and of which some have
/// only the right half (Zipkin, Jaeger).
pub(super) fn trace_id(text: &str) -> Option<TraceId> {
    let is_hex = !text.is_empty() && text.len() <= 32 && is_hex(text);
    let id = TraceId::from_hex(text).ok().filter(|_| is_hex)?;
    (id != TraceId::INVALID).then_some(id)
}

/// A span id in hexadecimal.
pub(super) fn span_id(text: &str) -> Option<SpanId> {
    let is_hex = !text.is_empty() && text.len() <= 16 && is_hex(text);
    let id = SpanId::from_hex(text).ok().filter(|_| is_hex)?;
    (id != SpanId::INVALID).then_some(id)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An attribute.
pub(super) fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A status that is an error, with words.
fn error_status(message: &str) -> Status {
    Status {
        code: status::StatusCode::Error.into(),
        message: message.to_owned(),
    }
}

/// Spans by the service that recorded them, for models that tell it of each span.
#[derive(Default)]
struct ByService(BTreeMap<String, (Vec<KeyValue>, Vec<Span>)>);

impl ByService {
    /// `key` tells resources apart; the attributes count the first time.
    fn add(&mut self, key: &str, resource: impl FnOnce() -> Vec<KeyValue>, span: Span) {
        let group = self.0.entry(key.to_owned());
        group
            .or_insert_with(|| (resource(), Vec::new()))
            .1
            .push(span);
    }

    fn groups(self) -> Vec<ResourceSpans> {
        let group = |(attributes, spans)| ResourceSpans {
            resource: Some(Resource {
                attributes,
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        };
        self.0.into_values().map(group).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_lack_its_leading_zeros_and_never_be_all_zeros() {
        let id = trace_id("7a1d2dd4deaf177e0acf55b3c49032").unwrap();
        assert_eq!(id.to_string(), "007a1d2dd4deaf177e0acf55b3c49032");
        for text in ["", "0", "xyz", "+1", &"1".repeat(33)] {
            assert_eq!(trace_id(text), None, "{text}");
        }
        assert_eq!(span_id("1").unwrap().to_string(), "0000000000000001");
        assert_eq!(span_id(&"1".repeat(17)), None);
    }
}
