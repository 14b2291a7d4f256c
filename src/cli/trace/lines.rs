//! A line a span, for pipes and for following: whole ids, no tree, so that `grep` works.

use super::super::escape;
use crate::clock::Timestamp;
use crate::telemetry::rfc3339;
use crate::view::{Span, Trace, Tree};
use opentelemetry::trace::TraceId;

/// Every span of the trace, parents before children, each line ended.
pub fn spans(trace: &Trace) -> String {
    let tree = Tree::of(trace);
    let places = tree.places().iter();
    places.map(|place| span(trace.id, place.span)).collect()
}

/// One span of the trace `id`: when (UTC), kind, service, name, and the rest as `key=value`.
pub fn span(id: TraceId, span: &Span) -> String {
    let milliseconds = std::time::Duration::from_nanos(span.duration()).as_secs_f64() * 1000.0;
    let start = rfc3339(Timestamp::from_unix_nanos(span.start));
    let (kind, service) = (span.kind.name(), escape::word(span.told_service()));
    let mut out = format!("{start} {kind} {service} ");
    out.push_str(&escape::quoted(&span.told_name()));
    let outcome = span.outcome();
    let words = [
        ("status", outcome.status.as_deref()),
        ("error", outcome.error.as_deref()),
        ("decision", span.decision()),
        (
            "reason",
            span.decision().and(span.text("edgespan.auth.reason")),
        ),
        (
            "cache",
            span.decision().and(span.text("edgespan.auth.cache")),
        ),
    ];
    for (key, word) in words {
        if let Some(word) = word {
            out.push_str(&format!(" {key}={}", escape::word(word)));
        }
    }
    out.push_str(&format!(" ms={milliseconds:.1}"));
    if let Some(flow) = span.text("flow") {
        out.push_str(&format!(" flow={}", escape::word(flow)));
    }
    if span.attempt() > 1 {
        out.push_str(&format!(" try={}", span.attempt()));
    }
    out.push_str(&format!(" trace={id} span={}", span.id));
    if let Some(parent) = span.parent {
        out.push_str(&format!(" parent={parent}"));
    }
    out.push('\n');
    out
}
