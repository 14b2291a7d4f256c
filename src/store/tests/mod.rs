//! What the store promises.

mod bound;
mod keeps;
mod oracle;
mod searches;

use super::{Search, StoreSettings, TraceStore, traceql::Query};
use crate::trace::sink::FinishedSpans;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;

/// A second after a round moment, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

fn store() -> TraceStore {
    TraceStore::new(&StoreSettings::default())
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn id(trace: u8) -> TraceId {
    TraceId::from_bytes([trace; 16])
}

/// A span of a second that begins in second `start`.
fn span(trace: u8, span: u8, parent: u8, start: u64) -> otlp::Span {
    otlp::Span {
        trace_id: vec![trace; 16],
        span_id: vec![span; 8],
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            vec![parent; 8]
        },
        name: format!("span {span}"),
        kind: 2,
        start_time_unix_nano: start * SECOND,
        end_time_unix_nano: (start + 1) * SECOND,
        ..otlp::Span::default()
    }
}

fn with(mut span: otlp::Span, key: &str, value: Value) -> otlp::Span {
    span.attributes.push(pair(key, value));
    span
}

fn resource(service: &str) -> Resource {
    Resource {
        attributes: vec![pair("service.name", text(service))],
        ..Resource::default()
    }
}

fn of(service: &str, spans: Vec<otlp::Span>) -> otlp::ResourceSpans {
    otlp::ResourceSpans {
        resource: Some(resource(service)),
        scope_spans: vec![otlp::ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "test".to_owned(),
                ..InstrumentationScope::default()
            }),
            spans,
            schema_url: String::new(),
        }],
        schema_url: "https://example.com/schema".to_owned(),
    }
}

/// Spans as a request hands them over.
fn finished(spans: Vec<otlp::Span>) -> FinishedSpans {
    let count = u32::try_from(spans.len()).unwrap();
    let records = otlp::ScopeSpans {
        spans,
        ..otlp::ScopeSpans::default()
    };
    FinishedSpans {
        bytes: records.encode_to_vec(),
        count,
    }
}

fn query(text: &str) -> Search {
    Search {
        query: Some(Query::parse(text).unwrap()),
        limit: 1000,
        ..Search::default()
    }
}

/// First bytes of the ids of the traces found.
fn found(store: &TraceStore, search: &Search) -> Vec<u8> {
    let hits = store.search(search).hits;
    hits.iter()
        .map(|hit| hit.summary.id.to_bytes()[0])
        .collect()
}
