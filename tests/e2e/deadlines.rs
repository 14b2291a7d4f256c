//! Whose deadline ends a call, and what that says of the upstream.

use crate::support::client::{Reply, get, patiently, request, send_h2, with_body};
use crate::support::collector::Collector;
use crate::support::proxy::{Proxy, Setup};
use crate::support::unreachable;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// An origin of HTTP/2 that is silent on `/hang`, and how many connections it has taken.
async fn hanging() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                if request.uri().path() == "/hang" {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, taken)
}

async fn front(endpoints: &[SocketAddr], timeouts: &str, collector: &Collector) -> Proxy {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|endpoint| format!("'h2c://{endpoint}'"))
        .collect();
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: [{}], timeouts: {{{timeouts}}}, \
         outlier: {{consecutive_errors: 2, consecutive_failures: 2, ejection: 60s}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        endpoints.join(", ")
    ))
    .export_to(collector)
    .start()
    .await
}

/// A call that gives itself 30 milliseconds.
async fn hurried(proxy: &Proxy) -> Reply {
    let headers = [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "30m"),
    ];
    let call = with_body(request("POST", "/hang", &headers), &b"\0\0\0\0\0"[..]);
    send_h2(proxy.address, call).await
}

async fn ejections(proxy: &Proxy) -> Vec<String> {
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    page.lines()
        .filter(|line| line.starts_with("edgespan_upstream_ejections_total"))
        .filter(|line| !line.ends_with(" 0"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_call_in_a_hurry_takes_neither_connections_nor_endpoints_from_others() {
    let collector = Collector::start().await;
    let (one, other) = (hanging().await, hanging().await);
    let taken = || one.1.load(Ordering::Relaxed) + other.1.load(Ordering::Relaxed);
    let proxy = front(&[one.0, other.0], "connect: 60s", &collector).await;
    for _ in 0..2 {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    }

    for _ in 0..8 {
        assert_eq!(hurried(&proxy).await.header("grpc-status"), Some("4"));
    }

    for _ in 0..2 {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    }
    assert_eq!(taken(), 2, "connections that others use are kept");
    assert_eq!(ejections(&proxy).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_found_out_by_calls_in_a_hurry_as_well() {
    let collector = Collector::start().await;
    let (address, taken) = hanging().await;
    let proxy = front(&[address], "connect: 200ms", &collector).await;

    patiently(async {
        while taken.load(Ordering::Relaxed) < 2 {
            hurried(&proxy).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_in_a_hurry_that_got_no_connection_passes_over_nobody() {
    let collector = Collector::start().await;
    let nobody: Vec<_> = (0..3).map(|_| unreachable()).collect();
    let addresses: Vec<_> = nobody.iter().map(|(_held, address)| *address).collect();
    let proxy = front(&addresses, "connect: 60s", &collector).await;

    for _ in 0..6 {
        assert_eq!(hurried(&proxy).await.header("grpc-status"), Some("4"));
        let edges = collector.next_edges().await;
        assert_eq!(edges.client().text("error.type"), Some("timeout"));
    }

    assert_eq!(ejections(&proxy).await, Vec::<String>::new());
}

#[tokio::test]
async fn once_the_exchange_is_over_no_endpoint_is_asked_in_vain() {
    let collector = Collector::start().await;
    let nobody: Vec<_> = (0..3).map(|_| unreachable()).collect();
    let addresses: Vec<_> = nobody.iter().map(|(_held, address)| *address).collect();
    let proxy = front(&addresses, "connect: 60s, request: 100ms", &collector).await;

    assert_eq!(get(proxy.address, "/", &[]).await.status, 504);

    let edges = collector.next_edges().await;
    assert_eq!(edges.clients().len(), 1);
}
