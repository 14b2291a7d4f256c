//! What stands in the way of another attempt, and what does not.

use crate::support::client::{get, patiently, request, send, with_stream};
use crate::support::collector::Collector;
use crate::support::proxy::{Proxy, Setup};
use crate::support::script::{Scripted, Step, say};
use crate::support::until;
use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

fn front(origin: SocketAddr, settings: &str) -> Setup {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{origin}'], {settings}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n"
    ))
}

/// Waits between attempts that no test has to sit through.
const QUICK: &str = "backoff: {base: 1ms, max: 1ms}";

#[tokio::test]
async fn a_retry_that_is_over_does_not_stand_in_the_way_of_the_next() {
    let origin = Scripted::start([say(503, "busy"), say(503, "busy")]).await;
    let settings = format!("limits: {{retries: 1}}, retries: {{attempts: 2, on: [503], {QUICK}}}");
    let proxy = front(origin.address, &settings).start().await;

    assert_eq!(get(proxy.address, "/", &[]).await.text(), "done");
}

#[tokio::test]
async fn what_a_client_takes_for_its_body_is_not_taken_from_retries() {
    let origin = Scripted::start([say(503, "busy")]).await;
    let settings =
        format!("timeouts: {{first_byte: 400ms}}, retries: {{attempts: 1, on: [503], {QUICK}}}");
    let proxy = front(origin.address, &settings).start().await;
    let (frames, upload) = with_stream(request("PUT", "/", &[]));
    tokio::spawn(async move {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            frames.send(Frame::data("part".into())).await.unwrap();
        }
    });

    let reply = send(proxy.address, upload).await;

    assert_eq!(reply.text(), "done");
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn attempts_beside_each_other_have_one_deadline() {
    let origin = Scripted::start([Step::Silence, Step::Silence]).await;
    let settings = "timeouts: {first_byte: 2s}, \
                    retries: {attempts: 0, hedge: {after: 1900ms, attempts: 1}}";
    let proxy = front(origin.address, settings).start().await;
    let began = Instant::now();

    assert_eq!(get(proxy.address, "/", &[]).await.status, 504);

    assert_eq!(origin.seen().len(), 2);
    let took = began.elapsed();
    assert!(took < Duration::from_millis(3_600), "{took:?}");
}

/// Fails its health checks once it has got a request, and answers that one when it knows that the
/// proxy has heard of it.
async fn falling_ill(checks: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ill_at = Arc::new(AtomicUsize::new(usize::MAX));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (checks, ill_at) = (Arc::clone(&checks), Arc::clone(&ill_at));
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (checks, ill_at) = (Arc::clone(&checks), Arc::clone(&ill_at));
                async move {
                    let status = if request.uri().path() == "/healthz" {
                        let check = checks.fetch_add(1, Ordering::Relaxed);
                        if check < ill_at.load(Ordering::Relaxed) {
                            200
                        } else {
                            500
                        }
                    } else {
                        let seen = checks.load(Ordering::Relaxed);
                        ill_at.store(seen, Ordering::Relaxed);
                        // The check after a failed one begins when the failure was taken in.
                        until("failed checks", || {
                            checks.load(Ordering::Relaxed) > seen + 2
                        })
                        .await;
                        503
                    };
                    let response = Response::builder().status(status);
                    let body = Full::new(Bytes::from_static(b"busy, and here is why"));
                    Ok::<_, Infallible>(response.body(body).unwrap())
                }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            tokio::spawn(async move {
                builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    address
}

#[tokio::test]
async fn an_answer_passes_if_nobody_can_be_asked_for_a_better_one() {
    let (checks, collector) = (Arc::new(AtomicUsize::new(0)), Collector::start().await);
    let origin = falling_ill(Arc::clone(&checks)).await;
    let settings = format!(
        "panic_threshold: 0, health: {{http: {{path: /healthz}}, interval: 20ms, timeout: 5s, \
         healthy: 1, unhealthy: 1}}, retries: {{attempts: 2, on: [503], {QUICK}}}"
    );
    let proxy: Proxy = front(origin, &settings).export_to(&collector).start().await;
    until("a check", || checks.load(Ordering::Relaxed) > 1).await;

    let reply = patiently(get(proxy.address, "/", &[])).await;

    assert_eq!(reply.text(), "busy, and here is why");
    let edges = collector.next_edges().await;
    let denied = edges.server().text("edgespan.retry.denied");
    assert_eq!(denied, Some("endpoint"));
}

/// Speaks HTTP/2; answers 503 to the first request and resets the second.
async fn busy_then_broken() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut asked = 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            asked += 1;
            if asked == 1 {
                let busy = Response::builder().status(503).body(()).unwrap();
                respond.send_response(busy, true).unwrap();
            } else {
                respond.send_reset(h2::Reason::INTERNAL_ERROR);
            }
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_was_given_up_leaves_nothing_of_itself_in_edgespans_own() {
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['h2c://{}'], \
         retries: {{attempts: 1, on: [503], {QUICK}}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        busy_then_broken().await
    ));
    let proxy = proxy.start().await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 502, "{}", reply.text());
    assert_eq!(reply.header("via"), Some("1.1 edgespan"));
}
