//! Traces for the tests of what is drawn of them.

use super::Zone;
use crate::clock::Timestamp;
use crate::view::{Event, Kind, Link, Span, Status, Trace, Value};
use jiff::tz::{TimeZone, offset};
use opentelemetry::trace::{SpanId, TraceId};

/// 2026-11-21 12:03:21.482 UTC.
pub(crate) const START: u64 = 1_795_262_601_482_000_000;
const MICRO: u64 = 1000;
pub(crate) const SERVER: u64 = 0x5399_5c3f_42cd_8a00;

/// A minute after the fixtures' start, two hours east.
pub(crate) fn zone() -> Zone {
    let now = Timestamp::from_unix_nanos(START + 60_000_000_000);
    Zone::new(TimeZone::fixed(offset(2)), now)
}

pub(crate) fn trace_id() -> TraceId {
    TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736)
}

/// Of spans in any order.
pub(crate) fn trace(mut spans: Vec<Span>) -> Trace {
    spans.sort_by_key(|span| (span.start, span.id.to_bytes()));
    let id = trace_id();
    Trace { id, spans }
}

/// A span from so many microseconds after the start to so many.
pub(crate) fn span(
    service: &str,
    kind: Kind,
    name: &str,
    (id, parent): (u64, u64),
    (from, to): (u64, u64),
) -> Span {
    let resource = vec![("service.name".to_owned(), Value::Text(service.to_owned()))];
    Span {
        id: SpanId::from(id),
        parent: (parent != 0).then(|| SpanId::from(parent)),
        service: service.into(),
        resource: resource.into(),
        scope: "edgespan".into(),
        name: name.to_owned(),
        kind,
        start: START + from * MICRO,
        end: START + to * MICRO,
        status: Status::Unset,
        message: String::new(),
        state: String::new(),
        flags: 1,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

pub(crate) fn with(mut span: Span, attributes: &[(&str, Value)]) -> Span {
    let owned = attributes.iter();
    let owned = owned.map(|(key, value)| ((*key).to_owned(), value.clone()));
    span.attributes.extend(owned);
    span
}

pub(crate) fn failed(mut span: Span, message: &str) -> Span {
    span.status = Status::Error;
    message.clone_into(&mut span.message);
    span
}

pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// A request that edgespan received and answered with `status`.
pub(crate) fn server(micros: u64, status: i64) -> Span {
    let span = span(
        "edgespan",
        Kind::Server,
        "POST /api/v1/orders/{order_id}/release",
        (SERVER, 0),
        (0, micros),
    );
    let span = with(
        span,
        &[
            ("http.request.method", text("POST")),
            ("http.route", text("/api/v1/orders/{order_id}/release")),
            ("url.path", text("/api/v1/orders/7/release")),
            ("flow", text("escrow")),
            ("http.response.status_code", Value::Int(status)),
        ],
    );
    if status >= 500 {
        with(
            failed(span, ""),
            &[("error.type", text(&status.to_string()))],
        )
    } else {
        span
    }
}

/// An attempt of edgespan at the payout service.
pub(crate) fn attempt(id: u64, micros: (u64, u64), status: i64, resent: i64) -> Span {
    let span = span("edgespan", Kind::Client, "POST", (id, SERVER), micros);
    let span = with(
        span,
        &[
            ("http.request.method", text("POST")),
            ("http.response.status_code", Value::Int(status)),
            ("service.peer.name", text("payout")),
            ("flow", text("escrow")),
        ],
    );
    let span = if status >= 400 {
        with(
            failed(span, ""),
            &[("error.type", text(&status.to_string()))],
        )
    } else {
        span
    };
    if resent > 0 {
        with(span, &[("http.request.resend_count", Value::Int(resent))])
    } else {
        span
    }
}

fn below(service: &str, name: &str, id: u64, micros: (u64, u64)) -> Span {
    span(service, Kind::Internal, name, (id, SERVER), micros)
}

/// The release of the manual: refused twice by the payout service.
pub(crate) fn release() -> Trace {
    let last = 0x5399_5c3f_42cd_8ad8;
    let capture = span(
        "payout",
        Kind::Unspecified,
        "psp.capture",
        (3, last),
        (219_400, 408_800),
    );
    trace(vec![
        with(
            server(412_600, 502),
            &[("edgespan.sampling.reason", text("error"))],
        ),
        with(
            below("edgespan", "auth api", 1, (0, 300)),
            &[("edgespan.auth.decision", text("allow"))],
        ),
        below("edgespan", "flags", 2, (0, 400)),
        attempt(4, (300, 108_400), 502, 0),
        attempt(last, (188_400, 408_800), 502, 1),
        failed(capture, ""),
    ])
}

/// A release that went through, under a caller whose span is elsewhere.
pub(crate) fn under_a_caller() -> Trace {
    let mut server = server(84_200, 200);
    server.parent = Some(SpanId::from(0x00f0_67aa_0ba9_02b7));
    let charge = span(
        "payout",
        Kind::Server,
        "POST /v1/charges",
        (5, 4),
        (2_000, 80_000),
    );
    let mut select = with(
        span(
            "payout",
            Kind::Client,
            "SELECT ledger",
            (6, 5),
            (1_000, 40_000),
        ),
        &[
            ("server.address", text("db.internal")),
            ("db.system.name", text("postgresql")),
        ],
    );
    select.links.push(Link {
        trace: TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        span: SpanId::from(0xb7ad_6b71_6920_3331),
        attributes: Vec::new(),
    });
    let audit = span(
        "payout",
        Kind::Producer,
        "audit publish",
        (7, 5),
        (79_000, 1_204_000),
    );
    trace(vec![
        server,
        attempt(4, (400, 83_000), 200, 0),
        charge,
        select,
        audit,
    ])
}

/// Twelve calls that are alike, three of them failed, one with something to say.
pub(crate) fn alike() -> Trace {
    let mut spans = vec![server(412_600, 502), attempt(1, (300, 410_000), 502, 0)];
    for at in 0..12 {
        let from = 1_000 + at * 30_000;
        let capture = span(
            "payout",
            Kind::Internal,
            "psp.capture",
            (0x100 + at, 1),
            (from, from + 29_000),
        );
        spans.push(match at {
            3 | 5 => failed(capture, ""),
            11 => failed(capture, "card declined"),
            _ => capture,
        });
    }
    trace(spans)
}

/// Two requests of one page, whose caller is elsewhere.
pub(crate) fn without_a_root() -> Trace {
    let page = 0x00f0_67aa_0ba9_02b7;
    let top = |id, name: &str, micros| span("edgespan", Kind::Server, name, (id, page), micros);
    trace(vec![
        with(
            top(1, "GET /login", (0, 10_000)),
            &[("http.response.status_code", Value::Int(302))],
        ),
        top(2, "GET /callback", (90_000, 100_000)),
    ])
}

/// Two spans that are each other's parent, and one that is its own.
pub(crate) fn circle() -> Trace {
    let one = |id, parent| span("loop", Kind::Internal, "turn", (id, parent), (0, 10));
    trace(vec![server(20, 200), one(1, 2), one(2, 1), one(3, 3)])
}

/// Span data that would drive a terminal, forge a line or break out of markup.
pub(crate) fn hostile() -> Trace {
    let long = "x".repeat(64 * 1024);
    let evil = with(
        failed(
            span(
                "pay\nout \u{202e}evil]]>",
                Kind::Client,
                "GET\u{1b}[2J",
                (1, SERVER),
                (100, 200),
            ),
            "</text><script>alert(1)</script>\u{1b}]0;title\u{7}\u{0}\u{ffff}",
        ),
        &[("service.peer.name", text("peer\r\"'&<>\u{9b}31m"))],
    );
    let mut server = server(300, 200);
    server.name = format!("GET /\u{1b}]0;title\u{7}<script>\u{202e}{long}");
    server.attributes.retain(|(key, _)| key != "flow");
    server.events.push(Event {
        name: "</title>".to_owned(),
        at: START,
        attributes: Vec::new(),
    });
    trace(vec![
        with(server, &[("flow", text("a\tb\u{1b}[31m"))]),
        evil,
    ])
}

/// A chain of calls, each below the one before.
pub(crate) fn chain(count: u64) -> Trace {
    let link = |at: u64| {
        let (id, parent) = (at + 1, if at == 0 { 0 } else { at });
        let micros = (at, 2 * count - at);
        span(
            "deep",
            Kind::Internal,
            &format!("level {at}"),
            (id, parent),
            micros,
        )
    };
    trace((0..count).map(link).collect())
}

/// So many spans below one another and beside one another, none alike.
pub(crate) fn large(count: u64) -> Trace {
    let one = |at: u64| {
        let parent = if at == 0 { 0 } else { at.div_ceil(7) };
        let from = at * 10;
        let name = format!("step {at}");
        let one = span(
            "batch",
            Kind::Internal,
            &name,
            (at + 1, parent),
            (from, from + 500),
        );
        if at.is_multiple_of(97) {
            failed(one, "")
        } else {
            one
        }
    };
    let mut trace = trace((0..count).map(one).collect());
    if let Some(root) = trace.spans.first_mut() {
        root.end = START + (count * 10 + 500) * MICRO;
    }
    trace
}
