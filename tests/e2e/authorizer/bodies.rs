//! How much of a body an authorizer sees, and that the origin gets all of it.

use super::{allow, routed, scene};
use crate::support::client::{
    begin, patiently, raw, request, send, send_h2, whole, with_body, with_stream,
};
use crate::support::origin::{Origin, text};
use crate::support::proxy::Setup;
use crate::support::script::{Scripted, Step, answer, say};
use bytes::Bytes;
use http_body::Frame;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PARTIAL: &str = "x-edgespan-body-partial";

#[tokio::test]
async fn up_to_the_bound_it_sees_all_and_one_byte_more_is_cut() {
    for (length, seen, partial) in [
        (0, 0, "false"),
        (9, 9, "false"),
        (10, 10, "false"),
        (11, 10, "true"),
        (5000, 10, "true"),
    ] {
        let scene = scene("body: {bytes: 10}", allow).await;
        let body = "x".repeat(length);
        let headers = [("content-type", "text/plain")];

        let told = with_body(request("POST", "/", &headers), body.clone());
        let reply = send(scene.proxy.address, told).await;

        let (asked, sent) = (scene.authorizer.sole(), scene.origin.sole());
        assert_eq!(reply.status, 200);
        assert_eq!(asked.body.len(), seen, "{length}");
        assert_eq!(asked.one(PARTIAL), partial, "{length}");
        assert_eq!(asked.one("content-type"), "text/plain");
        assert_eq!(sent.body, body);
        assert_eq!(sent.one("content-length"), length.to_string());
        assert!(sent.all(PARTIAL).is_empty());
    }
}

#[tokio::test]
async fn behind_envoy_the_flag_has_envoys_name() {
    let scene = scene("dialect: envoy, body: {bytes: 3}", allow).await;

    send(
        scene.proxy.address,
        with_body(request("POST", "/", &[]), "abcd"),
    )
    .await;

    let asked = scene.authorizer.sole();
    assert_eq!((asked.method.as_str(), &*asked.body), ("POST", &b"abc"[..]));
    assert_eq!(asked.one("x-envoy-auth-partial-body"), "true");
}

#[tokio::test]
async fn a_larger_body_is_refused_by_setting_and_unread_if_it_tells_its_length() {
    for (length, status) in [(10, 200), (11, 413)] {
        let scene = scene("body: {bytes: 10, too_large: refuse}", allow).await;
        let body = "x".repeat(length);

        let reply = send(
            scene.proxy.address,
            with_body(request("PUT", "/", &[]), body),
        )
        .await;

        assert_eq!(reply.status, status);
        let reached = usize::from(status == 200);
        assert_eq!(scene.authorizer.received().len(), reached);
        assert_eq!(scene.origin.received().len(), reached);
    }
    let scene = scene("body: {bytes: 10, too_large: refuse}", allow).await;
    let head = "PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n";
    let answer = raw(scene.proxy.address, head.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 413"),
        "nothing was asked for: {answer}"
    );
}

#[tokio::test]
async fn what_is_held_reaches_the_origin_first_and_the_rest_streams_behind_the_decision() {
    let origin = Scripted::start([say(200, "done")]).await;
    let authorizer = Origin::answering(allow).await;
    let at = Origin {
        address: origin.address,
        ..Origin::detached()
    };
    let proxy = super::setup("body: {bytes: 4}", "auth: legacy", &at, &authorizer);
    let proxy = proxy.start().await;
    let (sender, told) = with_stream(request("POST", "/", &[]));

    let pending = tokio::spawn(begin(proxy.address, told));
    let data = |text: &'static str| Frame::data(Bytes::from_static(text.as_bytes()));
    sender.send(data("ab")).await.unwrap();
    sender.send(data("cdef")).await.unwrap();
    authorizer.wait_for_heads(1).await;
    assert_eq!(authorizer.sole().body, "abcd");
    sender.send(data("ghi")).await.unwrap();
    drop(sender);

    let reply = whole(pending.await.unwrap()).await;
    assert_eq!(reply.status, 200);
    let body = &origin.seen()[0].body;
    assert_eq!(body, "2\r\nab\r\n4\r\ncdef\r\n3\r\nghi\r\n0\r\n\r\n");
}

#[tokio::test]
async fn chunks_and_trailers_go_on_as_they_came() {
    for (bytes, seen) in [
        ("4", "abcd"),
        ("6", "abcdef"),
        ("7", "abcdef"),
        ("1KiB", "abcdef"),
    ] {
        let scene = scene(&format!("body: {{bytes: {bytes}}}"), allow).await;
        let (sender, told) = with_stream(request(
            "POST",
            "/",
            &[("trailer", "x-sum"), ("te", "trailers")],
        ));
        for piece in ["abc", "def"] {
            sender
                .send(Frame::data(Bytes::from_static(piece.as_bytes())))
                .await
                .unwrap();
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        sender.send(Frame::trailers(trailers)).await.unwrap();
        drop(sender);

        let reply = send(scene.proxy.address, told).await;

        assert_eq!(reply.status, 200);
        let (asked, sent) = (scene.authorizer.sole(), scene.origin.sole());
        assert_eq!(asked.body, seen);
        assert_eq!(sent.body, "abcdef");
        assert_eq!(sent.one("transfer-encoding"), "chunked");
        assert_eq!(sent.trailers.unwrap()["x-sum"], "1");
    }
}

#[tokio::test]
async fn over_http2_it_is_the_same() {
    let scene = scene("body: {bytes: 4}", allow).await;

    let reply = send_h2(
        scene.proxy.address,
        with_body(request("POST", "/", &[]), "abcdef"),
    )
    .await;

    assert_eq!(reply.status, 200);
    assert_eq!(scene.authorizer.sole().body, "abcd");
    assert_eq!(scene.origin.sole().body, "abcdef");
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_when_the_authorizer_wants_the_body() {
    let scene = scene("body: {bytes: 64}", allow).await;
    let mut stream = TcpStream::connect(scene.proxy.address).await.unwrap();
    let head = "PUT / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\n\
                content-length: 4\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();

    let mut told = [0; 25];
    patiently(stream.read_exact(&mut told)).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abcd").await.unwrap();
    let mut answer = String::new();
    patiently(stream.read_to_string(&mut answer)).await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(scene.authorizer.sole().body, "abcd");
    assert_eq!(scene.origin.sole().body, "abcd");
}

#[tokio::test]
async fn a_refused_request_reaches_no_origin_with_any_of_its_body() {
    let scene = scene("body: {bytes: 4}", |_| text(403, "no")).await;

    let reply = send(
        scene.proxy.address,
        with_body(request("POST", "/", &[]), "abcdef"),
    )
    .await;

    assert_eq!((reply.status.as_u16(), &*reply.text()), (403, "no"));
    assert!(scene.origin.received().is_empty());
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_is_bounded_as_without_an_authorizer() {
    let (origin, authorizer) = (Origin::start().await, Origin::answering(allow).await);
    let setup = super::setup("body: {bytes: 64}", "auth: legacy", &origin, &authorizer);
    let listener = "listeners: {web: {address: '127.0.0.1:0', timeouts: {idle: 200ms}}}";
    let proxy = setup.with(listener).start().await;
    let (sender, told) = with_stream(request("POST", "/", &[]));
    sender
        .send(Frame::data(Bytes::from_static(b"ab")))
        .await
        .unwrap();

    let reply = send(proxy.address, told).await;

    assert_eq!(reply.status, 408);
    assert!(authorizer.received().is_empty() && origin.received().is_empty());
    drop(sender);
}

#[tokio::test]
async fn the_routes_bound_of_a_body_holds_for_the_held_part_too() {
    for (length, status) in [(8, 200), (9, 413)] {
        let authorizer = Origin::answering(allow).await;
        let route = "auth: legacy, limits: {body_bytes: 8}";
        let scene = routed("body: {bytes: 64}", route, authorizer).await;
        let (sender, told) = with_stream(request("POST", "/", &[]));
        sender
            .send(Frame::data(Bytes::from(vec![b'x'; length])))
            .await
            .unwrap();
        drop(sender);

        let reply = send(scene.proxy.address, told).await;

        assert_eq!(reply.status, status, "{length}");
        assert_eq!(scene.origin.received().len(), usize::from(status == 200));
    }
}

#[tokio::test]
async fn a_held_body_is_sent_again_and_mirrored_like_another() {
    let scripted =
        Scripted::start([Step::SayAndClose(answer(503, "", "")), say(200, "done")]).await;
    let at = Origin {
        address: scripted.address,
        ..Origin::detached()
    };
    let (authorizer, shadow) = (Origin::answering(allow).await, Origin::start().await);
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}']}, \
         shadow: {endpoints: ['http://${shadow}']}}\n\
         auth: {legacy: {forward: {url: 'http://${auth}', body: {bytes: 4}}}}\n\
         routes: [{name: all, upstream: origin, auth: legacy, mirror: {upstream: shadow}, \
         retries: {on: [503]}}]\n",
    );
    let proxy = proxy
        .origin(&at)
        .fill("shadow", &shadow.address.to_string())
        .fill("auth", &authorizer.address.to_string())
        .start()
        .await;

    let reply = send(proxy.address, with_body(request("PUT", "/", &[]), "abcdef")).await;

    assert_eq!(reply.status, 200);
    let seen = scripted.seen();
    assert_eq!((&*seen[0].body, &*seen[1].body), ("abcdef", "abcdef"));
    shadow.wait_for_heads(1).await;
    crate::support::until("the copy", || !shadow.received().is_empty()).await;
    assert_eq!(shadow.sole().body, "abcdef");
}

#[tokio::test]
async fn a_route_may_show_more_or_nothing() {
    for (body, seen, flags) in [("{bytes: 2}", "ab", 1), ("{bytes: off}", "", 0)] {
        let route = format!("auth: [{{policy: legacy, body: {body}}}]");
        let scene = routed(
            "body: {bytes: 1KiB}",
            &route,
            Origin::answering(allow).await,
        )
        .await;

        send(
            scene.proxy.address,
            with_body(request("POST", "/", &[]), "abcd"),
        )
        .await;

        let asked = scene.authorizer.sole();
        assert_eq!(
            (&*asked.body, asked.all(PARTIAL).len()),
            (seen.as_bytes(), flags)
        );
        assert_eq!(scene.origin.sole().body, "abcd");
    }
}

#[tokio::test]
async fn an_answer_that_comes_while_a_client_still_sends_is_not_held_up() {
    let scene = scene("body: {bytes: 2}", |_| text(401, "first")).await;
    let (sender, told) = with_stream(request("POST", "/", &[]));
    sender
        .send(Frame::data(Bytes::from_static(b"abcdef")))
        .await
        .unwrap();

    let reply = tokio::time::timeout(Duration::from_secs(20), send(scene.proxy.address, told));

    assert_eq!(reply.await.unwrap().status, 401);
    drop(sender);
}
