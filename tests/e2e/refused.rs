//! HTTP/2 says what was not processed: that may go elsewhere whatever the method.

use crate::support::client::{request, send, with_body, with_stream};
use crate::support::collector::Collector;
use crate::support::origin::{Answer, Origin, Speaks, text, with_headers};
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use http::Response;
use http_body::Frame;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// What the origin does with its first stream; the others are answered with 200.
#[derive(Clone, Copy, PartialEq)]
enum First {
    /// Resets it.
    Reset(h2::Reason),
    /// Closes the connection without having looked at it, by GOAWAY.
    GoAway,
}

/// An HTTP/2 origin, and how many streams it has seen.
async fn origin(first: First) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&streams);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                if first == First::GoAway && seen.load(Ordering::SeqCst) == 0 {
                    refuse_all(&mut stream, &seen).await;
                    return;
                }
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    match (seen.fetch_add(1, Ordering::SeqCst), first) {
                        (0, First::Reset(reason)) => respond.send_reset(reason),
                        _ => drop(respond.send_response(Response::new(()), true)),
                    }
                }
            });
        }
    });
    (address, streams)
}

/// Reads a request's head, and says that its last stream was number zero.
async fn refuse_all(stream: &mut tokio::net::TcpStream, seen: &AtomicUsize) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    stream.write_all(&SETTINGS).await.unwrap();
    let mut bytes = Vec::new();
    // Preface of 24 bytes, then frames: HEADERS is of type 1.
    loop {
        stream.read_buf(&mut bytes).await.unwrap();
        let mut rest = bytes.get(24..).unwrap_or_default();
        while rest.len() >= 9 {
            let length = usize::from(rest[1]) << 8 | usize::from(rest[2]);
            if rest[3] == 1 {
                seen.fetch_add(1, Ordering::SeqCst);
                stream.write_all(&GOAWAY).await.unwrap();
                while stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
                return;
            }
            rest = rest.get(9 + length..).unwrap_or_default();
        }
    }
}

async fn front(address: SocketAddr, retries: &str, collector: &Collector) -> Proxy {
    let retries = match retries {
        "" => String::new(),
        retries => format!(", retries: {retries}"),
    };
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['h2c://{address}']{retries}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
    ))
    .export_to(collector)
    .start()
    .await
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_whatever_the_method_and_without_a_setting() {
    for first in [First::Reset(h2::Reason::REFUSED_STREAM), First::GoAway] {
        for method in ["POST", "GET"] {
            let collector = Collector::start().await;
            let (address, streams) = origin(first).await;
            let proxy = front(address, "", &collector).await;

            let reply = send(proxy.address, request(method, "/", &[])).await;

            assert_eq!(reply.status, 200);
            assert_eq!(streams.load(Ordering::SeqCst), 2);
            let edges = collector.next_edges().await;
            let clients = edges.clients();
            assert_eq!(clients[0].text("error.type"), Some("refused_stream"));
            assert_eq!(
                clients[1].text("edgespan.retry.cause"),
                Some("refused_stream")
            );
            assert_eq!(clients[1].int("http.request.resend_count"), Some(1));
        }
    }
}

#[tokio::test]
async fn a_stream_that_was_reset_for_another_reason_may_have_been_processed() {
    let collector = Collector::start().await;
    let (address, streams) = origin(First::Reset(h2::Reason::INTERNAL_ERROR)).await;
    let proxy = front(address, "{on: [reset, refused_stream]}", &collector).await;

    let reply = send(proxy.address, request("POST", "/", &[])).await;

    assert_eq!(reply.status, 502);
    assert_eq!(streams.load(Ordering::SeqCst), 1);
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().text("edgespan.retry.denied"), Some("method"));
}

#[tokio::test]
async fn a_stream_that_was_reset_is_not_sent_again_without_a_setting() {
    let collector = Collector::start().await;
    let (address, streams) = origin(First::Reset(h2::Reason::INTERNAL_ERROR)).await;
    let proxy = front(address, "", &collector).await;

    let reply = send(proxy.address, request("GET", "/", &[])).await;

    assert_eq!(reply.status, 502);
    assert_eq!(streams.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refused_stream_with_a_body_is_sent_again_if_the_body_was_kept() {
    for (retries, status) in [("", 502), ("{on: [refused_stream]}", 200)] {
        let collector = Collector::start().await;
        let (address, _) = origin(First::Reset(h2::Reason::REFUSED_STREAM)).await;
        let proxy = front(address, retries, &collector).await;

        let sent = with_body(request("POST", "/", &[]), "body");
        let reply = send(proxy.address, sent).await;

        assert_eq!(reply.status, status, "{retries}");
    }
}

/// A gRPC service whose first answer is `first`.
async fn service(first: impl Fn() -> Answer + Send + Sync + 'static) -> Origin {
    let calls = AtomicUsize::new(0);
    Origin::speaking(Speaks::H2c, move |_| {
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 => first(),
            _ => with_headers(
                200,
                &[("content-type", "application/grpc"), ("grpc-status", "0")],
                "",
            ),
        }
    })
    .await
}

fn unavailable(body: &str) -> Answer {
    let headers = [("content-type", "application/grpc"), ("grpc-status", "14")];
    with_headers(200, &headers, body)
}

#[tokio::test]
async fn a_grpc_call_is_made_again_when_its_answer_is_trailers_only_of_a_listed_status() {
    for (on, body, calls) in [
        ("unavailable", "", 2),
        ("internal", "", 1),
        ("unavailable", "a message", 1),
    ] {
        let collector = Collector::start().await;
        let service = service(move || unavailable(body)).await;
        let policy = format!("{{on: [{on}]}}");
        let proxy = front(service.address, &policy, &collector).await;

        let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
        let call = with_body(request("POST", "/shop.Orders/Get", &grpc), "message");
        let reply = send(proxy.address, call).await;

        assert_eq!(service.received().len(), calls, "{on} {body}");
        let status = if calls == 2 { "0" } else { "14" };
        assert_eq!(reply.header("grpc-status"), Some(status));
        assert!(service.received().iter().all(|call| call.body == "message"));
        let edges = collector.next_edges().await;
        if calls == 2 {
            let clients = edges.clients();
            assert_eq!(
                clients[0].text("rpc.response.status_code"),
                Some("UNAVAILABLE")
            );
            assert_eq!(clients[1].text("edgespan.retry.cause"), Some("UNAVAILABLE"));
            assert_eq!(clients[1].text("rpc.response.status_code"), Some("OK"));
        }
    }
}

#[tokio::test]
async fn a_body_that_is_still_coming_goes_on_to_the_attempt_that_counts() {
    let collector = Collector::start().await;
    let (address, streams) = origin(First::Reset(h2::Reason::REFUSED_STREAM)).await;
    let whole = Origin::speaking(Speaks::H2c, |_| text(200, "whole")).await;
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['h2c://{address}', 'h2c://{}'], \
         retries: {{on: [refused_stream]}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        whole.address
    ))
    .export_to(&collector)
    .start()
    .await;

    let (sender, upload) = with_stream(request("POST", "/", &[]));
    sender.send(Frame::data("ab".into())).await.unwrap();
    let asked = tokio::spawn(send(proxy.address, upload));
    until("a refused stream", || streams.load(Ordering::SeqCst) == 1).await;
    whole.wait_for_heads(1).await;
    sender.send(Frame::data("cd".into())).await.unwrap();
    drop(sender);

    assert_eq!(asked.await.unwrap().text(), "whole");
    assert_eq!(whole.sole().body, "abcd");
}
