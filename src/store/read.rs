//! Spans out of the store, as they came in.

use super::Kept;
use super::index::{Index, TraceRow};
use super::segment::{Segment, Source};
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;
use std::collections::{HashMap, HashSet};

/// Up to so many spans they are compared one by one.
const FEW: usize = 16;

/// A trace by its id.
pub(super) fn kept(index: &Index, id: TraceId) -> Option<Kept> {
    let trace = index.traces().get(index.find(id.to_bytes())?)?;
    let mut reader = Reader::default();
    for (segment, row) in in_order(index, trace) {
        if let Some(segment) = index.segments().get(segment) {
            reader.add(segment, row, trace);
        }
    }
    Some(Kept {
        groups: reader.groups,
        cut_spans: u64::from(trace.cut),
    })
}

/// Where the spans of a trace stand, as they came; what came twice, by the same sender's retry,
/// once.
pub(super) fn in_order(index: &Index, trace: &TraceRow) -> Vec<(usize, usize)> {
    let mut places = Vec::with_capacity(trace.spans as usize);
    places.extend(index.spans_of(trace));
    places.reverse();
    let key = |place: &(usize, usize)| {
        let row = index.segments().get(place.0)?.rows().get(place.1)?;
        // Zipkin gives a call's two ends one id; their kinds differ.
        Some((row.id, row.kind()))
    };
    if places.len() <= FEW {
        let mut seen = [None; FEW];
        let mut count = 0;
        places.retain(|place| {
            let key = key(place);
            let is_new = key.is_some() && !seen.iter().take(count).any(|one| *one == key);
            if is_new && let Some(free) = seen.get_mut(count) {
                *free = key;
                count += 1;
            }
            is_new
        });
    } else {
        let mut seen = HashSet::with_capacity(places.len());
        places.retain(|place| key(place).is_some_and(|key| seen.insert(key)));
    }
    places
}

/// Groups spans by resource and by scope.
#[derive(Default)]
struct Reader<'a> {
    groups: Vec<otlp::ResourceSpans>,
    resources: HashMap<(&'a [u8], &'a [u8]), usize>,
    scopes: HashMap<(usize, &'a [u8], &'a [u8]), usize>,
}

impl<'a> Reader<'a> {
    fn add(&mut self, segment: &'a Segment, row: usize, trace: &TraceRow) {
        let Some(span) = span(segment, row, trace) else {
            return;
        };
        let source = segment.rows().get(row).map(|row| usize::from(row.source));
        let source = source.and_then(|source| segment.sources().get(source));
        let group = source.and_then(|source| self.group(segment, source));
        if let Some(group) = group {
            group.spans.push(span);
        }
    }

    fn group(&mut self, segment: &'a Segment, source: &Source) -> Option<&mut otlp::ScopeSpans> {
        let resource = segment.text(source.resource);
        let schema = segment.text(source.resource_schema);
        let (groups, scopes) = (&mut self.groups, &mut self.scopes);
        let number = *self.resources.entry((resource, schema)).or_insert_with(|| {
            groups.push(otlp::ResourceSpans {
                resource: Resource::decode(resource).ok(),
                scope_spans: Vec::new(),
                schema_url: String::from_utf8_lossy(schema).into_owned(),
            });
            groups.len() - 1
        });
        let group = groups.get_mut(number)?;
        let scope = segment.text(source.scope);
        let schema = segment.text(source.scope_schema);
        let number = *scopes.entry((number, scope, schema)).or_insert_with(|| {
            group.scope_spans.push(otlp::ScopeSpans {
                scope: InstrumentationScope::decode(scope).ok(),
                spans: Vec::new(),
                schema_url: String::from_utf8_lossy(schema).into_owned(),
            });
            group.scope_spans.len() - 1
        });
        group.scope_spans.get_mut(number)
    }
}

/// A span, put together again.
fn span(segment: &Segment, number: usize, trace: &TraceRow) -> Option<otlp::Span> {
    let row = segment.rows().get(number)?;
    // What a sender wrote wrong in a field that is kept as it came costs the field, not the span.
    let mut span = otlp::Span::decode(segment.rest(row)).unwrap_or_default();
    span.trace_id = trace.id.to_vec();
    span.span_id = row.id.to_be_bytes().to_vec();
    if row.parent != 0 {
        span.parent_span_id = row.parent.to_be_bytes().to_vec();
    }
    span.name = String::from_utf8_lossy(segment.text(row.name)).into_owned();
    span.kind = row.kind();
    span.start_time_unix_nano = row.start;
    span.end_time_unix_nano = row.start.saturating_add(row.duration);
    let pairs = segment.attributes(number).iter();
    let pairs = pairs.filter_map(|entry| KeyValue::decode(segment.pair(*entry)).ok());
    span.attributes = pairs.collect();
    Some(span)
}
