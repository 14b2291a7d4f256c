//! Whether a whole trace is one that a query wants, by the rules of its TraceQL.
//!
//! Jaeger and Zipkin know fewer conditions, or know them of other spans: what they find is looked
//! through again.

use super::query::Query;
use crate::view::{Span, Status, Trace, Value};

impl Query {
    /// Whether the trace has what is asked for, its moment aside. TraceQL is not looked at.
    pub fn wants(&self, trace: &Trace) -> bool {
        let lasted = duration(trace);
        let long_enough = self.min.is_none_or(|min| lasted >= min.as_nanos());
        let short_enough = self.max.is_none_or(|max| lasted <= max.as_nanos());
        let any = |holds: &dyn Fn(&Span) -> bool| trace.spans.iter().any(holds);
        let has = |key: &str, wanted: &Option<String>| match wanted {
            Some(wanted) => any(&|span| is(span.attribute(key), wanted)),
            None => true,
        };
        long_enough
            && short_enough
            && has("http.route", &self.route)
            && has("flow", &self.flow)
            && any(&|span| self.wants_span(span))
    }

    fn wants_span(&self, span: &Span) -> bool {
        let of_service = self.service.as_ref().is_none_or(|service| {
            *span.service == **service || span.text("service.peer.name") == Some(service)
        });
        let tagged = self
            .tags
            .iter()
            .all(|(key, value)| has_tag(span, key, value));
        of_service && tagged && (!self.error || span.status == Status::Error)
    }
}

fn has_tag(span: &Span, key: &str, value: &str) -> bool {
    let of_resource = |key: &str| {
        let found = span.resource.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    };
    if let Some(key) = key.strip_prefix("resource.") {
        return is(of_resource(key), value);
    }
    if let Some(key) = key.strip_prefix("span.") {
        return is(span.attribute(key), value);
    }
    let key = key.strip_prefix('.').unwrap_or(key);
    is(span.attribute(key), value) || is(of_resource(key), value)
}

/// Whether a value is the one that was typed; of a list, whether one of them is.
fn is(value: Option<&Value>, typed: &str) -> bool {
    match value {
        Some(Value::Text(text)) => text == typed,
        Some(Value::Bool(truth)) => typed.parse() == Ok(*truth),
        Some(Value::Int(number)) => typed.parse() == Ok(*number),
        Some(Value::Double(number)) => typed.parse() == Ok(*number),
        Some(Value::List(list)) => list.iter().any(|one| is(Some(one), typed)),
        Some(Value::Bytes(_) | Value::Map(_) | Value::Empty) | None => false,
    }
}

/// From the first start to the last end.
pub(super) fn duration(trace: &Trace) -> u128 {
    let start = trace.spans.iter().map(|span| span.start).min();
    let end = trace.spans.iter().map(|span| span.end).max();
    u128::from(end.unwrap_or(0).saturating_sub(start.unwrap_or(0)))
}
