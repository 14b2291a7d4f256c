//! HTTP/2 clients that only make work: each kind is cut and counted, while others are served.

use super::{counted, counted_any, cut};
use crate::support::client::{patiently, request, send_h2};
use crate::support::origin::{Origin, text};
use crate::support::proxy::Proxy;
use crate::support::proxy::Setup;
use crate::support::until;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET / HTTP/2` with `:authority: a`, by the static table and one literal.
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![high, middle, low, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

async fn front(origin: &Origin) -> Proxy {
    Setup::front(origin).start().await
}

/// Writes what `next` makes until the connection is cut, or `most` were sent; how many were.
async fn attack(proxy: &Proxy, most: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut answers, mut attack) = stream.into_split();
    // Who does not read is stopped by the window and not by us.
    let reading = tokio::spawn(async move {
        let mut sink = vec![0; 1 << 16];
        while answers.read(&mut sink).await.is_ok_and(|count| count > 0) {}
    });
    attack.write_all(PREFACE).await.unwrap();
    attack.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    let mut sent = 0;
    while sent < most && !reading.is_finished() {
        if attack.write_all(&next(sent)).await.is_err() {
            break;
        }
        sent += 1;
    }
    if sent < most {
        patiently(reading).await.unwrap();
    } else {
        drop(attack);
    }
    sent
}

/// The attack is cut, counted by this name, and nobody else notices.
async fn check(reason: &str, next: impl FnMut(u32) -> Vec<u8>) {
    check_either(reason, false, next).await;
}

/// `or_library`: what the HTTP library bounds itself, by less, may be found by it first.
async fn check_either(reason: &str, or_library: bool, next: impl FnMut(u32) -> Vec<u8>) {
    let origin = Origin::start().await;
    let proxy = front(&origin).await;

    let sent = attack(&proxy, 200_000, next).await;

    assert!(sent < 200_000, "{reason}: never cut");
    let mut counts = vec![cut(reason)];
    if or_library {
        counts.push(cut("http2_misbehaved"));
    }
    assert!(counted_any(&proxy, &counts).await >= 1.0);
    let reply = send_h2(proxy.address, request("GET", "/", &[])).await;
    assert_eq!(reply.status, 200);
    until("the end of all requests", || proxy.requests() == 0).await;
}

#[tokio::test]
async fn pings_without_end() {
    check("http2_ping_flood", |_| frame(6, 0, 0, &[0; 8])).await;
}

#[tokio::test]
async fn settings_without_end() {
    check("http2_settings_flood", |_| {
        frame(4, 0, 0, &[0, 3, 0, 0, 0, 9])
    })
    .await;
}

#[tokio::test]
async fn priorities_without_end() {
    check("http2_priority_flood", |_| frame(2, 0, 3, &[0, 0, 0, 0, 7])).await;
}

#[tokio::test]
async fn frames_that_nobody_knows_without_end() {
    check("http2_frame_flood", |_| frame(0xfa, 0, 0, &[1; 64])).await;
}

#[tokio::test]
async fn windows_that_open_by_a_byte_without_end() {
    check("http2_window_update_flood", |_| {
        frame(8, 0, 0, &[0, 0, 0, 1])
    })
    .await;
}

#[tokio::test]
async fn requests_that_are_reset_at_once() {
    check_either("http2_reset_flood", true, |count| {
        let stream = 1 + 2 * count;
        let mut both = frame(1, 5, stream, GET);
        both.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
        both
    })
    .await;
}

#[tokio::test]
async fn data_without_data() {
    check_either("http2_empty_data_flood", true, |count| {
        if count == 0 {
            frame(1, 4, 1, GET) // a request whose body never ends
        } else {
            frame(0, 0, 1, &[])
        }
    })
    .await;
}

#[tokio::test]
async fn a_head_without_end_is_cut_by_the_library_or_by_us() {
    let origin = Origin::start().await;
    let proxy = front(&origin).await;

    // A field that is never indexed, again and again.
    let sent = attack(&proxy, 200_000, |count| {
        if count == 0 {
            frame(1, 1, 1, GET)
        } else {
            frame(9, 0, 1, b"\x00\x01a\x01b")
        }
    })
    .await;

    assert!(sent < 10_000, "{sent}");
    let reply = send_h2(proxy.address, request("GET", "/", &[])).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn streams_that_we_are_made_to_reset_end_the_connection() {
    let origin = Origin::that_never_answers().await;
    let proxy = front(&origin).await;

    // A window that overflows is an error of the stream, which we have to reset.
    let sent = attack(&proxy, 100_000, |count| {
        let stream = 1 + 2 * count;
        let mut both = frame(1, 5, stream, GET);
        both.extend(frame(8, 0, stream, &[0x7f, 0xff, 0xff, 0xff]));
        both
    })
    .await;

    assert!(sent < 100_000, "never cut");
    until("the end of all requests", || proxy.requests() == 0).await;
}

#[tokio::test]
async fn an_answer_that_is_read_by_the_byte_ends() {
    let origin = Origin::answering(|_| text(200, &"x".repeat(1 << 20))).await;
    let proxy = front(&origin).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let mut begin = PREFACE.to_vec();
    begin.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 1])); // windows of one byte
    begin.extend(frame(1, 5, 1, GET));
    stream.write_all(&begin).await.unwrap();

    let mut sink = vec![0; 1 << 16];
    let ended = patiently(async {
        loop {
            if stream
                .write_all(&frame(8, 0, 1, &[0, 0, 0, 1]))
                .await
                .is_err()
            {
                return;
            }
            if !stream.read(&mut sink).await.is_ok_and(|count| count > 0) {
                return;
            }
        }
    });
    ended.await;

    assert!(counted(&proxy, &cut("http2_window_update_flood")).await >= 1.0);
}

#[tokio::test]
async fn who_asks_much_and_pings_little_is_left_alone() {
    let origin = Origin::start().await;
    let proxy = front(&origin).await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let mut connection = connection;
    let mut pings = connection.ping_pong().unwrap();
    tokio::spawn(connection);

    for round in 0..600 {
        let request = http::Request::get("http://a/").body(()).unwrap();
        let ready = client.clone().ready().await.unwrap();
        client = ready;
        let (answer, _) = client.send_request(request, true).unwrap();
        let mut body = patiently(answer).await.unwrap().into_body();
        while let Some(chunk) = body.data().await {
            let chunk = chunk.unwrap();
            body.flow_control().release_capacity(chunk.len()).unwrap();
        }
        if round % 2 == 0 {
            patiently(pings.ping(h2::Ping::opaque())).await.unwrap();
        }
    }

    tokio::time::timeout(Duration::from_secs(5), client.ready())
        .await
        .unwrap()
        .expect("the connection stands");
}
