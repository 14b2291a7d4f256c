//! Small traces for tests: spans by id, parent, start and end.

use super::model::{Kind, Span, Status, Trace, Value};
use opentelemetry::trace::{SpanId, TraceId};
use proptest::prelude::*;
use std::sync::Arc;

/// A span `id` below `parent` (0: none) from `start` to `end`.
pub(super) fn span(id: u64, parent: u64, start: u64, end: u64) -> Span {
    Span {
        id: SpanId::from(id),
        parent: (parent != 0).then(|| SpanId::from(parent)),
        service: Arc::from("shop"),
        resource: Arc::from([]),
        scope: Arc::from(""),
        name: format!("s{id}"),
        kind: Kind::Internal,
        start,
        end: end.max(start),
        status: Status::Unset,
        message: String::new(),
        state: String::new(),
        flags: 0,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

/// An attempt at `peer`; `resent` of 0 is the first.
pub(super) fn call(base: Span, peer: &str, status: i64, resent: i64) -> Span {
    let mut span = Span {
        kind: Kind::Client,
        status: if status >= 400 {
            Status::Error
        } else {
            Status::Unset
        },
        ..base
    };
    span.attributes = vec![
        (
            "http.request.method".to_owned(),
            Value::Text("GET".to_owned()),
        ),
        ("service.peer.name".to_owned(), Value::Text(peer.to_owned())),
        ("http.response.status_code".to_owned(), Value::Int(status)),
    ];
    if resent > 0 {
        let count = Value::Int(resent);
        let key = "http.request.resend_count".to_owned();
        span.attributes.push((key, count));
    }
    span
}

pub(super) fn trace(mut spans: Vec<Span>) -> Trace {
    spans.sort_by_key(|span| (span.start, span.id.to_bytes()));
    let id = TraceId::from(1);
    Trace { id, spans }
}

/// Any trace: parents that are missing, go in circles or come later, times of any size, lengths of
/// nothing, children beside each other, early and late.
pub(super) fn any_trace() -> impl Strategy<Value = Trace> {
    let time = prop_oneof![
        4 => (0_u64..100).prop_map(|at| 1_000 + at),
        1 => any::<u64>(),
    ];
    let kind = prop_oneof![
        2 => Just(Kind::Internal),
        1 => Just(Kind::Server),
        1 => Just(Kind::Client),
    ];
    let one = (0_u64..24, time.clone(), time, kind, any::<bool>());
    proptest::collection::vec(one, 0..24).prop_map(|shapes| {
        let spans = shapes.into_iter().enumerate();
        let spans = spans.map(|(at, (parent, one, other, kind, failed))| {
            let id = u64::try_from(at).unwrap() + 1;
            let mut span = span(id, parent, one.min(other), one.max(other));
            span.kind = kind;
            span.name = format!("s{}", id % 3);
            if failed {
                span.status = Status::Error;
            }
            span
        });
        trace(spans.collect())
    })
}
