//! Where one message ends and the next begins, and what may not cross from one connection to
//! another.

use crate::support::client::{begin, get, request, send, send_h2, whole, with_body, with_stream};
use crate::support::origin::{Origin, Speaks, text};
use crate::support::proxy::Setup;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An origin that answers every head on a connection with these bytes and keeps it open.
async fn saying(answer: &'static [u8]) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin {
        address: listener.local_addr().unwrap(),
        ..Origin::detached()
    };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {
                    if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        stream.write_all(answer).await.unwrap();
                    }
                }
            });
        }
    });
    origin
}

fn front_h2c(origin: SocketAddr) -> Setup {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['h2c://{origin}']}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n"
    ))
}

#[tokio::test]
async fn a_get_keeps_its_body_though_nobody_told_the_length() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let (frames, search) = with_stream(request(
        "GET",
        "/_search",
        &[("transfer-encoding", "chunked")],
    ));
    frames.send(Frame::data("query".into())).await.unwrap();
    drop(frames);
    assert_eq!(send(proxy.address, search).await.status, 200);
    let (frames, search) = with_stream(request("GET", "/_search", &[]));
    frames.send(Frame::data("query".into())).await.unwrap();
    drop(frames);
    assert_eq!(send_h2(proxy.address, search).await.status, 200);

    let bodies: Vec<_> = origin.received().into_iter().map(|one| one.body).collect();
    assert_eq!(bodies, ["query", "query"]);
}

#[tokio::test]
async fn a_length_beside_chunked_in_an_answer_is_not_believed() {
    let origin = saying(
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
    )
    .await;
    let proxy = Setup::front(&origin).start().await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.text(), "hello");
    assert_eq!(reply.header("content-length"), None);
}

#[tokio::test]
async fn a_length_that_stands_twice_in_an_answer_leaves_once() {
    let origin =
        saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok").await;
    let proxy = Setup::front(&origin).start().await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.headers.get_all("content-length").iter().count(), 1);
    assert_eq!(reply.text(), "ok");
}

#[tokio::test]
async fn a_coding_that_is_taken_off_nowhere_is_not_passed_as_if_it_were() {
    let origin = Origin::raw(|_| {
        Some(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n\x1f\x8b".to_vec())
    })
    .await;
    let proxy = Setup::front(&origin).start().await;

    assert_eq!(get(proxy.address, "/", &[]).await.status, 502);
}

#[tokio::test]
async fn switching_protocols_unasked_is_a_broken_answer() {
    let origin =
        saying(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            .await;
    let proxy = Setup::front(&origin).start().await;

    assert_eq!(get(proxy.address, "/", &[]).await.status, 502);
    assert_eq!(
        send_h2(proxy.address, request("GET", "/", &[]))
            .await
            .status,
        502
    );
}

#[tokio::test]
async fn an_answer_leaves_in_our_version_whatever_the_origins() {
    let origin =
        Origin::raw(|_| Some(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec())).await;
    let proxy = Setup::front(&origin).start().await;

    let response = begin(proxy.address, request("GET", "/", &[])).await;

    assert_eq!(response.version(), http::Version::HTTP_11);
    assert_eq!(whole(response).await.text(), "ok");
}

#[tokio::test]
async fn bytes_behind_an_answer_never_reach_the_next_client() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen"[..],
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen",
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 43\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen",
    ] {
        let origin = saying(answer).await;
        let proxy = Setup::front(&origin).start().await;

        for _ in 0..4 {
            let reply = get(proxy.address, "/", &[]).await;
            assert!(!reply.text().contains("stolen"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn the_body_that_follows_an_answer_to_head_never_reaches_the_next_client() {
    let origin = saying(
        b"HTTP/1.1 200 OK\r\ncontent-length: 44\r\n\r\n\
          HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen",
    )
    .await;
    let proxy = Setup::front(&origin).start().await;

    for _ in 0..4 {
        let reply = send(proxy.address, request("HEAD", "/", &[])).await;
        assert_eq!(reply.header("content-length"), Some("44"));
    }
}

#[tokio::test]
async fn cookies_that_http2_spreads_over_lines_are_one_line_again() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3; d=4")];
    send_h2(proxy.address, request("GET", "/", &crumbs)).await;

    assert_eq!(origin.sole().one("cookie"), "a=1; b=2; c=3; d=4");
}

#[tokio::test]
async fn te_is_for_the_next_hop_and_says_so() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    send_h2(proxy.address, request("GET", "/", &[("te", "trailers")])).await;

    let received = origin.sole();
    assert_eq!(received.one("te"), "trailers");
    assert_eq!(received.one("connection").to_lowercase(), "te");
}

#[tokio::test]
async fn trailers_say_nothing_that_headers_may_not_say() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;
    let (frames, upload) = with_stream(request(
        "POST",
        "/",
        &[("trailer", "x-sum, x-forwarded-for, traceparent, x_real_ip")],
    ));
    let mut trailers = HeaderMap::new();
    for name in ["x-sum", "x-forwarded-for", "traceparent", "x_real_ip"] {
        trailers.insert(name, "1".parse().unwrap());
    }

    frames.send(Frame::data("body".into())).await.unwrap();
    frames.send(Frame::trailers(trailers)).await.unwrap();
    drop(frames);
    send(proxy.address, upload).await;

    let received = origin.sole().trailers.expect("trailers");
    let names: Vec<_> = received.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-sum"]);
}

/// Speaks HTTP/2 and resets every stream in the middle of its answer.
async fn cancelling(reason: h2::Reason) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let mut body = respond.send_response(Response::new(()), false).unwrap();
                    body.send_data(Bytes::from_static(b"half"), false).unwrap();
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        body.send_reset(reason);
                    });
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn half_an_answer_is_never_taken_for_a_whole_one() {
    for reason in [
        h2::Reason::CANCEL,
        h2::Reason::NO_ERROR,
        h2::Reason::INTERNAL_ERROR,
    ] {
        let proxy = front_h2c(cancelling(reason).await).start().await;

        let response = begin(proxy.address, request("GET", "/", &[])).await;

        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await;
        assert!(body.is_err(), "{reason:?}: {body:?}");
    }
}

#[tokio::test]
async fn half_an_answer_to_an_upgrade_that_is_not_granted_is_none_either() {
    let proxy = front_h2c(cancelling(h2::Reason::NO_ERROR).await);
    let proxy = proxy.start().await;
    let asking = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    let response = begin(proxy.address, request("GET", "/", &asking)).await;

    let body = response.into_body().collect().await;
    assert!(body.is_err(), "{body:?}");
}

#[tokio::test]
async fn websockets_over_http2_are_offered_to_browsers() {
    let proxy = Setup::front(&Origin::start().await).start().await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);

    let mut sender = sender.ready().await.unwrap();
    let ask = http::Request::get("http://a/").body(()).unwrap();
    let (response, _) = sender.send_request(ask, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);

    assert!(sender.is_extended_connect_protocol_enabled());
}

#[tokio::test]
async fn an_upgrade_that_an_endpoint_cannot_speak_is_an_ordinary_request() {
    let origin = Origin::speaking(Speaks::H2c, |_| text(426, "upgrade required")).await;
    let proxy = front_h2c(origin.address).start().await;

    let asking = [("connection", "upgrade"), ("upgrade", "websocket")];
    for _ in 0..3 {
        let reply = send(proxy.address, request("GET", "/", &asking)).await;
        assert_eq!(reply.status, 426);
    }

    let metrics = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    let opened = "edgespan_upstream_connections_opened_total{upstream=\"origin\"} 1\n";
    assert!(metrics.contains(opened), "{metrics}");
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_an_ordinary_request() {
    let origin = Origin::start().await;
    let proxy = Setup::front(&origin).start().await;

    let asking = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("content-length", "4"),
    ];
    let reply = send(
        proxy.address,
        with_body(request("POST", "/", &asking), "body"),
    )
    .await;

    assert_eq!(reply.status, 200);
    let received = origin.sole();
    assert_eq!(received.body, "body");
    assert_eq!(received.all("upgrade"), Vec::<String>::new());
}

#[tokio::test]
async fn a_websocket_is_asked_for_by_get_alone_and_every_other_method_stays() {
    for speaks in [Speaks::Http1, Speaks::H2c] {
        let origin = Origin::speaking(speaks, |_| text(200, "gone")).await;
        let proxy = match speaks {
            Speaks::Http1 => Setup::front(&origin),
            Speaks::H2c => front_h2c(origin.address),
        };
        let proxy = proxy.start().await;
        let asking = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];

        let reply = send(proxy.address, request("DELETE", "/", &asking)).await;

        assert_eq!(reply.text(), "gone");
        let received = origin.sole();
        assert_eq!(received.method, "DELETE");
        assert_eq!(received.all("upgrade"), Vec::<String>::new());
    }
}
