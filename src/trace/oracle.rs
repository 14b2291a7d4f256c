//! Tests only: reads spans back with OpenTelemetry's generated types.

use super::context::TraceState;
use super::span::{OpenSpan, SpanIds, SpanLimits};
use crate::clock::Timestamp;
use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
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
pub(super) fn lines(span: &Span) -> Vec<String> {
    let text = |value: &Option<Value>| match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => format!("{number:?}"),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let value = |attribute: &opentelemetry_proto::tonic::common::v1::KeyValue| {
        let value = attribute.value.clone().and_then(|any| any.value);
        format!("{}={}", attribute.key, text(&value))
    };
    span.attributes.iter().map(value).collect()
}
