//! Finished requests for the tests of what is drawn of them.

use crate::trace::sink::FinishedSpans;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, Status};
use prost::Message;

const START: u64 = 1_795_262_601_482_000_000;
const MICRO: u64 = 1000;

fn encoded(spans: Vec<Span>) -> FinishedSpans {
    let count = u32::try_from(spans.len()).unwrap();
    let message = ScopeSpans {
        spans,
        ..ScopeSpans::default()
    };
    FinishedSpans {
        bytes: message.encode_to_vec(),
        count,
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

struct Shape<'a> {
    kind: SpanKind,
    name: &'a str,
    id: u8,
    parent: Option<u8>,
    micros: (u64, u64),
    error: bool,
    attributes: Vec<KeyValue>,
}

fn span(shape: Shape<'_>) -> Span {
    Span {
        trace_id: vec![
            0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e,
            0x47, 0x36,
        ],
        span_id: vec![0x53, 0x99, 0x5c, 0x3f, 0x42, 0xcd, 0x8a, shape.id],
        parent_span_id: shape
            .parent
            .map(|id| vec![0x53, 0x99, 0x5c, 0x3f, 0x42, 0xcd, 0x8a, id])
            .unwrap_or_default(),
        name: shape.name.to_owned(),
        kind: shape.kind.into(),
        start_time_unix_nano: START + shape.micros.0 * MICRO,
        end_time_unix_nano: START + shape.micros.1 * MICRO,
        attributes: shape.attributes,
        status: shape.error.then(|| Status {
            code: 2,
            ..Status::default()
        }),
        ..Span::default()
    }
}

fn client(id: u8, micros: (u64, u64), status: i64, attempt: i64) -> Span {
    let mut attributes = vec![
        text("http.request.method", "POST"),
        int("http.response.status_code", status),
        text("service.peer.name", "payout"),
        text("flow", "escrow"),
    ];
    if status >= 400 {
        attributes.push(text("error.type", &status.to_string()));
    }
    if attempt > 0 {
        attributes.push(int("http.request.resend_count", attempt));
    }
    span(Shape {
        kind: SpanKind::Client,
        name: "POST",
        id,
        parent: Some(0xd8),
        micros,
        error: status >= 400,
        attributes,
    })
}

fn release(micros: u64, status: i64) -> Span {
    let mut attributes = vec![
        text("http.request.method", "POST"),
        text("http.route", "/api/v1/orders/{order_id}/release"),
        text("url.path", "/api/v1/orders/7/release"),
        text("flow", "escrow"),
        int("http.response.status_code", status),
    ];
    if status >= 500 {
        attributes.push(text("error.type", &status.to_string()));
    }
    span(Shape {
        kind: SpanKind::Server,
        name: "POST /api/v1/orders/{order_id}/release",
        id: 0xd8,
        parent: None,
        micros: (0, micros),
        error: status >= 500,
        attributes,
    })
}

/// A release that the payout service refused.
pub(crate) fn release_failed() -> FinishedSpans {
    encoded(vec![
        client(1, (300, 412_300), 502, 0),
        release(412_600, 502),
    ])
}

/// The same over two attempts.
pub(crate) fn release_tried_twice() -> FinishedSpans {
    encoded(vec![
        client(1, (300, 108_400), 502, 0),
        client(2, (190_200, 410_600), 502, 1),
        release(412_600, 502),
    ])
}

/// A release that went through.
pub(crate) fn release_done() -> FinishedSpans {
    encoded(vec![client(1, (400, 84_000), 200, 0), release(84_200, 200)])
}

/// A request that no route matched.
pub(crate) fn unrouted() -> FinishedSpans {
    encoded(vec![span(Shape {
        kind: SpanKind::Server,
        name: "GET",
        id: 0xd8,
        parent: Some(0x0b),
        micros: (0, 210),
        error: false,
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.path", "/favicon.ico"),
            int("http.response.status_code", 404),
        ],
    })])
}

/// The same under a route that takes every path.
pub(crate) fn under_a_route_for_everything() -> FinishedSpans {
    encoded(vec![span(Shape {
        kind: SpanKind::Server,
        name: "GET /*",
        id: 1,
        parent: None,
        micros: (0, 900),
        error: false,
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", "/*"),
            text("url.path", "/hello"),
        ],
    })])
}

/// A connection that was refused: no status from the other side.
pub(crate) fn refused() -> FinishedSpans {
    let attempt = span(Shape {
        kind: SpanKind::Client,
        name: "POST",
        id: 1,
        parent: Some(0xd8),
        micros: (200, 600),
        error: true,
        attributes: vec![
            text("http.request.method", "POST"),
            text("service.peer.name", "payout"),
            text("error.type", "connection_refused"),
        ],
    });
    encoded(vec![attempt, release(900, 502)])
}

fn internal(id: u8, parent: u8, name: &str, micros: (u64, u64)) -> Span {
    span(Shape {
        kind: SpanKind::Internal,
        name,
        id,
        parent: Some(parent),
        micros,
        error: false,
        attributes: Vec::new(),
    })
}

/// What policies decided about a request: one that did not know it, one that could not tell.
pub(crate) fn undecided() -> FinishedSpans {
    let decided = |id, name: &str, decision: &str, reason: &str| {
        let mut span = internal(id, 0xd8, name, (100 * u64::from(id), 2_000));
        span.attributes
            .push(text("edgespan.auth.decision", decision));
        span.attributes.push(text("edgespan.auth.reason", reason));
        span
    };
    encoded(vec![
        decided(1, "auth keys", "abstain", "no_credential"),
        // What is decided for a host proxy is told with what it is about.
        span(Shape {
            kind: SpanKind::Server,
            name: "GET /auth/nginx",
            id: 3,
            parent: Some(0xd8),
            micros: (50, 3_000),
            error: false,
            attributes: vec![
                text("edgespan.original.method", "POST"),
                text("edgespan.original.host", "app.example.com"),
                text("edgespan.original.path", "/orders/7"),
            ],
        }),
        decided(2, "auth legacy", "error", "unavailable"),
        release(3_000, 503),
    ])
}

/// Three levels, and a span whose parent is not among them.
pub(crate) fn nested() -> FinishedSpans {
    encoded(vec![
        internal(1, 0xd8, "first", (100, 40_000)),
        internal(2, 1, "within first", (200, 20_000)),
        internal(3, 0xd8, "second", (40_000, 80_000)),
        internal(4, 3, "within second", (50_000, 60_000)),
        internal(5, 0x77, "of a parent that is elsewhere", (70_000, 80_000)),
        release(84_200, 200),
    ])
}

/// The request's span and so many below it.
pub(crate) fn many(count: u8) -> FinishedSpans {
    let below = (0..count).map(|id| internal(id, 0xd8, "step", (0, 1000)));
    encoded(below.chain([release(84_200, 200)]).collect())
}

/// Two spans that are each other's parent.
pub(crate) fn circle() -> FinishedSpans {
    let circle = [internal(1, 2, "a", (0, 1)), internal(2, 1, "b", (0, 1))];
    encoded(circle.into_iter().chain([release(84_200, 200)]).collect())
}

/// Span data that would drive a terminal or forge a line.
pub(crate) fn hostile() -> FinishedSpans {
    let long = "x".repeat(64 * 1024);
    encoded(vec![
        span(Shape {
            kind: SpanKind::Client,
            name: "GET\u{1b}[2J",
            id: 1,
            parent: Some(0xd8),
            micros: (100, 200),
            error: true,
            attributes: vec![
                text("service.peer.name", "pay\nout \u{202e}evil"),
                text("error.type", "\"quoted\" status=200"),
            ],
        }),
        span(Shape {
            kind: SpanKind::Server,
            name: &format!("GET /\u{1b}]0;title\u{7}<script>\u{202e}{long}"),
            id: 0xd8,
            parent: None,
            micros: (0, 300),
            error: false,
            attributes: vec![int("http.response.status_code", 200), text("flow", "a\tb")],
        }),
    ])
}
