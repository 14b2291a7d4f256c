//! A whole trace as a row of a list, for backends that hand out whole traces.

use super::filter;
use super::query::Summary;
use crate::view::{Span, Status, Trace, Value};

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
