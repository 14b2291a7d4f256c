//! A whole trace as a row of a list, for backends that hand out whole traces.

use super::error::BackendError;
use super::filter;
use super::query::{Found, Query, Summary};
use crate::view::{Span, Status, Trace, Value};
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use std::collections::BTreeMap;

/// Of traces that are looked through again, so many times more are fetched than wanted ...
const FETCHED_FACTOR: usize = 4;
/// ... and never more than this at a time: whole traces are handed out.
const FETCHED_MAX: usize = 200;

/// What is looked through of a backend that cannot be asked for everything that is wanted.
pub(super) struct Looked<'q> {
    query: &'q Query,
    /// How many traces each question is to fetch.
    pub(super) fetched: usize,
    /// Why it may not be all there is, in words.
    pub(super) incomplete: Option<String>,
    traces: BTreeMap<[u8; 16], Summary>,
}

impl<'q> Looked<'q> {
    /// Nothing yet.
    ///
    /// # Errors
    /// If the query is in TraceQL, which only a Tempo understands.
    pub(super) fn begin(query: &'q Query, backend: &'static str) -> Result<Self, BackendError> {
        if query.traceql.is_some() {
            let what = "TraceQL";
            return Err(BackendError::Unsupported { backend, what });
        }
        let fetched = query.limit.saturating_mul(FETCHED_FACTOR);
        Ok(Self {
            query,
            fetched: fetched.clamp(1, FETCHED_MAX),
            incomplete: None,
            traces: BTreeMap::new(),
        })
    }

    /// Keeps the trace, if it is one that is wanted.
    pub(super) fn at(&mut self, id: TraceId, groups: &[ResourceSpans]) {
        let trace = Trace::of_resource_spans(id, groups);
        let query = self.query;
        let range = query.start.as_unix_nanos()..query.end.as_unix_nanos();
        let summary = Summary::of(&trace).filter(|one| range.contains(&one.start));
        if let Some(summary) = summary.filter(|_| query.wants(&trace)) {
            self.traces.insert(id.to_bytes(), summary);
        }
    }

    /// What was wanted, newest first.
    pub(super) fn found(self) -> Found {
        let mut found = Found {
            traces: self.traces.into_values().collect(),
            incomplete: self.incomplete,
        };
        found
            .traces
            .sort_by_key(|trace| std::cmp::Reverse(trace.start));
        found.cut(self.query.limit);
        found
    }
}

impl Summary {
    /// Of all spans that are known of it; None without a span.
    pub fn of(trace: &Trace) -> Option<Self> {
        let first = trace.spans.first()?;
        let root = root(trace).unwrap_or(first);
        let status = match root.attribute("http.response.status_code") {
            Some(Value::Int(code)) => u16::try_from(*code).ok(),
            // Backends that know only texts.
            Some(Value::Text(code)) => code.parse().ok(),
            _ => None,
        };
        let flow = trace.spans.iter().find_map(|span| span.text("flow"));
        // Zipkin's own instrumentations have a name of their own for it.
        let path = root.text("url.path").or_else(|| root.text("http.path"));
        let is_error = trace.spans.iter().any(|span| span.status == Status::Error);
        Some(Self {
            id: trace.id,
            root_service: root.service.to_string(),
            root_name: root.name.clone(),
            start: first.start,
            duration: u64::try_from(filter::duration(trace)).unwrap_or(u64::MAX),
            spans: Some(u32::try_from(trace.spans.len()).unwrap_or(u32::MAX)),
            is_error: Some(is_error),
            status,
            flow: flow.map(str::to_owned),
            path: path.map(str::to_owned),
        })
    }
}

/// The span without a parent; else the first whose parent is not here, for an edge's own parent is
/// often recorded elsewhere.
fn root(trace: &Trace) -> Option<&Span> {
    let ids: std::collections::HashSet<_> = trace.spans.iter().map(|span| span.id).collect();
    let mut spans = trace.spans.iter();
    let without = spans.find(|span| span.parent.is_none());
    without.or_else(|| {
        let is_known = |span: &Span| span.parent.is_some_and(|parent| ids.contains(&parent));
        trace.spans.iter().find(|span| !is_known(span))
    })
}
