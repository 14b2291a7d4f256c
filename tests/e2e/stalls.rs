//! Peers that stop, that crawl, or that only look as if they had stopped.

use crate::support::client::{begin, get, patiently, request, send, with_stream};
use crate::support::collector::Collector;
use crate::support::origin::{Answer, Origin, Received, Speaks, text};
use crate::support::proxy::{Proxy, Setup};
use crate::support::{unreachable, until};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

async fn front(origin: SocketAddr, listener: &str, upstream: &str) -> Proxy {
    Setup::new(&format!(
        "listeners: {{web: {{address: '127.0.0.1:0', timeouts: {{{listener}}}}}}}\n\
         upstreams: {{origin: {{endpoints: ['http://{origin}'], timeouts: {{{upstream}}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n"
    ))
    .start()
    .await
}

/// An answer that no socket buffer takes whole.
fn large(_: &Received) -> Answer {
    text(200, &"x".repeat(24 << 20))
}

#[tokio::test]
async fn an_http2_connection_rests_between_requests_until_the_idle_deadline() {
    let origin = Origin::answering(large).await;
    let proxy = front(origin.address, "header: 100ms, idle: 5s", "idle: 5s").await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let ask = || {
        http::Request::get("http://app.example.com/")
            .body(Empty::new())
            .unwrap()
    };

    // After the answer the client gives window back: bytes that are no head.
    let first = patiently(sender.send_request(ask())).await.unwrap();
    patiently(first.into_body().collect()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;

    let second = patiently(sender.send_request(ask())).await;
    assert_eq!(second.expect("the connection still stands").status(), 200);
}

#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_gets_everything() {
    let origin = Origin::answering(large).await;
    let proxy = front(origin.address, "idle: 300ms", "idle: 5s").await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let head = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(head).await.unwrap();

    let (mut read, mut buffer) = (0, vec![0; 1 << 20]);
    let began = Instant::now();
    while read < 24 << 20 {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            break;
        }
        read += count;
        tokio::time::sleep(Duration::from_millis(5)).await;
        if began.elapsed() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(35)).await;
        }
    }

    assert!(read >= 24 << 20, "cut off after {read} bytes");
}

#[tokio::test]
async fn an_upstream_that_stops_taking_an_upload_is_not_waited_for_for_ever() {
    // Accepts, reads a head, and reads no more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(stream.read_u8().await);
        std::future::pending::<()>().await;
    });
    let proxy = front(address, "idle: 10s", "first_byte: 200ms, idle: 400ms").await;
    let (frames, upload) = with_stream(request("POST", "/", &[]));
    tokio::spawn(async move {
        while frames
            .send(Frame::data(vec![0; 64 << 10].into()))
            .await
            .is_ok()
        {}
    });

    assert_eq!(send(proxy.address, upload).await.status, 504);
}

#[tokio::test]
async fn requests_do_not_queue_for_one_connection_attempt_after_the_other() {
    let (_held, address) = unreachable();
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['h2c://{address}'], timeouts: {{connect: 300ms}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n"
    ))
    .start()
    .await;
    let began = Instant::now();

    let address = proxy.address;
    let asked: JoinSet<_> = (0..12).map(|_| get(address, "/", &[])).collect();
    let replies = asked.join_all().await;

    assert!(replies.iter().all(|reply| reply.status == 504));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_has_said_nothing_does_not_hold_up_a_drain() {
    let origin = Origin::start().await;
    let proxy = front(origin.address, "header: 8s", "").await;
    let _silent = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    let began = Instant::now();

    let stopped = proxy.stop().await;

    assert!(stopped.clean);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_refused_upload_gets_its_answer_though_it_is_still_being_sent() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("listeners: {web: {address: '127.0.0.1:0', limits: {body_bytes: 1KiB}}}")
        .start()
        .await;
    let upload = 8 << 20;
    let mut bytes =
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {upload}\r\n\r\n").into_bytes();
    bytes.resize(bytes.len() + upload, b'x');

    // Nothing is read before everything was written: how many clients do it.
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    patiently(stream.write_all(&bytes)).await.expect("no reset");
    let mut answer = String::new();
    patiently(stream.read_to_string(&mut answer)).await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
}

#[tokio::test]
async fn idle_http2_connections_to_an_upstream_are_let_go() {
    let origin = Origin::speaking(Speaks::H2c, |_| text(200, "hello")).await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['h2c://${origin}'], timeouts: {idle: 100ms}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .origin(&origin)
    .start()
    .await;
    assert_eq!(get(proxy.address, "/", &[]).await.status, 200);

    let gauge = "edgespan_upstream_connections_open{upstream=\"origin\"}";
    let open = || async {
        let metrics = get(proxy.admin, "/metrics", &[("host", "localhost")])
            .await
            .text();
        let line = metrics.lines().find(|line| line.starts_with(gauge));
        line.and_then(|line| line.rsplit(' ').next())
            .map(str::to_owned)
    };
    assert_eq!(open().await.as_deref(), Some("1"));
    patiently(async {
        while open().await.as_deref() != Some("0") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn each_listener_has_its_own_bound_of_requests() {
    let origin = Origin::that_never_answers().await;
    let proxy = Setup::front(&origin)
        .with(
            "listeners:\n  web: {address: '127.0.0.1:0', limits: {requests: 1}}\n  \
             other: {address: '127.0.0.1:0', limits: {requests: 1}}",
        )
        .start()
        .await;
    let (web, other) = (proxy.listener("web"), proxy.listener("other"));
    let waiting = tokio::spawn(get(web, "/", &[]));
    origin.wait_for_heads(1).await;

    let elsewhere = tokio::spawn(get(other, "/", &[]));
    origin.wait_for_heads(2).await;
    assert_eq!(get(web, "/", &[]).await.status, 503);
    assert_eq!(get(other, "/", &[]).await.status, 503);

    waiting.abort();
    elsewhere.abort();
}

#[tokio::test]
async fn an_upgraded_connection_still_counts_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin {
        address: listener.local_addr().unwrap(),
        ..Origin::detached()
    };
    let _switching = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                       upgrade: echo\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        std::future::pending::<()>().await;
    });
    let proxy = Setup::front(&origin)
        .with("listeners: {web: {address: '127.0.0.1:0', limits: {connections: 1}}}")
        .start()
        .await;
    let asking = [("connection", "upgrade"), ("upgrade", "echo")];
    let upgraded = begin(proxy.address, request("GET", "/", &asking)).await;
    assert_eq!(upgraded.status(), 101);

    let second = tokio::spawn(get(proxy.address, "/", &[]));
    tokio::time::sleep(Duration::from_millis(200)).await;

    assert_eq!(proxy.requests(), 1, "the second connection waits for room");
    second.abort();
}

#[tokio::test]
async fn a_stream_whose_client_does_not_read_it_ends_and_the_others_go_on() {
    let origin = Origin::answering(|received| match received.uri.path() {
        "/large" => large(received),
        _ => text(200, "hello"),
    })
    .await;
    let proxy = front(origin.address, "idle: 400ms", "idle: 5s").await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut ask = |path| {
        let uri = format!("http://app.example.com{path}");
        sender.send_request(http::Request::get(uri).body(Empty::new()).unwrap())
    };

    let unread = patiently(ask("/large")).await.unwrap();
    for _ in 0..10 {
        let other = patiently(ask("/small")).await.unwrap();
        patiently(other.into_body().collect()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }

    until("the unread stream's end", || proxy.requests() == 0).await;
    assert!(patiently(unread.into_body().collect()).await.is_err());
}

/// Answers at once, and ends its answer when it has read the request.
async fn early() -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin {
        address: listener.local_addr().unwrap(),
        ..Origin::detached()
    };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let begin = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nearly\r\n";
        stream.write_all(begin).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"0\r\n\r\n") {
            if stream.read_buf(&mut seen).await.unwrap() == 0 {
                return;
            }
        }
        stream.write_all(b"4\r\nlate\r\n0\r\n\r\n").await.unwrap();
    });
    origin
}

#[tokio::test]
async fn an_origin_that_answers_early_may_read_a_long_upload_in_silence() {
    let proxy = front(early().await.address, "idle: 5s", "idle: 250ms").await;
    let (frames, upload) = with_stream(request("POST", "/", &[]));
    tokio::spawn(async move {
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            frames.send(Frame::data("part".into())).await.unwrap();
        }
    });

    assert_eq!(send(proxy.address, upload).await.text(), "earlylate");
}

#[tokio::test]
async fn a_request_that_breaks_off_under_its_answer_is_no_fault_of_the_upstream() {
    let collector = Collector::start().await;
    let proxy = Setup::front(&early().await)
        .with("listeners: {web: {address: '127.0.0.1:0', limits: {body_bytes: 8B}}}")
        .export_to(&collector)
        .start()
        .await;
    let (frames, upload) = with_stream(request("POST", "/", &[]));
    let response = begin(proxy.address, upload).await;
    assert_eq!(response.status(), 200);

    frames.send(Frame::data("too much".into())).await.unwrap();
    frames.send(Frame::data("at once".into())).await.unwrap();
    assert!(patiently(response.into_body().collect()).await.is_err());

    let edges = collector.next_edges().await;
    assert_eq!(edges.client().text("error.type"), Some("request_aborted"));
}

#[tokio::test]
async fn the_deadline_of_the_exchange_holds_over_all_its_endpoints() {
    let dead: Vec<_> = (0..4).map(|_| unreachable()).collect();
    let endpoints: Vec<String> = dead
        .iter()
        .map(|(_held, address)| format!("'http://{address}'"))
        .collect();
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: [{}], timeouts: {{connect: 1s, request: 300ms}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        endpoints.join(", ")
    ))
    .start()
    .await;
    let began = Instant::now();

    assert_eq!(get(proxy.address, "/", &[]).await.status, 504);

    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}
