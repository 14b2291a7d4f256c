//! Flows and feature flags on spans.

use crate::support::client::get;
use crate::support::collector::Collector;
use crate::support::origin::{Origin, with_headers};
use crate::support::proxy::Setup;

const ESCROW: &str = "
upstreams: {content: {endpoints: ['http://${origin}']}}
flows:
  escrow:
    attributes:
      order_id: {path: order_id}
      attempt: {path: attempt, type: int}
      psp: {request_header: x-psp}
      amount: {request_header: x-amount, type: double}
      media_present: {request_header: x-media, type: bool}
      state: {response_header: x-order-state}
      missing: {response_header: x-none}
routes:
  - name: release
    match: {path: '/orders/{order_id}/release/{attempt}'}
    upstream: content
    flow: escrow
    feature_flags: {checkout: v2}
  - {name: rest, match: {prefix: /}, upstream: content}
feature_flags: {tracing.otel.enabled: on, checkout: v1}
";

#[tokio::test]
async fn a_flow_takes_typed_attributes_from_path_request_and_answer() {
    let collector = Collector::start().await;
    let origin =
        Origin::answering(|_| with_headers(200, &[("x-order-state", "released")], "")).await;
    let proxy = Setup::new(ESCROW)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    let headers = [("x-psp", "acme"), ("x-amount", "12.5"), ("x-media", "true")];
    get(proxy.address, "/orders/A%20%2B7/release/3", &headers).await;

    let edges = collector.next_edges().await;
    let server = edges.server();
    assert_eq!(server.text("flow"), Some("escrow"));
    assert_eq!(server.text("order_id"), Some("A +7"));
    assert_eq!(server.int("attempt"), Some(3));
    assert_eq!(server.text("psp"), Some("acme"));
    assert_eq!(server.double("amount"), Some(12.5));
    assert_eq!(server.bool("media_present"), Some(true));
    assert_eq!(server.text("state"), Some("released"));
    assert!(server.value("missing").is_none());
    assert_eq!(edges.client().text("flow"), Some("escrow"));
}

#[tokio::test]
async fn text_that_is_not_of_its_type_stays_text() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(ESCROW)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    get(
        proxy.address,
        "/orders/7/release/third",
        &[("x-amount", "much")],
    )
    .await;

    let edges = collector.next_edges().await;
    assert_eq!(edges.server().text("attempt"), Some("third"));
    assert_eq!(edges.server().text("amount"), Some("much"));
}

#[tokio::test]
async fn feature_flags_stand_on_both_spans_as_a_list_and_one_by_one() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(ESCROW)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    for (path, checkout) in [("/orders/7/release/1", "v2"), ("/", "v1")] {
        get(proxy.address, path, &[]).await;

        let edges = collector.next_edges().await;
        for span in [edges.server(), edges.client()] {
            let list = [
                format!("checkout={checkout}"),
                "tracing.otel.enabled=on".to_owned(),
            ];
            assert_eq!(span.texts("feature_flags"), list);
            assert_eq!(span.text("feature_flags.checkout"), Some(checkout));
            assert_eq!(span.text("feature_flags.tracing.otel.enabled"), Some("on"));
        }
    }
}
