//! Endpoints that fail are left alone: by active checks, and by how requests fare.

use crate::support::client::{get, request, send};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, Speaks, text, with_headers};
use crate::support::proxy::{Proxy, Setup};
use crate::support::{PATIENCE, until};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An origin that can be made to fail, health checks included.
struct Fickle {
    origin: Origin,
    fails: Arc<AtomicBool>,
}

impl Fickle {
    async fn start(name: &'static str) -> Self {
        let fails = Arc::new(AtomicBool::new(false));
        let failing = Arc::clone(&fails);
        let origin = Origin::answering(move |_| {
            if failing.load(Ordering::SeqCst) {
                text(503, "down")
            } else {
                with_headers(200, &[("x-origin", name)], name)
            }
        })
        .await;
        Self { origin, fails }
    }

    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Requests of users, without checks.
    fn served(&self) -> usize {
        let received = self.origin.received();
        let is_check = |path: &str| path == "/healthz";
        received
            .iter()
            .filter(|one| !is_check(one.uri.path()))
            .count()
    }
}

fn front(endpoints: &[&Origin], keys: &str) -> Setup {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|origin| format!("'http://{}'", origin.address))
        .collect();
    let endpoints = endpoints.join(", ");
    Setup::new(&format!(
        "upstreams: {{content: {{endpoints: [{endpoints}], {keys}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: content}}]\n"
    ))
}

const CHECKED: &str = "health: {http: {path: /healthz}, interval: 20ms, timeout: 5s, \
                       healthy: 1, unhealthy: 2}";

/// The states of the only upstream's endpoints, in the file's order.
async fn states(proxy: &Proxy) -> Vec<String> {
    let reply = get(
        proxy.admin,
        "/upstreams?format=json",
        &[("host", "localhost")],
    )
    .await;
    let page = reply.json();
    let endpoints = page["upstreams"][0]["endpoints"].as_array().unwrap();
    let state = |one: &serde_json::Value| one["state"].as_str().unwrap().to_owned();
    endpoints.iter().map(state).collect()
}

async fn until_states(proxy: &Proxy, expected: &[&str]) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while states(proxy).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(
        waited.await.is_ok(),
        "waited in vain for {expected:?}: {:?}",
        states(proxy).await
    );
}

async fn metrics(proxy: &Proxy) -> String {
    get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text()
}

#[tokio::test]
async fn once_checks_have_noticed_no_request_goes_to_an_endpoint_that_fails() {
    let (one, other) = (Fickle::start("one").await, Fickle::start("other").await);
    let proxy = front(&[&one.origin, &other.origin], CHECKED).start().await;
    one.origin.wait_for_heads(1).await;
    other.origin.wait_for_heads(1).await;

    one.fail(true);
    until_states(&proxy, &["unhealthy", "available"]).await;
    let before = one.served();
    for _ in 0..30 {
        let reply = get(proxy.address, "/", &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("x-origin")),
            (200, Some("other"))
        );
    }
    assert_eq!(one.served(), before);
    let page = get(proxy.admin, "/upstreams", &[("host", "localhost")])
        .await
        .text();
    assert!(
        page.contains("1 of 2 endpoints usable") && page.contains("status 503"),
        "{page}"
    );

    one.fail(false);
    until_states(&proxy, &["available", "available"]).await;
    for _ in 0..10 {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    }
    assert!(one.served() > before);
    let page = metrics(&proxy).await;
    let failed = "edgespan_health_checks_total{upstream=\"content\",outcome=\"refused\"}";
    assert!(page.contains(failed), "{page}");
    assert!(!page.contains("/healthz"), "{page}");
}

#[tokio::test]
async fn checks_have_no_spans_and_carry_no_trace() {
    let collector = Collector::start().await;
    let origin = Fickle::start("one").await;
    let proxy = front(&[&origin.origin], CHECKED)
        .export_to(&collector)
        .start()
        .await;
    origin.origin.wait_for_heads(3).await;

    get(proxy.address, "/", &[]).await;

    assert_eq!(collector.next_edges().await.0.len(), 2);
    let received = origin.origin.received();
    let check = received
        .iter()
        .find(|one| one.uri.path() == "/healthz")
        .unwrap();
    assert_eq!(check.one("user-agent"), "edgespan-health");
    assert!(check.all("traceparent").is_empty());
}

#[tokio::test]
async fn where_too_few_are_well_all_are_used_and_both_spans_say_so() {
    let collector = Collector::start().await;
    let origin = Fickle::start("one").await;
    origin.fail(true);
    let proxy = front(&[&origin.origin], CHECKED)
        .export_to(&collector)
        .start()
        .await;
    until_states(&proxy, &["unhealthy"]).await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.text(), "down");
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().bool("edgespan.upstream.panic"), Some(true));
    assert_eq!(edges.client().bool("edgespan.upstream.panic"), Some(true));
    origin.fail(false);
    until_states(&proxy, &["available"]).await;
    get(proxy.address, "/", &[]).await;
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().bool("edgespan.upstream.panic"), None);
    assert_eq!(edges.client().bool("edgespan.upstream.panic"), None);
}

#[tokio::test]
async fn an_endpoint_is_ejected_at_the_third_error_and_comes_back() {
    let (one, other) = (Fickle::start("one").await, Fickle::start("other").await);
    one.fail(true);
    let keys = "outlier: {consecutive_errors: 3, ejection: 700ms}";
    let proxy = front(&[&one.origin, &other.origin], keys).start().await;

    let mut failed = 0;
    while failed < 2 {
        failed += usize::from(get(proxy.address, "/", &[]).await.status == 503);
    }
    assert_eq!(states(&proxy).await, ["available", "available"]);
    while failed < 3 {
        failed += usize::from(get(proxy.address, "/", &[]).await.status == 503);
    }

    assert_eq!(states(&proxy).await, ["ejected", "available"]);
    one.fail(false);
    until_states(&proxy, &["available", "available"]).await;
    assert_eq!(one.served(), 3);
    until("requests for the one that is back", || one.served() == 3).await;
    for _ in 0..4 {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    }
    assert!(one.served() > 3);
    let page = metrics(&proxy).await;
    let told = "edgespan_upstream_ejections_total{upstream=\"content\",reason=\"errors\"} 1\n";
    assert!(page.contains(told), "{page}");
}

/// What `grpc.health.v1.Health` answers: a message of one field, and trailers.
fn serving(status: u8, grpc_status: &'static str) -> crate::support::origin::Answer {
    let message = Bytes::from(vec![0, 0, 0, 0, 2, 8, status]);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(grpc_status));
    let frames = [Frame::data(message), Frame::trailers(trailers)];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, std::convert::Infallible>));
    let mut answer = http::Response::new(BodyExt::boxed(StreamBody::new(frames)));
    let kind = http::HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert("content-type", kind);
    answer
}

#[tokio::test]
async fn a_grpc_server_that_says_not_serving_is_left_alone() {
    let serves = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&serves);
    let origin = Origin::speaking(Speaks::H2c, move |request| {
        assert_eq!(request.uri.path(), "/grpc.health.v1.Health/Check");
        assert_eq!(&request.body[..], b"\0\0\0\0\x0d\x0a\x0bshop.Orders");
        serving(if asked.load(Ordering::SeqCst) { 1 } else { 2 }, "0")
    })
    .await;
    let setup = Setup::new(&format!(
        "upstreams: {{content: {{endpoints: ['h2c://{}'], health: {{grpc: \
         {{service: shop.Orders}}, interval: 20ms, timeout: 5s, healthy: 1, unhealthy: 1}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: content}}]\n",
        origin.address
    ));
    let proxy = setup.start().await;
    origin.wait_for_heads(2).await;
    assert_eq!(states(&proxy).await, ["available"]);

    serves.store(false, Ordering::SeqCst);

    until_states(&proxy, &["unhealthy"]).await;
    let page = get(proxy.admin, "/upstreams", &[("host", "localhost")])
        .await
        .text();
    assert!(page.contains("NOT_SERVING"), "{page}");
}

#[tokio::test]
async fn the_configuration_in_force_is_shown_without_its_secrets() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("export: [{otlp: {endpoint: 'http://127.0.0.1:1', headers: {x-team: hunter2, x-b: '${TOKEN}'}}}]")
        .variable("TOKEN", "hunter2")
        .start()
        .await;

    let reply = get(proxy.admin, "/config", &[("host", "localhost")]).await;

    assert_eq!(reply.status, 200);
    let page = reply.text();
    assert!(
        page.contains("service: content") && page.contains("x-team: *"),
        "{page}"
    );
    assert!(!page.contains("hunter2"), "{page}");
    let elsewhere = send(
        proxy.admin,
        request("GET", "/config", &[("host", "evil.example")]),
    )
    .await;
    assert_eq!(elsewhere.status, 421);
}
