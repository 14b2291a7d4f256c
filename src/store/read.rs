//! Spans out of the store, as they came in.

use super::Kept;
use super::index::{Found, Index, TraceRow};
use super::segment::{Row, Segment, Source};
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
    let mut spans = Vec::new();
    in_order(index, trace, &mut spans);
    for span in spans {
        if let Some(segment) = index.segments().get(span.segment) {
            reader.add(segment, span.row, trace);
        }
    }
    Some(Kept {
        groups: reader.groups,
        cut_spans: u64::from(trace.cut),
    })
}

/// The spans of a trace, as they came; what came twice, by the same sender's retry, once. They
/// are put into `spans`, whose room a search uses for one trace after the other.
pub(super) fn in_order<'a>(index: &'a Index, trace: &TraceRow, spans: &mut Vec<Found<'a>>) {
    spans.clear();
    spans.extend(index.spans_of(trace));
    spans.reverse();
    // Zipkin gives a call's two ends one id; their kinds differ.
    let key = |found: &Found<'_>| (found.row.id, found.row.kind());
    if spans.len() <= FEW {
        let mut seen = [(0, 0); FEW];
        let mut count = 0;
        spans.retain(|found| {
            let key = key(found);
            let is_new = !seen.iter().take(count).any(|one| *one == key);
            if is_new && let Some(free) = seen.get_mut(count) {
                *free = key;
                count += 1;
            }
            is_new
        });
    } else {
        let mut seen = HashSet::with_capacity(spans.len());
        spans.retain(|found| seen.insert(key(found)));
    }
}

/// Groups spans by resource and by scope.
#[derive(Default)]
struct Reader<'a> {
    groups: Vec<otlp::ResourceSpans>,
    resources: HashMap<(&'a [u8], &'a [u8]), usize>,
    scopes: HashMap<(usize, &'a [u8], &'a [u8]), usize>,
}

impl<'a> Reader<'a> {
    fn add(&mut self, segment: &'a Segment, row: &Row, trace: &TraceRow) {
        let source = segment.sources().get(usize::from(row.source));
        let group = source.and_then(|source| self.group(segment, source));
        if let Some(group) = group {
            group.spans.push(span(segment, row, trace));
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
fn span(segment: &Segment, row: &Row, trace: &TraceRow) -> otlp::Span {
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
    let pairs = segment.attributes(row).iter();
    let pairs = pairs.filter_map(|entry| KeyValue::decode(segment.pair(*entry)).ok());
    span.attributes = pairs.collect();
    span
}
