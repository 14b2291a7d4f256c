//! A request and its answer on their way through: methods, versions, bodies that are not there.

use crate::support::client::{
    begin, get, raw, request, send, send_h2, whole, with_body, with_stream,
};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, Speaks, text, with_headers};
use crate::support::proxy::Setup;
use crate::support::spans::find;
use bytes::Bytes;
use http_body::Frame;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use std::time::Duration;

#[tokio::test]
async fn method_path_query_body_and_headers_arrive_as_they_were_sent() {
    let origin = Origin::answering(|_| {
        with_headers(
            201,
            &[
                ("x-answer", "1"),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
            ],
            "made",
        )
    })
    .await;
    let proxy = Setup::front(&origin).start().await;

    let sent = request(
        "POST",
        "/things/%C3%A9?x=1&x=2&y",
        &[("x-one", "1"), ("x-one", "2"), ("accept-encoding", "br")],
    );
    let reply = send(proxy.address, with_body(sent, "{\"a\":1}")).await;

    let received = origin.sole();
    assert_eq!(
        (received.method.as_str(), received.uri.to_string()),
        ("POST", "/things/%C3%A9?x=1&x=2&y".into())
    );
    assert_eq!(received.body, "{\"a\":1}");
    assert_eq!(received.all("x-one"), ["1", "2"]);
    assert_eq!(received.one("accept-encoding"), "br");
    assert_eq!(received.one("host"), "app.example.com");
    assert_eq!(
        (
            reply.status.as_u16(),
            &*reply.text(),
            reply.header("x-answer")
        ),
        (201, "made", Some("1"))
    );
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let origin = Origin::answering(|_| text(200, "hello")).await;
    let proxy = Setup::front(&origin).start().await;

    let answer = raw(
        proxy.address,
        b"HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-length: 5"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(origin.sole().method, "HEAD");
}

#[tokio::test]
async fn answers_without_a_body_stay_without() {
    let origin =
        Origin::answering(|received| text(received.uri.path()[1..].parse().unwrap(), "")).await;
    let proxy = Setup::front(&origin).start().await;

    for status in [204, 304] {
        let reply = get(proxy.address, &format!("/{status}"), &[]).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (status, 0));
        assert_eq!(reply.header("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let answer = raw(proxy.address, b"GET / HTTP/1.0\r\n\r\n").await;

    assert!(
        answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"),
        "{answer}"
    );
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(!answer.contains("chunked"), "{answer}");
    assert_eq!(origin.sole().version, http::Version::HTTP_11);
}

#[tokio::test]
async fn one_connection_carries_many_requests_on_both_sides() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let mut three = Vec::new();
    for close in ["keep-alive", "keep-alive", "close"] {
        three.extend_from_slice(
            format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: {close}\r\n\r\n").as_bytes(),
        );
    }
    let answer = raw(proxy.address, &three).await;

    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    let metrics = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    let opened = metrics
        .lines()
        .find(|line| line.starts_with("edgespan_upstream_connections_opened"))
        .unwrap_or("");
    assert!(
        opened.ends_with(" 1"),
        "one connection upstream: {opened}\n{metrics}"
    );
}

#[tokio::test]
async fn versions_meet_in_every_pair() {
    let old = Origin::start().await;
    let new = Origin::speaking(Speaks::H2c, |_| text(200, "hello")).await;
    let proxy = Setup::new(
        "upstreams: {old: {endpoints: ['http://${old}']}, new: {endpoints: ['h2c://${new}']}}\n\
         routes:\n  - {name: old, match: {prefix: /old}, upstream: old}\n  \
         - {name: new, match: {prefix: /new}, upstream: new}\n",
    )
    .fill("old", &old.address.to_string())
    .fill("new", &new.address.to_string())
    .start()
    .await;

    for path in ["/old", "/new"] {
        let reply = get(proxy.address, path, &[]).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.text()),
            (200, "hello"),
            "{path}"
        );
        let reply = send_h2(proxy.address, with_body(request("POST", path, &[]), "body")).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.text()),
            (200, "hello"),
            "{path}"
        );
    }

    for received in old.received() {
        assert_eq!(
            (received.version, received.one("host")),
            (http::Version::HTTP_11, "app.example.com".into())
        );
    }
    for received in new.received() {
        assert_eq!(received.version, http::Version::HTTP_2);
        assert_eq!(received.uri.authority().unwrap(), "app.example.com");
    }
    assert_eq!(new.received()[1].body, "body");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let origin = Origin::speaking(Speaks::H2c, |_| {
        let (frames, answer) = crate::support::origin::streamed();
        frames.try_send(Frame::data("x".into())).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("authorization", "no trailer".parse().unwrap());
        frames.try_send(Frame::trailers(trailers)).unwrap();
        answer
    })
    .await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['h2c://${origin}']}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .origin(&origin)
    .start()
    .await;

    let (frames, sent) = with_stream(request("POST", "/", &[("te", "trailers")]));
    frames.send(Frame::data(Bytes::from("y"))).await.unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    frames.send(Frame::trailers(trailers)).await.unwrap();
    drop(frames);
    let reply = send_h2(proxy.address, sent).await;

    let came = reply.trailers.expect("trailers");
    assert_eq!(came.get("grpc-status").unwrap(), "0");
    assert!(
        !came.contains_key("authorization"),
        "what may not be a trailer is none"
    );
    let received = origin.sole();
    assert_eq!(received.one("te"), "trailers");
    assert_eq!(
        received.trailers.expect("trailers").get("x-sum").unwrap(),
        "1"
    );
}

#[tokio::test]
async fn announced_trailers_pass_over_http_1() {
    let origin = Origin::raw(|_| {
        Some(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
              2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n"
                .to_vec(),
        )
    })
    .await;
    let proxy = Setup::front(&origin).start().await;

    let answer = raw(
        proxy.address,
        b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te, close\r\n\r\n",
    )
    .await;

    assert!(answer.contains("x-sum: 7"), "{answer}");
}

#[tokio::test]
async fn expect_waits_for_the_origins_word() {
    let origin = Origin::raw(|head| {
        assert!(
            head.to_lowercase().contains("expect: 100-continue"),
            "{head}"
        );
        Some(b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n".to_vec())
    })
    .await;
    let proxy = Setup::front(&origin).start().await;

    let head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let answer = raw(proxy.address, head).await;

    assert!(
        answer.starts_with("HTTP/1.1 417"),
        "no 100 before the refusal: {answer}"
    );
}

#[tokio::test]
async fn expect_is_answered_when_the_origin_reads() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let (frames, sent) = with_stream(request(
        "POST",
        "/",
        &[("expect", "100-continue"), ("content-length", "5")],
    ));
    frames.send(Frame::data("hello".into())).await.unwrap();
    drop(frames);

    let reply = whole(begin(proxy.address, sent).await).await;

    assert_eq!(reply.status, 200);
    assert_eq!(origin.sole().body, "hello");
}

#[tokio::test]
async fn early_hints_of_an_origin_are_recorded_and_not_forwarded() {
    let collector = Collector::start().await;
    let origin = Origin::raw(|_| {
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
        Some(format!("{hints}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").into_bytes())
    })
    .await;
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let answer = raw(
        proxy.address,
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;

    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"),
        "{answer}"
    );
    let edges = collector.next_edges().await;
    let event = &edges.client().0.events[0];
    assert_eq!(event.name, "http.response.informational");
    assert_eq!(
        find(&event.attributes, "http.response.status_code"),
        Some(&Value::IntValue(103))
    );
}

#[tokio::test]
async fn a_slow_upload_outlives_the_first_byte_deadline() {
    let origin = Origin::start().await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}'], timeouts: {first_byte: 500ms}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .origin(&origin)
    .start()
    .await;
    let (frames, sent) = with_stream(request("POST", "/", &[]));
    let address = proxy.address;
    let asking = tokio::spawn(async move { send(address, sent).await });

    for _ in 0..8 {
        frames.send(Frame::data("part ".into())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(frames);

    assert_eq!(asking.await.unwrap().status, 200);
    assert_eq!(origin.sole().body.len(), 40);
}

#[tokio::test]
async fn connect_is_refused() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let answer = raw(
        proxy.address,
        b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\nconnection: close\r\n\r\n",
    )
    .await;

    assert!(
        answer.starts_with("HTTP/1.1 405") && answer.contains("\r\nallow: GET, "),
        "{answer}"
    );
    assert!(origin.received().is_empty());
}
