//! A span that is open, encoded as its attributes come.
//!
//! There is no span object to convert later: every field goes into one buffer in OTLP's wire
//! format, and ending the span copies that buffer behind a length. Protobuf lets fields of a
//! message stand in any order, so attributes, events and links are written as they come.

use super::context::TraceState;
pub use super::limits::{AttrValue, SpanLimits};
use super::wire::{self, Any, field};
use crate::clock::Timestamp;
use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use std::ops::Range;

/// Room for a SERVER span with a flow and some flags, so that most spans allocate once.
const BUFFER_BYTES: usize = 1024;
/// Room for the spans of most requests, a decision among them, made with the first that ends.
const REQUEST_BYTES: usize = 2048;
/// Most events, and most links, of one span (the default of `OTEL_SPAN_EVENT_COUNT_LIMIT` and
/// `OTEL_SPAN_LINK_COUNT_LIMIT`).
const EVENTS_OR_LINKS_MAX: u32 = 128;

/// A link without a state: its two ids, and its flags.
const LINK_BYTES: usize = wire::field_len(16) + wire::field_len(8) + 5;

/// `Span.flags`: whether the parent is remote is known.
const HAS_IS_REMOTE: u32 = 0x100;
/// `Span.flags`: the parent is remote.
const IS_REMOTE: u32 = 0x200;

/// Which span, and under which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanIds {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its parent; None for a root.
    pub parent: Option<SpanId>,
    /// Whether the parent is a span of another process.
    pub parent_is_remote: bool,
    /// The W3C flags of the span's context.
    pub flags: u8,
}

/// A span that has started and not ended.
#[derive(Debug)]
#[must_use = "a span that is not ended is lost"]
pub struct OpenSpan {
    ids: SpanIds,
    limits: SpanLimits,
    start: Timestamp,
    /// Encoded fields of `Span`.
    fields: Vec<u8>,
    /// Where in `fields` the name stands.
    name: Range<usize>,
    attribute_count: usize,
    dropped_attributes: u32,
    event_count: u32,
    dropped_events: u32,
    link_count: u32,
    dropped_links: u32,
    error: bool,
}

impl OpenSpan {
    /// Starts a span. The name comes in pieces so that nobody has to join them.
    pub fn start(
        kind: SpanKind,
        ids: SpanIds,
        state: &TraceState,
        name: &[&str],
        start: Timestamp,
        limits: &SpanLimits,
    ) -> Self {
        let mut fields = Vec::with_capacity(BUFFER_BYTES);
        wire::bytes(&mut fields, field::TRACE_ID, &ids.trace_id.to_bytes());
        wire::bytes(&mut fields, field::SPAN_ID, &ids.span_id.to_bytes());
        wire::bytes(&mut fields, field::TRACE_STATE, state.as_str().as_bytes());
        if let Some(parent) = ids.parent {
            wire::bytes(&mut fields, field::PARENT_SPAN_ID, &parent.to_bytes());
        }
        wire::uint(&mut fields, field::KIND, kind_number(&kind));
        wire::fixed64(&mut fields, field::START, start.as_unix_nanos());
        let remote = if ids.parent_is_remote { IS_REMOTE } else { 0 };
        let flags = u32::from(ids.flags) | HAS_IS_REMOTE | remote;
        wire::fixed32(&mut fields, field::FLAGS, flags);
        let name_start = fields.len();
        wire::text(&mut fields, field::NAME, name);
        Self {
            ids,
            limits: *limits,
            start,
            name: name_start..fields.len(),
            fields,
            attribute_count: 0,
            dropped_attributes: 0,
            event_count: 0,
            dropped_events: 0,
            link_count: 0,
            dropped_links: 0,
            error: false,
        }
    }

    /// Which span it is, and under which it stands.
    pub const fn ids(&self) -> SpanIds {
        self.ids
    }

    /// When it started.
    pub const fn started(&self) -> Timestamp {
        self.start
    }

    /// Whether it will end as an error.
    pub const fn is_error(&self) -> bool {
        self.error
    }

    /// Replaces the name, given in pieces.
    pub fn set_name(&mut self, name: &[&str]) {
        let mut encoded = Vec::new();
        wire::text(&mut encoded, field::NAME, name);
        let end = self.name.start + encoded.len();
        drop(self.fields.splice(self.name.clone(), encoded));
        self.name.end = end;
    }

    /// An attribute of any type. Keys must not repeat: readers may take either value.
    pub fn attribute(&mut self, key: &str, value: AttrValue<'_>) {
        match value {
            AttrValue::Str(value) => self.str(key, value),
            AttrValue::Int(value) => self.int(key, value),
            AttrValue::Double(value) => self.double(key, value),
            AttrValue::Bool(value) => self.bool(key, value),
        }
    }

    /// A text attribute.
    #[inline(always)]
    pub fn str(&mut self, key: &str, value: &str) {
        let value = self.limits.cut(value);
        if self.takes_another() {
            wire::key_text(&mut self.fields, field::ATTRIBUTES, key, value);
        }
    }

    /// A text attribute in pieces, so that nobody has to join them.
    pub fn str_parts(&mut self, key: &str, parts: &[&str]) {
        if self.limits.attribute_value_max.is_some() {
            self.str(key, &parts.concat());
        } else {
            self.write(key, &Any::Text(parts));
        }
    }

    /// An integer attribute.
    #[inline(always)]
    pub fn int(&mut self, key: &str, value: i64) {
        if self.takes_another() {
            wire::key_int(&mut self.fields, field::ATTRIBUTES, key, value);
        }
    }

    /// A float attribute.
    pub fn double(&mut self, key: &str, value: f64) {
        self.write(key, &Any::Double(value));
    }

    /// A truth attribute.
    pub fn bool(&mut self, key: &str, value: bool) {
        self.write(key, &Any::Bool(value));
    }

    /// An attribute that is a list of texts; the bound of a text holds for each.
    pub fn str_array(&mut self, key: &str, values: &[&str]) {
        if self.limits.attribute_value_max.is_some() {
            let cut: Vec<&str> = values.iter().map(|value| self.limits.cut(value)).collect();
            self.write(key, &Any::TextArray(&cut));
        } else {
            self.write(key, &Any::TextArray(values));
        }
    }

    /// Attributes that were encoded before, each with where it ends in `records`. Those that find
    /// no room are counted.
    pub(super) fn encoded(&mut self, records: &[u8], ends: &[usize]) {
        let room = self
            .limits
            .attribute_count_max
            .saturating_sub(self.attribute_count);
        let fitting = ends.len().min(room);
        let end = fitting.checked_sub(1).and_then(|last| ends.get(last));
        let records = end.and_then(|&end| records.get(..end));
        self.fields.extend_from_slice(records.unwrap_or_default());
        self.attribute_count += fitting;
        self.drop_attributes(ends.len() - fitting);
    }

    fn write(&mut self, key: &str, value: &Any<'_>) {
        if self.takes_another() {
            wire::key_value(&mut self.fields, field::ATTRIBUTES, key, value);
        }
    }

    /// Counts one more attribute, as one of the span's or as dropped.
    #[inline]
    fn takes_another(&mut self) -> bool {
        let takes = self.attribute_count < self.limits.attribute_count_max;
        if takes {
            self.attribute_count += 1;
        } else {
            self.drop_attributes(1);
        }
        takes
    }

    /// Something that happened at a moment. Of more than 128 events the rest is counted.
    pub fn event(&mut self, name: &str, at: Timestamp, attributes: &[(&str, AttrValue<'_>)]) {
        if self.event_count >= EVENTS_OR_LINKS_MAX {
            self.dropped_events = self.dropped_events.saturating_add(1);
            return;
        }
        self.event_count += 1;
        // Rare, so the short way: into a buffer of its own.
        let mut event = Vec::new();
        wire::fixed64(&mut event, 1, at.as_unix_nanos());
        wire::text(&mut event, 2, &[name]);
        for (key, value) in attributes {
            let write = |value: &Any<'_>| wire::key_value(&mut event, 3, key, value);
            self.limits.with_any(*value, write);
        }
        wire::bytes(&mut self.fields, field::EVENTS, &event);
    }

    /// A span that this one belongs to without standing under it. Of more than 128 links the
    /// rest is counted.
    pub fn link(&mut self, trace_id: TraceId, span_id: SpanId, state: &TraceState, flags: u8) {
        if self.link_count >= EVENTS_OR_LINKS_MAX {
            self.dropped_links = self.dropped_links.saturating_add(1);
            return;
        }
        self.link_count += 1;
        let state = state.as_str().as_bytes();
        let told = usize::from(!state.is_empty()) * wire::field_len(state.len());
        let (fields, length) = (&mut self.fields, LINK_BYTES + told);
        wire::open(fields, field::LINKS, length);
        wire::bytes(fields, 1, &trace_id.to_bytes());
        wire::bytes(fields, 2, &span_id.to_bytes());
        wire::bytes(fields, 3, state);
        wire::fixed32(fields, 6, u32::from(flags) | HAS_IS_REMOTE | IS_REMOTE);
    }

    /// Status Error, without a description: a status code or `error.type` says what it was.
    pub const fn set_error(&mut self) {
        self.error = true;
    }

    /// Ends the span and appends it as one record of `ScopeSpans` field 2. A span never ends
    /// before it starts.
    pub fn end(mut self, at: Timestamp, out: &mut Vec<u8>) {
        let fields = &mut self.fields;
        wire::fixed64(fields, field::END, at.max(self.start).as_unix_nanos());
        wire::uint(fields, field::DROPPED_ATTRIBUTES, self.dropped_attributes);
        wire::uint(fields, field::DROPPED_EVENTS, self.dropped_events);
        wire::uint(fields, field::DROPPED_LINKS, self.dropped_links);
        if self.error {
            // Status { code: 2 }
            wire::bytes(fields, field::STATUS, &[0x18, 0x02]);
        }
        let length = wire::field_len(fields.len());
        let room = usize::from(out.is_empty()) * REQUEST_BYTES;
        out.reserve(length.max(room));
        wire::bytes(out, 2, fields);
    }

    fn drop_attributes(&mut self, more: usize) {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.dropped_attributes = self.dropped_attributes.saturating_add(more);
    }
}

/// OTLP's number for a kind.
const fn kind_number(kind: &SpanKind) -> u32 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::oracle::{IDS, START, attribute, ended, open};
    use http::HeaderValue;
    use opentelemetry_proto::tonic::common::v1::{
        AnyValue, ArrayValue, KeyValue, any_value::Value,
    };
    use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
    use opentelemetry_proto::tonic::trace::v1::{Span, Status};
    use proptest::prelude::*;
    use prost::Message as _;

    fn text(value: &str) -> Option<Value> {
        Some(Value::StringValue(value.to_owned()))
    }

    fn key_value(key: &str, value: Value) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let list = prop::collection::vec(".{0,20}", 0..5).prop_map(|texts| {
            let any = |text| AnyValue {
                value: Some(Value::StringValue(text)),
            };
            Value::ArrayValue(ArrayValue {
                values: texts.into_iter().map(any).collect(),
            })
        });
        prop_oneof![
            ".{0,200}".prop_map(Value::StringValue),
            any::<i64>().prop_map(Value::IntValue),
            any::<f64>().prop_map(Value::DoubleValue),
            any::<bool>().prop_map(Value::BoolValue),
            list,
        ]
    }

    fn write(span: &mut OpenSpan, key: &str, value: &Value) {
        match value {
            Value::StringValue(value) => span.str(key, value),
            Value::IntValue(value) => span.int(key, *value),
            Value::DoubleValue(value) => span.double(key, *value),
            Value::BoolValue(value) => span.bool(key, *value),
            Value::ArrayValue(array) => {
                let texts = array.values.iter().filter_map(|any| match &any.value {
                    Some(Value::StringValue(text)) => Some(text.as_str()),
                    _ => None,
                });
                span.str_array(key, &texts.collect::<Vec<_>>());
            }
            Value::BytesValue(_) | Value::KvlistValue(_) | Value::StringValueStrindex(_) => {
                panic!("no attribute is {value:?}")
            }
        }
    }

    proptest! {
        #[test]
        fn a_span_reads_back_as_the_generated_types_would_have_written_it(
            attributes in prop::collection::vec((".{0,40}", values()), 0..20),
            name in ".{0,300}", first_name in ".{0,300}",
            ids: (u128, u64, Option<u64>, bool), flags in 0_u8..4,
            start: u64, length in 0_u64..1 << 40, error: bool, with_state: bool,
        ) {
            let (trace_id, span_id, parent, parent_is_remote) = ids;
            let (trace_id, span_id) = (TraceId::from(trace_id), SpanId::from(span_id));
            let parent = parent.map(SpanId::from);
            let state = if with_state { TraceState::checked(HeaderValue::from_static("a=1,b=2")) } else { TraceState::EMPTY };
            let end = start.saturating_add(length);
            let ids = SpanIds { trace_id, span_id, parent, parent_is_remote, flags };

            let limits = SpanLimits::default();
            let at = Timestamp::from_unix_nanos(start);
            let mut span = OpenSpan::start(SpanKind::Client, ids, &state, &[&first_name], at, &limits);
            for (key, value) in &attributes {
                write(&mut span, key, value);
            }
            span.event("retry", at, &[("why", AttrValue::Str("reset")), ("n", AttrValue::Int(2))]);
            span.link(trace_id, span_id, &state, flags);
            span.set_name(&[&name]);
            if error {
                span.set_error();
            }
            let mut out = vec![];
            span.end(Timestamp::from_unix_nanos(end), &mut out);

            let trace_state = if with_state { "a=1,b=2".to_owned() } else { String::new() };
            let expected = Span {
                trace_id: trace_id.to_bytes().to_vec(),
                span_id: span_id.to_bytes().to_vec(),
                trace_state: trace_state.clone(),
                parent_span_id: parent.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
                flags: u32::from(flags) | 0x100 | if parent_is_remote { 0x200 } else { 0 },
                name,
                kind: 3,
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                attributes: attributes.into_iter().map(|(key, value)| key_value(&key, value)).collect(),
                dropped_attributes_count: 0,
                events: vec![Event {
                    time_unix_nano: start,
                    name: "retry".to_owned(),
                    attributes: vec![key_value("why", Value::StringValue("reset".to_owned())), key_value("n", Value::IntValue(2))],
                    dropped_attributes_count: 0,
                }],
                dropped_events_count: 0,
                links: vec![Link {
                    trace_id: trace_id.to_bytes().to_vec(),
                    span_id: span_id.to_bytes().to_vec(),
                    trace_state,
                    flags: u32::from(flags) | 0x300,
                    ..Link::default()
                }],
                dropped_links_count: 0,
                status: error.then(|| Status { message: String::new(), code: 2 }),
            };
            let (first, mut record) = out.split_first().unwrap();
            prop_assert_eq!(*first, 0x12);
            prop_assert_eq!(Span::decode_length_delimited(&mut record).unwrap(), expected);
            prop_assert!(record.is_empty());
        }

        #[test]
        fn a_cut_text_keeps_whole_characters(value in ".{0,30}", max in 0_usize..40) {
            let limits = SpanLimits { attribute_value_max: Some(max), ..SpanLimits::default() };
            let expected: String = value.chars().take(max).collect();

            let mut span = open(&limits);
            span.str("whole", &value);
            span.str_parts("parts", &[&value, &value]);
            span.str_array("list", &[&value]);

            let span = ended(span);
            prop_assert_eq!(attribute(&span, "whole"), text(&expected));
            let twice: String = value.chars().chain(value.chars()).take(max).collect();
            prop_assert_eq!(attribute(&span, "parts"), text(&twice));
            let Some(Value::ArrayValue(list)) = attribute(&span, "list") else { panic!("no list") };
            prop_assert_eq!(list.values.first().unwrap().value.clone(), text(&expected));
        }
    }

    #[test]
    fn attributes_beyond_the_limit_are_dropped_and_counted() {
        let limits = SpanLimits {
            attribute_count_max: 2,
            ..SpanLimits::default()
        };
        let mut span = open(&limits);
        for key in ["a", "b", "c", "d"] {
            span.int(key, 1);
        }

        let span = ended(span);

        assert_eq!(
            (span.attributes.len(), span.dropped_attributes_count),
            (2, 2)
        );
    }

    #[test]
    fn events_and_links_beyond_the_limit_are_dropped_and_counted() {
        let mut span = open(&SpanLimits::default());
        for _ in 0..130 {
            span.event("e", START, &[]);
            span.link(IDS.trace_id, IDS.span_id, &TraceState::EMPTY, 0);
        }

        let span = ended(span);

        assert_eq!((span.events.len(), span.dropped_events_count), (128, 2));
        assert_eq!((span.links.len(), span.dropped_links_count), (128, 2));
    }

    #[test]
    fn a_span_never_ends_before_it_starts() {
        let mut out = Vec::new();
        open(&SpanLimits::default()).end(Timestamp::from_unix_nanos(1), &mut out);

        let span = Span::decode_length_delimited(out.get(1..).unwrap()).unwrap();
        assert_eq!(span.end_time_unix_nano, span.start_time_unix_nano);
    }

    #[test]
    fn the_spans_of_a_request_stand_one_after_the_other() {
        use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
        let mut out = Vec::new();
        for name in ["CLIENT", "SERVER"] {
            let mut span = open(&SpanLimits::default());
            span.set_name(&[name]);
            span.end(START, &mut out);
        }

        let spans = ScopeSpans::decode(out.as_slice()).unwrap().spans;
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["CLIENT", "SERVER"]);
    }
}
