//! The edges of a request: a SERVER span, and a CLIENT span for each attempt.

use crate::support::client::{begin, get, request, send, with_body};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, streamed, text};
use crate::support::proxy::Setup;
use crate::support::spans::find;
use crate::support::until;
use http_body::Frame;
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

const ORDERS: &str = "
upstreams: {content: {service: logic-router, endpoints: ['http://${origin}']}}
routes:
  - {name: orders, match: {path: '/api/v1/orders/{order_id}'}, upstream: content}
  - {name: login, match: {path: /login}, upstream: content, span_name: api.login}
";

#[tokio::test]
async fn a_request_has_a_server_span_and_a_client_span_under_it() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(ORDERS)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    let reply = get(
        proxy.address,
        "/api/v1/orders/7?page=2",
        &[("user-agent", "probe/1")],
    )
    .await;

    assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "hello"));
    let edges = collector.next_edges().await;
    let (server, client) = (edges.server(), edges.client());
    assert_eq!(server.name(), "GET /api/v1/orders/{order_id}");
    assert_eq!(server.text("http.request.method"), Some("GET"));
    assert_eq!(server.text("url.path"), Some("/api/v1/orders/7"));
    assert_eq!(server.text("url.query"), Some("page=2"));
    assert_eq!(server.text("url.scheme"), Some("http"));
    assert_eq!(server.text("http.route"), Some("/api/v1/orders/{order_id}"));
    assert_eq!(server.int("http.response.status_code"), Some(200));
    assert_eq!(server.text("server.address"), Some("app.example.com"));
    assert_eq!(server.text("client.address"), Some("127.0.0.1"));
    assert_eq!(server.text("network.peer.address"), Some("127.0.0.1"));
    assert!(server.int("network.peer.port").is_some_and(|port| port > 0));
    assert_eq!(server.text("network.protocol.version"), Some("1.1"));
    assert_eq!(server.text("user_agent.original"), Some("probe/1"));
    assert_eq!(server.text("edgespan.route"), Some("orders"));
    assert!(
        server
            .double("edgespan.internal.duration")
            .is_some_and(|time| time > 0.0)
    );
    assert_eq!(
        (server.status(), server.text("error.type")),
        (StatusCode::Unset, None)
    );

    assert_eq!(client.parent_id(), server.span_id());
    assert_eq!(client.trace_id(), server.trace_id());
    assert_eq!(client.name(), "GET /api/v1/orders/{order_id}");
    assert_eq!(client.text("server.address"), Some("127.0.0.1"));
    assert_eq!(
        client.int("server.port"),
        Some(i64::from(origin.address.port()))
    );
    let url = format!("http://{}/api/v1/orders/7?page=2", origin.address);
    assert_eq!(client.text("url.full"), Some(&*url));
    assert_eq!(client.text("service.peer.name"), Some("logic-router"));
    assert_eq!(client.text("peer.service"), Some("logic-router"));
    assert_eq!(client.int("http.response.status_code"), Some(200));
    assert_eq!(client.int("http.request.resend_count"), None);
    let arrived = origin.sole().one("traceparent");
    assert_eq!(
        arrived,
        format!("00-{}-{}-03", client.trace_id(), client.span_id())
    );
}

#[tokio::test]
async fn a_span_lasts_until_the_last_byte_of_the_body() {
    let collector = Collector::start().await;
    let (frames, answer) = streamed();
    let answer = std::sync::Mutex::new(Some(answer));
    let origin = Origin::answering(move |_| answer.lock().unwrap().take().unwrap()).await;
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let mut response = begin(proxy.address, request("GET", "/stream", &[])).await;
    frames.send(Frame::data("one".into())).await.unwrap();
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "one");
    assert!(collector.spans().is_empty(), "no span ends before its body");
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    drop(frames);
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );

    let edges = collector.next_edges().await;
    for span in &edges.0 {
        let nanos = span.0.end_time_unix_nano - span.0.start_time_unix_nano;
        assert!(nanos >= 30_000_000, "{nanos} ns");
    }
    assert!(edges.server().0.end_time_unix_nano >= edges.client().0.end_time_unix_nano);
}

#[tokio::test]
async fn a_request_its_client_abandoned_still_exports_its_spans() {
    let collector = Collector::start().await;
    let origin = Origin::that_never_answers().await;
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let asking = tokio::spawn(get_forever(proxy.address));
    origin.wait_for_heads(1).await;
    asking.abort();

    let edges = collector.next_edges().await;
    let (server, client) = (edges.server(), edges.client());
    assert_eq!(server.bool("edgespan.client_disconnected"), Some(true));
    assert_eq!(
        server.status(),
        StatusCode::Unset,
        "leaving is the client's right"
    );
    assert_eq!(
        (client.status(), client.text("error.type")),
        (StatusCode::Unset, None)
    );
    until("no request in flight", || proxy.requests() == 0).await;
}

async fn get_forever(to: std::net::SocketAddr) {
    get(to, "/slow", &[]).await;
}

#[tokio::test]
async fn a_status_of_the_origin_is_told_on_both_spans() {
    let collector = Collector::start().await;
    let origin = Origin::answering(|received| {
        text(
            received.uri.path().trim_start_matches('/').parse().unwrap(),
            "said",
        )
    })
    .await;
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    for (status, server_status, client_status) in [
        (204, StatusCode::Unset, StatusCode::Unset),
        (302, StatusCode::Unset, StatusCode::Unset),
        (404, StatusCode::Unset, StatusCode::Error),
        (503, StatusCode::Error, StatusCode::Error),
    ] {
        assert_eq!(
            get(proxy.address, &format!("/{status}"), &[]).await.status,
            status
        );

        let edges = collector.next_edges().await;
        let (server, client) = (edges.server(), edges.client());
        assert_eq!(
            server.int("http.response.status_code"),
            Some(i64::from(status))
        );
        assert_eq!(
            (server.status(), client.status()),
            (server_status, client_status),
            "{status}"
        );
        let kind = status.to_string();
        let error = |failed| (failed == StatusCode::Error).then_some(&*kind);
        assert_eq!(server.text("error.type"), error(server_status));
        assert_eq!(client.text("error.type"), error(client_status));
    }
}

#[tokio::test]
async fn a_route_can_name_its_span() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(ORDERS)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    send(
        proxy.address,
        with_body(request("POST", "/login", &[]), "{}"),
    )
    .await;

    let edges = collector.next_edges().await;
    assert_eq!(edges.server().name(), "api.login");
    assert_eq!(edges.client().name(), "POST /login");
}

#[tokio::test]
async fn an_unknown_method_stays_out_of_names() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    send(proxy.address, request("BREW", "/pot", &[])).await;

    let edges = collector.next_edges().await;
    assert!(
        edges.server().name().starts_with("HTTP"),
        "{}",
        edges.server().name()
    );
    assert_eq!(edges.server().text("http.request.method"), Some("_OTHER"));
    assert_eq!(
        edges.server().text("http.request.method_original"),
        Some("BREW")
    );
}

#[tokio::test]
async fn secrets_in_a_query_are_redacted_and_still_reach_the_origin() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin)
        .with("redaction: {query: [session]}")
        .export_to(&collector)
        .start()
        .await;

    let query = "a=1&token=s3cret&X-Amz-Signature=s3cret&Session=s3cret&%74oken=s3cret";
    get(proxy.address, &format!("/?{query}"), &[]).await;

    let edges = collector.next_edges().await;
    let told = edges.server().text("url.query").unwrap();
    assert!(
        told.starts_with("a=1&token=REDACTED&X-Amz-Signature=REDACTED"),
        "{told}"
    );
    for span in &edges.0 {
        assert!(!format!("{:?}", span.0).contains("s3cret"));
    }
    assert_eq!(origin.sole().uri.query(), Some(query));
}

#[tokio::test]
async fn a_request_without_a_route_has_a_span_and_a_bad_one_too() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::new(ORDERS)
        .origin(&origin)
        .export_to(&collector)
        .start()
        .await;

    assert_eq!(get(proxy.address, "/nowhere", &[]).await.status, 404);
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().name(), "GET");
    assert_eq!(edges.server().text("http.route"), None);
    assert_eq!(edges.server().status(), StatusCode::Unset);

    assert_eq!(get(proxy.address, "/a/../b", &[]).await.status, 400);
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().int("http.response.status_code"), Some(400));
    assert!(origin.received().is_empty());
}

#[tokio::test]
async fn spans_come_from_the_service_that_edgespan_stands_for() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin)
        .with(
            "service: {name: portal, environment: staging, attributes: {cloud.region: eu-west-1}}",
        )
        .variable(
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=edge,deployment.environment.name=prod",
        )
        .export_to(&collector)
        .start()
        .await;

    get(proxy.address, "/", &[]).await;

    collector.next_edges().await;
    let resource = collector.resource().attributes;
    let text = |key| match find(&resource, key) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{key}: {other:?}"),
    };
    assert_eq!(text("service.name"), "portal");
    assert_eq!(text("cloud.region"), "eu-west-1");
    assert_eq!(text("team"), "edge");
    assert_eq!(
        text("deployment.environment.name"),
        "prod",
        "the variable wins"
    );
}
