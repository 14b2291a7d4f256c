//! Tests only: reads spans back with OpenTelemetry's generated types.

use super::context::TraceState;
use super::span::{OpenSpan, SpanIds, SpanLimits};
use crate::clock::Timestamp;
use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
use prost::Message as _;

/// When [`open`]'s spans start, and [`ended`]'s end a microsecond later.
pub(super) const START: Timestamp = Timestamp::from_unix_nanos(1_700_000_000_000_000_000);

/// Ids of a span with a remote parent.
pub(super) const IDS: SpanIds = SpanIds {
    trace_id: TraceId::from_bytes([0xab; 16]),
    span_id: SpanId::from_bytes([0xcd; 8]),
    parent: Some(SpanId::from_bytes([0xef; 8])),
    parent_is_remote: true,
    flags: 0x03,
};

/// A span without attributes.
pub(super) fn open(limits: &SpanLimits) -> OpenSpan {
    OpenSpan::start(
        SpanKind::Internal,
        IDS,
        &TraceState::EMPTY,
        &["name"],
        START,
        limits,
    )
}

/// Ends a span and reads it back.
pub(super) fn ended(span: OpenSpan) -> Span {
    let mut out = Vec::new();
    span.end(START.plus(std::time::Duration::from_micros(1)), &mut out);
    let mut spans = ScopeSpans::decode(out.as_slice()).unwrap().spans;
    assert_eq!(spans.len(), 1);
    spans.remove(0)
}

/// The only value under `key`.
#[track_caller]
pub(super) fn attribute(span: &Span, key: &str) -> Option<Value> {
    let mut found = span
        .attributes
        .iter()
        .filter(|attribute| attribute.key == key);
    let value = found.next()?.value.clone()?.value;
    assert!(found.next().is_none(), "`{key}` is repeated");
    value
}

/// All attributes as `key=value` lines, in their order.
pub(crate) fn lines(span: &Span) -> Vec<String> {
    let line =
        |attribute: &KeyValue| format!("{}={}", attribute.key, text(attribute.value.as_ref()));
    span.attributes.iter().map(line).collect()
}

fn text(any: Option<&AnyValue>) -> String {
    match any.and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => format!("{number:?}"),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::ArrayValue(array)) => {
            let texts: Vec<String> = array.values.iter().map(|any| text(Some(any))).collect();
            format!("[{}]", texts.join(", "))
        }
        other => format!("{other:?}"),
    }
}
