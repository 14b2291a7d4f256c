//! Authorizers that answer as nobody should.

use super::routed;
use crate::support::client::{get, request, send, with_body};
use crate::support::origin::Origin;
use crate::support::script::{Scripted, Step, answer};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

async fn saying(answer: String) -> Origin {
    Origin::raw(move |_| Some(answer.clone().into_bytes())).await
}

#[tokio::test]
async fn what_is_no_answer_of_http_lets_nobody_pass() {
    let flood = "x-a: 1\r\n".repeat(5_000);
    let long = format!("x-a: {}\r\n", "a".repeat(2 << 20));
    for head in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nx-auth-user: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx auth: a\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 999 Any\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-auth-user: ada",
        "",
        &format!("HTTP/1.1 200 OK\r\n{flood}content-length: 0\r\n\r\n"),
        &format!("HTTP/1.1 200 OK\r\n{long}content-length: 0\r\n\r\n"),
    ] {
        let scene = routed("retries: 0", "auth: legacy", saying(head.to_owned()).await).await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        let shown = head.get(..60).unwrap_or(head);
        assert_eq!(reply.status, 503, "{shown:?}");
        assert!(scene.origin.received().is_empty(), "{shown:?}");
    }
}

#[tokio::test]
async fn an_interim_answer_is_none_and_the_one_behind_it_decides() {
    for (interim, status) in [
        ("100 Continue", 200),
        ("103 Early Hints", 200),
        ("103 x", 403),
    ] {
        let last = answer(status, "connection: close\r\n", "");
        let both = format!("HTTP/1.1 {interim}\r\nx-auth-user: mallory\r\n\r\n{last}");
        let settings = "identity_headers: x-auth-user";
        let scene = routed(settings, "auth: legacy", saying(both).await).await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        assert_eq!(reply.status, status, "{interim}");
        for sent in scene.origin.received() {
            assert!(sent.all("x-auth-user").is_empty());
        }
    }
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authorizer = Origin {
        address: listener.local_addr().unwrap(),
        ..Origin::detached()
    };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".to_vec();
                while stream.write_all(&bytes).await.is_ok() {
                    bytes = b"x".to_vec();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    });
    let route = "auth: [{policy: legacy, timeout: 200ms}]";
    let scene = routed("", route, authorizer).await;

    let reply = tokio::time::timeout(
        Duration::from_secs(20),
        send(scene.proxy.address, request("GET", "/", &[])),
    );

    assert_eq!(reply.await.unwrap().status, 504);
    assert!(scene.origin.received().is_empty());
}

#[tokio::test]
async fn fields_that_frame_a_request_cannot_cut_the_next_question() {
    let scripted = Scripted::start([
        Step::Say(answer(200, "", "")),
        Step::Say(answer(403, "", "")),
    ])
    .await;
    let authorizer = Origin {
        address: scripted.address,
        ..Origin::detached()
    };
    let settings = "request_headers: [content-length, transfer-encoding, expect, cookie]";
    let scene = routed(settings, "auth: legacy", authorizer).await;

    let post = || {
        with_body(
            request("POST", "/", &[("cookie", "a=1")]),
            "GET /x HTTP/1.1",
        )
    };
    let first = send(scene.proxy.address, post()).await;
    let second = send(scene.proxy.address, post()).await;

    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 403));
    let seen = scripted.seen();
    assert_eq!(seen.len(), 2);
    for one in seen {
        assert_eq!((one.header("content-length"), &*one.body), (None, ""));
        assert_eq!(one.header("cookie"), Some("a=1"));
    }
}

#[tokio::test]
async fn a_body_of_very_many_pieces_is_shown_and_arrives_whole() {
    let scene = routed(
        "body: {bytes: 4000}",
        "auth: legacy",
        Origin::answering(super::allow).await,
    )
    .await;
    let mut message = String::from(
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for index in 0..5_000 {
        message.push_str(&format!("1\r\n{}\r\n", index % 10));
    }
    message.push_str("0\r\n\r\n");

    let reply = crate::support::client::raw(scene.proxy.address, message.as_bytes()).await;

    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let expected: String = (0..5_000).map(|index| (index % 10).to_string()).collect();
    assert_eq!(scene.origin.sole().body, expected);
    assert_eq!(scene.authorizer.sole().body, expected[..4_000]);
}
