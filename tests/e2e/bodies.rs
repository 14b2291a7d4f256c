//! Bodies stream both ways: nothing is held, nobody is overrun.

use crate::support::client::{begin, request, send, with_body, with_stream};
use crate::support::origin::{Origin, streamed, text};
use crate::support::proxy::Setup;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn the_first_bytes_of_an_answer_do_not_wait_for_the_last() {
    let (frames, answer) = streamed();
    let answer = Mutex::new(Some(answer));
    let origin = Origin::answering(move |_| answer.lock().unwrap().take().unwrap()).await;
    let proxy = Setup::front(&origin).start().await;

    let mut response = begin(proxy.address, request("GET", "/events", &[])).await;
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        frames.send(Frame::data(event.into())).await.unwrap();
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
}

#[tokio::test]
async fn an_upload_is_passed_on_while_it_is_sent() {
    let origin = Origin::that_never_answers().await;
    let proxy = Setup::front(&origin).start().await;
    let (frames, sent) = with_stream(request("POST", "/", &[]));
    let address = proxy.address;
    let asking = tokio::spawn(async move { begin(address, sent).await });

    frames.send(Frame::data("first".into())).await.unwrap();

    origin.wait_for_heads(1).await;
    asking.abort();
}

#[tokio::test]
async fn large_bodies_arrive_whole_both_ways() {
    let origin = Origin::answering(|received| {
        crate::support::origin::with_headers(200, &[], &"a".repeat(received.body.len()))
    })
    .await;
    let proxy = Setup::front(&origin).start().await;

    let sent = with_body(request("POST", "/", &[]), Bytes::from(vec![b'x'; 20 * MIB]));
    let reply = send(proxy.address, sent).await;

    assert_eq!(origin.sole().body.len(), 20 * MIB);
    assert_eq!(reply.body.len(), 20 * MIB);
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_origin() {
    let (frames, answer) = streamed();
    let answer = Mutex::new(Some(answer));
    let origin = Origin::answering(move |_| answer.lock().unwrap().take().unwrap()).await;
    let proxy = Setup::front(&origin).start().await;
    let given = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&given);
    tokio::spawn(async move {
        let mib = Bytes::from(vec![0; MIB]);
        while frames.send(Frame::data(mib.clone())).await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });

    let response = begin(proxy.address, request("GET", "/", &[])).await;
    let mut before = 0;
    let stalled_at = loop {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let now = given.load(Ordering::Relaxed);
        if now == before && now > 0 {
            break now;
        }
        before = now;
    };

    // Sockets and buffers hold some; without back-pressure it would be all there is.
    assert!(
        stalled_at < 64,
        "{stalled_at} MiB were taken from the origin unread"
    );
    drop(response);
}

#[tokio::test]
async fn a_request_is_not_lost_when_the_origin_answers_early() {
    let origin = Origin::raw(|_| {
        Some(
            b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
                .to_vec(),
        )
    })
    .await;
    let proxy = Setup::front(&origin).start().await;
    let (frames, sent) = with_stream(request("POST", "/", &[]));
    frames.send(Frame::data("start".into())).await.unwrap();

    let response = begin(proxy.address, sent).await;

    assert_eq!(response.status(), 401);
    drop(frames);
}

#[tokio::test]
async fn a_connection_with_an_unfinished_body_is_never_used_again() {
    // An origin whose first answer is longer than its client wants.
    let origin = Origin::answering(|received| {
        text(
            200,
            &received
                .uri
                .path()
                .repeat(if received.uri.path() == "/long" {
                    MIB
                } else {
                    1
                }),
        )
    })
    .await;
    let proxy = Setup::front(&origin).start().await;

    for _ in 0..5 {
        let response = begin(proxy.address, request("GET", "/long", &[])).await;
        drop(response);
        let reply = crate::support::client::get(proxy.address, "/short", &[]).await;
        assert_eq!(reply.text(), "/short");
    }
}
