//! What callers see when a request fails, and what the spans say of it.

use crate::support::client::{get, request, send, send_h2, with_body};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// An address that nobody listens on.
async fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

fn front(address: SocketAddr) -> Setup {
    Setup::new(
        "upstreams: {origin: {endpoints: ['http://${dead}'], \
         timeouts: {connect: 200ms, first_byte: 150ms}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("dead", &address.to_string())
}

#[tokio::test]
async fn a_refused_connection_is_502_and_an_error_on_both_spans() {
    let collector = Collector::start().await;
    let proxy = front(dead().await).export_to(&collector).start().await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 502);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let problem = reply.json();
    assert_eq!(
        (&problem["title"], &problem["code"]),
        (&"Bad Gateway".into(), &"upstream".into())
    );
    let edges = collector.next_edges().await;
    let (server, client) = (edges.server(), edges.client());
    assert_eq!(problem["trace_id"], server.trace_id());
    let timing = format!(
        "trace;desc=00-{}-{}-03",
        server.trace_id(),
        server.span_id()
    );
    assert_eq!(reply.header("server-timing"), Some(&*timing));
    assert_eq!(
        (server.status(), client.status()),
        (StatusCode::Error, StatusCode::Error)
    );
    assert_eq!(client.text("error.type"), Some("connection_refused"));
    assert_eq!(server.int("http.response.status_code"), Some(502));
    assert!(
        !reply.text().contains("127.0.0.1"),
        "no address: {}",
        reply.text()
    );
}

#[tokio::test]
async fn a_reset_reads_like_a_refusal() {
    let collector = Collector::start().await;
    let origin = Origin::raw(|_| Some(Vec::new())).await;
    let proxy = front(origin.address).export_to(&collector).start().await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(
        (reply.status.as_u16(), reply.json()["code"].clone()),
        (502, "upstream".into())
    );
    let edges = collector.next_edges().await;
    assert_eq!(edges.client().text("error.type"), Some("connection_reset"));
}

#[tokio::test]
async fn a_silent_upstream_is_504() {
    let collector = Collector::start().await;
    let origin = Origin::that_never_answers().await;
    let proxy = front(origin.address).export_to(&collector).start().await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(
        (reply.status.as_u16(), reply.json()["code"].clone()),
        (504, "upstream_timeout".into())
    );
    let edges = collector.next_edges().await;
    assert_eq!(edges.client().text("error.type"), Some("timeout"));
    assert_eq!(edges.server().status(), StatusCode::Error);
}

#[tokio::test]
async fn a_browser_gets_a_page() {
    let proxy = front(dead().await).start().await;

    let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
    let reply = get(proxy.address, "/", &[("accept", accept)]).await;

    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let page = reply.text();
    assert!(
        page.len() <= 3072 && page.contains("<title>502 Bad Gateway</title>"),
        "{page}"
    );
    assert!(page.contains("lang=\"en\"") && !page.contains("<script"));
}

#[tokio::test]
async fn a_grpc_client_gets_trailers() {
    let proxy = front(dead().await).start().await;

    let call = request(
        "POST",
        "/shop.Orders/Get",
        &[("content-type", "application/grpc"), ("te", "trailers")],
    );
    let reply = send_h2(proxy.address, with_body(call, "\0\0\0\0\0")).await;

    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("grpc-status"), Some("14"));
    assert!(
        reply
            .header("grpc-message")
            .is_some_and(|text| text.contains("did not answer"))
    );
    assert!(reply.body.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_passed_over() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${dead}', 'http://${origin}']}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("dead", &dead().await.to_string())
    .origin(&origin)
    .export_to(&collector)
    .start()
    .await;

    for _ in 0..4 {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    }

    let mut attempts = Vec::new();
    for _ in 0..4 {
        attempts.push(collector.next_edges().await.clients().len());
    }
    assert_eq!(attempts, [2, 1, 2, 1], "the turn goes round");
    assert_eq!(origin.received().len(), 4);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_of_the_upstream() {
    let collector = Collector::start().await;
    let origin =
        Origin::raw(|_| Some(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec())).await;
    let proxy = front(origin.address).export_to(&collector).start().await;

    let response = crate::support::client::begin(proxy.address, request("GET", "/", &[])).await;
    assert_eq!(response.status(), 200);
    assert!(
        http_body_util::BodyExt::collect(response.into_body())
            .await
            .is_err()
    );

    let edges = collector.next_edges().await;
    for span in [edges.server(), edges.client()] {
        assert_eq!(span.status(), StatusCode::Error);
        assert_eq!(span.text("error.type"), Some("connection_reset"));
    }
}

#[tokio::test]
async fn too_many_requests_at_an_upstream_are_503_with_a_time_to_try_again() {
    let collector = Collector::start().await;
    let origin = Origin::that_never_answers().await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}'], limits: {requests: 1}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .origin(&origin)
    .export_to(&collector)
    .start()
    .await;
    let address = proxy.address;
    let first = tokio::spawn(async move { get(address, "/", &[]).await });
    origin.wait_for_heads(1).await;

    let reply = send(proxy.address, request("GET", "/", &[])).await;

    assert_eq!(
        (reply.status.as_u16(), reply.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(reply.json()["code"], "overloaded");
    assert_eq!(
        collector.next_edges().await.server().status(),
        StatusCode::Error
    );
    first.abort();
}
