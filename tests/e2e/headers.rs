//! Headers on their way through: hop-by-hop, forwarding, edits, cross-origin rules.

use crate::support::client::{get, request, send};
use crate::support::origin::{Origin, with_headers};
use crate::support::proxy::Setup;

#[tokio::test]
async fn what_a_stranger_says_of_others_is_removed() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let claims = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x_forwarded_for", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("cf-connecting-ip", "1.2.3.4"),
        ("x-real-ip", "1.2.3.4"),
    ];
    get(proxy.address, "/", &claims).await;

    let received = origin.sole();
    assert_eq!(received.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(received.one("x-forwarded-proto"), "http");
    assert_eq!(received.one("x-forwarded-host"), "app.example.com");
    for name in [
        "x_forwarded_for",
        "forwarded",
        "cf-connecting-ip",
        "x-real-ip",
    ] {
        assert!(received.all(name).is_empty(), "{name}");
    }
    assert_eq!(received.one("via"), "1.1 edgespan");
}

#[tokio::test]
async fn a_trusted_peer_may_speak_for_others() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("listeners: {web: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}}")
        .start()
        .await;

    let told = [
        ("x-forwarded-for", "9.9.9.9, 203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("forwarded", "for=203.0.113.7"),
    ];
    get(proxy.address, "/", &told).await;

    let received = origin.sole();
    assert_eq!(
        received.one("x-forwarded-for"),
        "9.9.9.9, 203.0.113.7, 127.0.0.1"
    );
    assert_eq!(received.one("x-forwarded-proto"), "https");
    assert_eq!(received.one("x-forwarded-host"), "shop.example");
    assert!(
        received
            .one("forwarded")
            .starts_with("for=203.0.113.7, for=127.0.0.1")
    );
}

#[tokio::test]
async fn hop_by_hop_headers_end_here() {
    let origin = Origin::answering(|_| {
        with_headers(
            200,
            &[
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
                ("x-stays", "1"),
            ],
            "ok",
        )
    })
    .await;
    let proxy = Setup::front(&origin).start().await;

    let sent = [
        ("connection", "x-mine, keep-alive"),
        ("x-mine", "1"),
        ("keep-alive", "1"),
        ("proxy-authorization", "x"),
        ("te", "gzip"),
    ];
    let reply = get(proxy.address, "/", &sent).await;

    let received = origin.sole();
    for name in ["x-mine", "keep-alive", "proxy-authorization", "te"] {
        assert!(received.all(name).is_empty(), "{name}");
    }
    assert_eq!(
        (
            reply.header("x-hop"),
            reply.header("keep-alive"),
            reply.header("x-stays")
        ),
        (None, None, Some("1"))
    );
}

#[tokio::test]
async fn a_route_edits_headers() {
    let origin =
        Origin::answering(|_| with_headers(200, &[("server", "old"), ("x-gone", "1")], "")).await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         routes:\n  - name: all\n    match: {prefix: /}\n    upstream: origin\n    headers:\n      \
         request: {set: {x-set: new}, add: {x-add: two}, remove: [x-drop]}\n      \
         response: {set: {server: edge}, remove: [x-gone]}\n",
    )
    .origin(&origin)
    .start()
    .await;

    let reply = get(
        proxy.address,
        "/",
        &[("x-set", "old"), ("x-add", "one"), ("x-drop", "1")],
    )
    .await;

    let received = origin.sole();
    assert_eq!(
        (received.one("x-set"), received.all("x-add")),
        ("new".into(), vec!["one".into(), "two".into()])
    );
    assert!(received.all("x-drop").is_empty());
    assert_eq!(
        (reply.header("server"), reply.header("x-gone")),
        (Some("edge"), None)
    );
}

const CORS: &str = "
upstreams: {origin: {endpoints: ['http://${origin}']}}
routes:
  - name: ours
    match: {prefix: /ours, methods: [GET, POST]}
    upstream: origin
    cors: {origins: ['https://app.example'], headers: [content-type], credentials: true, max_age: 10m}
  - name: theirs
    match: {prefix: /theirs}
    upstream: origin
    cors: {}
";

const ORIGIN: (&str, &str) = ("origin", "https://app.example");

#[tokio::test]
async fn a_preflight_is_answered_with_the_context_headers_allowed() {
    let origin = Origin::start().await;
    let proxy = Setup::new(CORS).origin(&origin).start().await;

    let asking = [
        ORIGIN,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "traceparent"),
    ];
    let reply = send(proxy.address, request("OPTIONS", "/ours", &asking)).await;

    assert_eq!(reply.status, 204);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert_eq!(
        reply.header("access-control-allow-credentials"),
        Some("true")
    );
    let allowed = reply.header("access-control-allow-headers").unwrap();
    assert_eq!(allowed, "content-type, traceparent, tracestate, baggage");
    assert_eq!(reply.header("access-control-max-age"), Some("600"));
    assert!(origin.received().is_empty());

    let stranger = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
    ];
    let reply = send(proxy.address, request("OPTIONS", "/ours", &stranger)).await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn scripts_may_read_the_trace_of_an_answer() {
    let origin = Origin::start().await;
    let proxy = Setup::new(CORS).origin(&origin).start().await;

    let reply = get(proxy.address, "/ours", &[ORIGIN]).await;

    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    let exposed = reply.header("access-control-expose-headers").unwrap();
    assert_eq!(exposed, "x-trace-id, server-timing");
    assert!(
        reply
            .headers
            .get_all("vary")
            .iter()
            .any(|value| value == "origin")
    );
}

#[tokio::test]
async fn an_origins_own_rules_stay_and_let_context_through() {
    let origin = Origin::answering(|_| {
        with_headers(
            200,
            &[
                ("access-control-allow-origin", "*"),
                ("access-control-allow-headers", "X-App, traceparent"),
            ],
            "",
        )
    })
    .await;
    let proxy = Setup::new(CORS).origin(&origin).start().await;

    let asking = [ORIGIN, ("access-control-request-method", "POST")];
    let reply = send(proxy.address, request("OPTIONS", "/theirs", &asking)).await;

    assert_eq!(origin.sole().method, "OPTIONS");
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let allowed = reply
        .header("access-control-allow-headers")
        .unwrap()
        .to_lowercase();
    assert_eq!(allowed, "x-app, traceparent, tracestate, baggage");
}
