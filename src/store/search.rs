//! What is looked for in the store, and what was found.

use super::traceql::Query;
use crate::backend;
use crate::clock::Timestamp;
use crate::view::Value;
use opentelemetry::trace::{SpanId, TraceId};
use std::time::Duration;

/// Which traces are wanted. All conditions hold together.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What the trace has to have; None: anything.
    pub query: Option<Query>,
    /// Least duration of the trace.
    pub min: Option<Duration>,
    /// Most duration of the trace.
    pub max: Option<Duration>,
    /// Traces that began at this moment or later.
    pub start: Option<Timestamp>,
    /// Traces that began before this moment.
    pub end: Option<Timestamp>,
    /// Most traces that are wanted; the newest count.
    pub limit: usize,
    /// Most spans told of each trace.
    pub spans_max: usize,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            query: None,
            min: None,
            max: None,
            start: None,
            end: None,
            limit: 20,
            spans_max: 3,
        }
    }
}

impl Search {
    /// As it is asked of any backend.
    ///
    /// # Errors
    /// The TraceQL in it is not understood.
    pub fn of(query: &backend::Query) -> Result<Self, super::traceql::QueryError> {
        Ok(Self {
            query: Query::of(query)?,
            min: query.min,
            max: query.max,
            start: Some(query.start),
            end: Some(query.end),
            limit: query.limit,
            ..Self::default()
        })
    }
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchAnswer {
    /// The newest first.
    pub hits: Vec<Hit>,
    /// Whether these are all; if not, older ones were left out because of the limit.
    pub is_complete: bool,
    /// How many traces were looked at.
    pub inspected_traces: u64,
    /// How many bytes of the store were looked at.
    pub inspected_bytes: u64,
}

/// A trace that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// What a list tells of it; every member is known.
    pub summary: backend::Summary,
    /// How many of its spans fit the query.
    pub matched: u32,
    /// Some of these, by their start.
    pub spans: Vec<HitSpan>,
    /// Spans of each service, sorted by name.
    pub services: Vec<ServiceCount>,
}

/// How many spans of a trace are from a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCount {
    /// `service.name`.
    pub service: String,
    /// Spans.
    pub spans: u32,
    /// Spans that are an error.
    pub errors: u32,
}

/// A span that fits the query.
#[derive(Clone, Debug, PartialEq)]
pub struct HitSpan {
    /// Which one.
    pub id: SpanId,
    /// Of its trace.
    pub trace: TraceId,
    /// Its name.
    pub name: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
    /// What the query asks about or selects, as far as the span has it.
    pub attributes: Vec<(String, Value)>,
}
