//! Answers compressed on their way, where the configuration asks for it.

use crate::support::client::{Reply, begin, get, raw, request, send_h2};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, streamed, with_headers};
use crate::support::proxy::{Proxy, Setup};
use http_body::Frame;
use http_body_util::BodyExt;
use std::io::Read;
use std::sync::Mutex;

const ROUTES: &str = "upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
     routes:\n  - {name: all, match: {prefix: /}, upstream: origin}\n  \
     - {name: off, match: {prefix: /off}, upstream: origin, compression: off}\n  \
     - {name: own, match: {prefix: /own}, upstream: origin, \
     compression: {algorithms: [gzip], min_bytes: 1}}\n";

fn gunzipped(reply: &Reply) -> String {
    let mut plain = String::new();
    flate2::read::GzDecoder::new(reply.body.as_ref())
        .read_to_string(&mut plain)
        .unwrap();
    plain
}

/// An origin that answers `length` bytes of text.
async fn texts(length: usize) -> Origin {
    Origin::answering(move |_| {
        let headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("etag", "\"v1\""),
            ("accept-ranges", "bytes"),
        ];
        with_headers(200, &headers, &"ab".repeat(length / 2))
    })
    .await
}

async fn compressing(origin: &Origin, collector: &Collector) -> Proxy {
    Setup::new(ROUTES)
        .with("compression: {min_bytes: 1000}")
        .origin(origin)
        .export_to(collector)
        .start()
        .await
}

#[tokio::test]
async fn an_answer_is_compressed_as_its_client_asks_and_the_span_says_so() {
    let (origin, collector) = (texts(50_000).await, Collector::start().await);
    let proxy = compressing(&origin, &collector).await;

    let reply = get(proxy.address, "/", &[("accept-encoding", "br, gzip")]).await;

    assert_eq!(gunzipped(&reply), "ab".repeat(25_000));
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(reply.header("vary"), Some("accept-encoding"));
    assert_eq!(reply.header("etag"), Some("W/\"v1\""));
    assert_eq!(reply.header("content-length"), None);
    assert_eq!(reply.header("accept-ranges"), None);
    // The origin decides for itself whether it compresses.
    assert_eq!(origin.sole().one("accept-encoding"), "br, gzip");
    let edges = collector.next_edges().await;
    let server = edges.server();
    assert_eq!(server.text("edgespan.compression.algorithm"), Some("gzip"));
    assert_eq!(
        server.int("edgespan.compression.original_bytes"),
        Some(50_000)
    );
    assert_eq!(
        server.int("http.response.body.size"),
        Some(i64::try_from(reply.body.len()).unwrap())
    );
    let metrics = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
    assert!(
        metrics
            .text()
            .contains("edgespan_compression_original_bytes_total{algorithm=\"gzip\"} 50000"),
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn zstd_is_preferred_over_http_2_too() {
    let (origin, collector) = (texts(300_000).await, Collector::start().await);
    let proxy = compressing(&origin, &collector).await;
    let asked = request("GET", "/", &[("accept-encoding", "gzip, zstd")]);

    let reply = send_h2(proxy.address, asked).await;

    assert_eq!(reply.header("content-encoding"), Some("zstd"));
    let plain = zstd::decode_all(reply.body.as_ref()).unwrap();
    assert_eq!(plain, "ab".repeat(150_000).as_bytes());
}

#[tokio::test]
async fn a_route_may_differ_or_have_none() {
    let (origin, collector) = (texts(500).await, Collector::start().await);
    let proxy = compressing(&origin, &collector).await;
    let asked = [("accept-encoding", "zstd, gzip")];

    let below = get(proxy.address, "/", &asked).await;
    let off = get(proxy.address, "/off", &asked).await;
    let own = get(proxy.address, "/own", &asked).await;

    assert_eq!(
        (below.header("content-encoding"), below.body.len()),
        (None, 500)
    );
    assert_eq!(
        (off.header("vary"), off.header("etag")),
        (None, Some("\"v1\""))
    );
    assert_eq!(own.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn without_the_setting_nothing_is_touched() {
    let origin = texts(50_000).await;
    let proxy = Setup::front(&origin).start().await;

    let reply = get(proxy.address, "/", &[("accept-encoding", "gzip;q=0.3")]).await;

    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.header("vary"), None);
    assert_eq!(reply.header("etag"), Some("\"v1\""));
    assert_eq!(reply.body.len(), 50_000);
    assert_eq!(origin.sole().one("accept-encoding"), "gzip;q=0.3");
}

#[tokio::test]
async fn what_has_come_is_readable_while_the_origin_pauses() {
    let (frames, mut answer) = streamed();
    answer
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    let answer = Mutex::new(Some(answer));
    let origin = Origin::answering(move |_| answer.lock().unwrap().take().unwrap()).await;
    let collector = Collector::start().await;
    let proxy = compressing(&origin, &collector).await;
    let asked = request("GET", "/", &[("accept-encoding", "gzip")]);

    let mut response = begin(proxy.address, asked).await;
    let mut wire = Vec::new();
    for line in ["{\"n\":1}\n", "{\"n\":2}\n"] {
        frames.send(Frame::data(line.into())).await.unwrap();
        let mut plain = String::new();
        while !plain.ends_with(line) {
            let frame = crate::support::client::patiently(response.body_mut().frame()).await;
            wire.extend_from_slice(&frame.unwrap().unwrap().into_data().unwrap());
            let mut read = Vec::new();
            // The stream has no end yet, which is an error behind what is there.
            drop(flate2::read::GzDecoder::new(&*wire).read_to_end(&mut read));
            plain = String::from_utf8(read).unwrap();
        }
    }
}

#[tokio::test]
async fn http_1_0_head_and_event_streams_go_as_they_are() {
    let origin = Origin::answering(|received| {
        let kind = match received.uri.path() {
            "/events" => "text/event-stream",
            _ => "text/plain",
        };
        with_headers(200, &[("content-type", kind)], &"x".repeat(5_000))
    })
    .await;
    let collector = Collector::start().await;
    let proxy = compressing(&origin, &collector).await;

    let old = raw(
        proxy.address,
        b"GET / HTTP/1.0\r\nhost: app.example.com\r\naccept-encoding: gzip\r\n\r\n",
    )
    .await;
    let asked = [("accept-encoding", "gzip")];
    let events = get(proxy.address, "/events", &asked).await;
    let head = crate::support::client::send(proxy.address, request("HEAD", "/", &asked)).await;

    assert!(old.ends_with(&"x".repeat(5_000)) && !old.contains("content-encoding"));
    assert_eq!(
        (events.header("content-encoding"), events.body.len()),
        (None, 5_000)
    );
    assert_eq!(head.header("content-encoding"), None);
    assert_eq!(head.header("content-length"), Some("5000"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let origin = Origin::raw(|_| {
        Some(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9999\r\n\r\npart"
                .to_vec(),
        )
    })
    .await;
    let collector = Collector::start().await;
    let proxy = compressing(&origin, &collector).await;
    let asked = request("GET", "/", &[("accept-encoding", "gzip")]);

    let response = begin(proxy.address, asked).await;

    assert_eq!(response.headers().get("content-encoding").unwrap(), "gzip");
    assert!(response.into_body().collect().await.is_err());
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().text("error.type"), Some("connection_reset"));
}
