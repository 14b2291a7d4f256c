//! A bug in one request is the end of that request, and of no other.

use crate::support::client::{get, request, send_h2};
use crate::support::collector::Collector;
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use bytes::Bytes;
use edgespan::trace::sink::{FinishedSpans, SpanSink};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A bug: it cannot stand requests for `/boom`.
struct Fragile(Arc<AtomicUsize>);

impl SpanSink for Fragile {
    fn accept(&self, spans: &FinishedSpans) {
        let meets = spans.bytes.windows(5).any(|bytes| bytes == b"/boom");
        assert!(!meets, "the bug of this test");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn fragile() -> (Proxy, Arc<AtomicUsize>) {
    let traced = Arc::new(AtomicUsize::new(0));
    let text = "routes: [{name: all, match: {prefix: /}, answer: {status: 200, body: ok}}]";
    let setup = Setup::new(text).sink(Fragile(Arc::clone(&traced)));
    (setup.start().await, traced)
}

async fn panics(proxy: &Proxy) -> u64 {
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
    let page = page.text();
    let line = page
        .lines()
        .find(|line| line.starts_with("edgespan_panics_total "));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_panic_in_one_stream_leaves_the_others_of_its_connection_alone() {
    let (proxy, traced) = fragile().await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut ask = |path: &str| {
        let mut asked = request("GET", "/", &[]).map(|_| Empty::<Bytes>::new());
        asked.headers_mut().remove("host");
        *asked.uri_mut() = format!("http://app.example.com{path}").parse().unwrap();
        sender.send_request(asked)
    };

    let (boom, fine) = tokio::join!(ask("/boom"), ask("/fine"));
    let later = ask("/later").await.unwrap();

    assert_eq!(
        fine.unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes(),
        "ok"
    );
    assert_eq!(later.status(), 200);
    // Whatever it got, it was no whole answer of another's.
    if let Ok(boom) = boom {
        drop(boom.into_body().collect().await);
    }
    until("the two spans", || traced.load(Ordering::Relaxed) == 2).await;
    assert_eq!(panics(&proxy).await, 1);
    assert!(proxy.stop().await.clean);
}

#[tokio::test]
async fn a_panic_in_a_connections_own_task_is_counted_once_and_the_listener_goes_on() {
    let (proxy, _) = fragile().await;
    let address = proxy.address;

    let failing = tokio::spawn(async move { get(address, "/boom", &[]).await });
    drop(failing.await);

    assert_eq!(get(address, "/", &[]).await.status, 200);
    assert_eq!(send_h2(address, request("GET", "/", &[])).await.status, 200);
    assert_eq!(panics(&proxy).await, 1);
    assert_eq!(proxy.requests(), 0);
    assert!(proxy.stop().await.clean);
}

/// A bug within a request: it cannot stand what the log says of one that failed.
struct FragileLog;

impl Subscriber for FragileLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Message);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Message;

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let meets = field.name() == "message" && format!("{value:?}") == "request failed";
        assert!(!meets, "the bug of this test");
    }
}

#[tokio::test]
async fn a_request_that_panics_leaves_its_spans_and_they_say_so() {
    let collector = Collector::start().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port().to_string();
    drop(nobody);
    let text = "upstreams: {nobody: {endpoints: ['http://127.0.0.1:${port}']}}\n\
                routes: [{name: all, match: {prefix: /}, upstream: nobody}]";
    let setup = Setup::new(text).fill("port", &port).export_to(&collector);
    let proxy = setup.start().await;
    let address = proxy.address;
    // Requests are served on this very thread.
    let fragile = tracing::subscriber::set_default(FragileLog);

    let failing = tokio::spawn(async move { get(address, "/", &[]).await });
    drop(failing.await);

    drop(fragile);
    let edges = collector.next_edges().await;
    let server = edges.server();
    assert_eq!(server.text("error.type"), Some("panic"));
    assert_eq!(server.int("http.response.status_code"), Some(500));
    assert_eq!(server.status(), StatusCode::Error);
    assert_eq!(edges.client().parent_id(), server.span_id());
    assert_eq!(panics(&proxy).await, 1);
    assert_eq!(proxy.requests(), 0);
    assert!(proxy.stop().await.clean);
}
