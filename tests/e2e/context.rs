//! Context comes through intact: tracestate, baggage, B3, and what a client tries against it.

use crate::support::client::{get, request, send_h2};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, Speaks, text};
use crate::support::proxy::Setup;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn baggage_leaves_byte_for_byte_as_it_came() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let lines = [
        "b=2;property;k=v , a=%20caf%C3%A9=1",
        "malformed member,,a=1",
        "key=value=with=signs",
    ];

    let headers: Vec<(&str, &str)> = lines.iter().map(|line| ("baggage", *line)).collect();
    get(proxy.address, "/", &headers).await;

    assert_eq!(origin.sole().all("baggage"), lines);
}

#[tokio::test]
async fn nine_kilobytes_of_baggage_pass() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let long = (0..180)
        .map(|one| format!("k{one}={}", "v".repeat(45)))
        .collect::<Vec<_>>()
        .join(",");

    get(proxy.address, "/", &[("baggage", &long)]).await;

    assert_eq!(origin.sole().one("baggage"), long);
}

#[tokio::test]
async fn a_client_cannot_remove_context_by_nominating_it() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "vendor=1"),
        ("baggage", "user=7"),
        ("x-secret", "mine"),
        ("connection", "traceparent, tracestate, baggage, x-secret"),
    ];
    get(proxy.address, "/", &headers).await;

    let received = origin.sole();
    assert!(received.one("traceparent").contains(TRACE));
    assert_eq!(
        (received.one("tracestate"), received.one("baggage")),
        ("vendor=1".into(), "user=7".into())
    );
    assert!(
        received.all("x-secret").is_empty(),
        "what may be nominated is removed"
    );
    assert_eq!(collector.next_edges().await.server().trace_id(), TRACE);
}

#[tokio::test]
async fn the_callers_span_is_the_parent_and_its_tracestate_is_exported() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    get(
        proxy.address,
        "/",
        &[
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ],
    )
    .await;

    let edges = collector.next_edges().await;
    assert_eq!(edges.server().parent_id(), "b7ad6b7169203331");
    assert_eq!(edges.server().0.trace_state, "a=1,b=2");
    assert_eq!(edges.client().0.trace_state, "a=1,b=2");
}

#[tokio::test]
async fn the_same_holds_over_http2_and_grpc_metadata() {
    let collector = Collector::start().await;
    let origin = Origin::speaking(Speaks::H2c, |_| text(200, "")).await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['h2c://${origin}']}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .origin(&origin)
    .export_to(&collector)
    .start()
    .await;

    let call = request(
        "POST",
        "/shop.Orders/Get",
        &[
            ("content-type", "application/grpc"),
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("baggage", "z=1,a=2"),
        ],
    );
    send_h2(proxy.address, call).await;

    let received = origin.sole();
    assert!(
        received
            .one("traceparent")
            .starts_with(&format!("00-{TRACE}-"))
    );
    assert_eq!(
        (received.one("tracestate"), received.one("baggage")),
        ("a=1".into(), "z=1,a=2".into())
    );
    assert_eq!(
        collector
            .next_edges()
            .await
            .server()
            .text("rpc.system.name"),
        Some("grpc")
    );
}

#[tokio::test]
async fn b3_is_read_and_written_where_it_is_asked_for() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .variable("OTEL_PROPAGATORS", "b3,baggage")
        .start()
        .await;

    get(
        proxy.address,
        "/",
        &[("b3", &format!("{TRACE}-b7ad6b7169203331-1"))],
    )
    .await;

    let b3 = origin.sole().one("b3");
    assert!(
        b3.starts_with(&format!("{TRACE}-")) && b3.ends_with("-1"),
        "{b3}"
    );
    assert!(
        !b3.contains("b7ad6b7169203331"),
        "our span is the parent now"
    );
}

#[tokio::test]
async fn b3_multi_is_written_in_several_headers() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("propagation: {propagators: [tracecontext, b3multi]}")
        .start()
        .await;

    get(
        proxy.address,
        "/",
        &[
            ("x-b3-traceid", TRACE),
            ("x-b3-spanid", "b7ad6b7169203331"),
            ("x-b3-sampled", "0"),
        ],
    )
    .await;

    let received = origin.sole();
    assert_eq!(received.one("x-b3-traceid"), TRACE);
    assert_eq!(received.one("x-b3-sampled"), "0");
    assert!(
        received
            .one("traceparent")
            .starts_with(&format!("00-{TRACE}-"))
    );
    assert!(received.one("traceparent").ends_with("-00"));
}

#[tokio::test]
async fn with_recording_off_everything_passes_untouched() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin)
        .variable("OTEL_SDK_DISABLED", "true")
        .export_to(&collector)
        .start()
        .await;
    let headers = [
        ("traceparent", "ff-anything at all"),
        ("tracestate", "BAD=1"),
        ("tracestate", "second=2"),
        ("b3", "0"),
        ("connection", "traceparent"),
    ];

    let reply = get(proxy.address, "/", &headers).await;
    assert_eq!(reply.status, 200);

    let received = origin.sole();
    assert_eq!(received.one("traceparent"), "ff-anything at all");
    assert_eq!(received.all("tracestate"), ["BAD=1", "second=2"]);
    assert_eq!(received.one("b3"), "0");
    assert!(collector.stays_silent().await);
}

#[tokio::test]
async fn answers_carry_the_trace_id_if_asked_to() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("propagation: {response_trace_id: true}")
        .start()
        .await;

    let reply = get(proxy.address, "/", &[("traceparent", PARENT)]).await;
    assert_eq!(reply.header("x-trace-id"), Some(TRACE));
    let reply = get(proxy.address, "/../", &[]).await;
    assert_eq!(
        reply.header("x-trace-id").map(str::len),
        Some(32),
        "errors, too"
    );
}
