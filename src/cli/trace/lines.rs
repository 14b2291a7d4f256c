//! A line a span, for pipes and for following: whole ids, no tree, so that `grep` works.

use super::super::escape;
use super::Canvas;
use crate::clock::Timestamp;
use crate::telemetry::rfc3339;
use crate::view::{Span, Trace};

/// Every span of the trace, parents before children, each line ended.
pub fn spans(trace: &Trace, canvas: &Canvas<'_>) -> String {
    trace
        .spans
        .iter()
        .map(|one| span(trace, one, canvas))
        .collect()
}

/// One span.
pub fn span(trace: &Trace, span: &Span, _canvas: &Canvas<'_>) -> String {
    format!(
        "{} {} {} {} trace={} span={}\n",
        rfc3339(Timestamp::from_unix_nanos(span.start)),
        span.kind.name(),
        escape::word(&span.service),
        escape::quoted(&span.name),
        trace.id,
        span.id
    )
}
