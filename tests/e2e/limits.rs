//! Every wait has a deadline and every size a bound, and ours answer before the library's.

use crate::support::client::{begin, get, raw, request, send, send_h2, with_body, with_stream};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use http_body::Frame;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn limited(origin: &Origin, more: &str) -> Proxy {
    Setup::front(origin)
        .with(
            "listeners: {web: {address: '127.0.0.1:0', timeouts: {header: 150ms, idle: 300ms}, \
             limits: {header_bytes: 4KiB, header_count: 20, body_bytes: 1KiB}}}",
        )
        .with(more)
        .start()
        .await
}

#[tokio::test]
async fn headers_too_large_or_too_many_are_431_with_a_span() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = Setup::front(&origin)
        .with(
            "listeners: {web: {address: '127.0.0.1:0', limits: {header_bytes: 4KiB, header_count: 20}}}",
        )
        .export_to(&collector)
        .start()
        .await;
    let long = "x".repeat(5000);
    let many: Vec<(String, &str)> = (0..30).map(|one| (format!("x-{one}"), "1")).collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();

    for headers in [&[("x-long", &*long)][..], &many] {
        for reply in [
            get(proxy.address, "/", headers).await,
            send_h2(proxy.address, request("GET", "/", headers)).await,
        ] {
            assert_eq!(
                (reply.status.as_u16(), reply.json()["code"].clone()),
                (431, "headers_too_large".into())
            );
            let edges = collector.next_edges().await;
            assert_eq!(edges.server().int("http.response.status_code"), Some(431));
        }
    }
    assert!(origin.received().is_empty());
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_413_at_once() {
    let origin = Origin::start().await;
    let proxy = limited(&origin, "").await;

    let reply = send(
        proxy.address,
        with_body(request("POST", "/", &[]), vec![0; 2000]),
    )
    .await;

    assert_eq!(
        (reply.status.as_u16(), reply.json()["code"].clone()),
        (413, "body_too_large".into())
    );
    assert!(origin.received().is_empty());
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_413_too() {
    let origin = Origin::start().await;
    let proxy = limited(&origin, "").await;
    let (frames, sent) = with_stream(request("POST", "/", &[]));
    let address = proxy.address;
    let asking = tokio::spawn(async move { send(address, sent).await });

    for _ in 0..3 {
        drop(frames.send(Frame::data(vec![0; 600].into())).await);
    }

    assert_eq!(asking.await.unwrap().status, 413);
    assert!(
        origin.received().is_empty(),
        "the origin sees no whole request"
    );
    drop(frames);
}

#[tokio::test]
async fn a_route_can_allow_more() {
    let origin = Origin::start().await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         routes: [{name: upload, match: {prefix: /}, upstream: origin, limits: {body_bytes: 1MiB}}]\n\
         listeners: {web: {address: '127.0.0.1:0', limits: {body_bytes: 10}}}\n",
    )
    .origin(&origin)
    .start()
    .await;

    let reply = send(
        proxy.address,
        with_body(request("POST", "/", &[]), vec![0; 2000]),
    )
    .await;

    assert_eq!(reply.status, 200);
}

/// How long a connection stays open after these bytes.
async fn closed_after(proxy: &Proxy, bytes: &[u8]) -> Duration {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let started = std::time::Instant::now();
    stream.write_all(bytes).await.unwrap();
    let mut rest = Vec::new();
    crate::support::client::patiently(async { drop(stream.read_to_end(&mut rest).await) }).await;
    started.elapsed()
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let origin = Origin::start().await;
    let proxy = limited(&origin, "").await;

    for bytes in [&b""[..], b"GET / HT", b"PRI * HTTP/2", b"PR"] {
        let open = closed_after(&proxy, bytes).await;
        assert!(open >= Duration::from_millis(140), "{open:?}");
        assert!(open < Duration::from_secs(3), "{open:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_time_and_not_before() {
    let origin = Origin::start().await;
    let proxy = limited(&origin, "").await;

    let open = closed_after(&proxy, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;

    assert!(
        open >= Duration::from_millis(290),
        "keep-alive is not the header deadline: {open:?}"
    );
    assert!(open < Duration::from_secs(3), "{open:?}");
}

#[tokio::test]
async fn a_body_that_stops_is_408() {
    let origin = Origin::start().await;
    let proxy = limited(&origin, "").await;

    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\npart";
    let answer = raw(proxy.address, head).await;

    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_cut_off() {
    let origin = Origin::raw(|head| {
        // Says more than it sends, and keeps the connection.
        assert!(head.starts_with("GET"));
        None
    })
    .await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}'], timeouts: {request: 200ms}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .origin(&origin)
    .start()
    .await;

    assert_eq!(get(proxy.address, "/", &[]).await.status, 504);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin)
        .with("listeners: {web: {address: '127.0.0.1:0', limits: {connections: 1}}}")
        .start()
        .await;
    let first = TcpStream::connect(proxy.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let address = proxy.address;
    let second = tokio::spawn(async move { get(address, "/", &[]).await });

    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished(), "the second waits in the backlog");
    drop(first);

    assert_eq!(second.await.unwrap().status, 200);
}

#[tokio::test]
async fn requests_beyond_the_bound_are_503() {
    let origin = Origin::that_never_answers().await;
    let proxy = Setup::front(&origin)
        .with("listeners: {web: {address: '127.0.0.1:0', limits: {requests: 1}}}")
        .start()
        .await;
    let address = proxy.address;
    let first = tokio::spawn(async move { begin(address, request("GET", "/", &[])).await });
    origin.wait_for_heads(1).await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(
        (reply.status.as_u16(), reply.header("retry-after")),
        (503, Some("1"))
    );
    first.abort();
    until("room again", || proxy.requests() == 0).await;
}

#[tokio::test]
async fn what_the_parser_refuses_is_counted() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let answer = raw(proxy.address, b"GET / HTTP/1.1\r\nbad header: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    let metrics = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    let counted = metrics
        .lines()
        .any(|line| line.contains("parse_error") && line.ends_with(" 1"));
    assert!(counted, "{metrics}");
}

#[tokio::test]
async fn a_second_request_cannot_be_smuggled_behind_a_chunked_one() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let answer = raw(
        proxy.address,
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
          0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    )
    .await;

    let status_lines = answer.matches("HTTP/1.1 ").count();
    assert_eq!(
        status_lines, 1,
        "one answer, then the connection closes: {answer}"
    );
    assert!(
        origin
            .received()
            .iter()
            .all(|one| one.uri.path() != "/smuggled")
    );
}

#[tokio::test]
async fn requests_with_two_readings_are_400() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    for head in [
        "GET /a/../b HTTP/1.1\r\nhost: a",
        "GET /a/%2e%2E/b HTTP/1.1\r\nhost: a",
        "GET /a%2fb HTTP/1.1\r\nhost: a",
        "GET /a//b HTTP/1.1\r\nhost: a",
        "GET /a\\b HTTP/1.1\r\nhost: a",
        "GET /%00 HTTP/1.1\r\nhost: a",
        "GET /%zz HTTP/1.1\r\nhost: a",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b",
        "GET / HTTP/1.1",
        "GET http://a/ HTTP/1.1\r\nhost: b",
        "GET / HTTP/1.1\r\nhost: a@b",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked",
    ] {
        let answer = raw(
            proxy.address,
            format!("{head}\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head}: {answer}");
    }
    assert!(origin.received().is_empty());
}
