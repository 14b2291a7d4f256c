//! A connection has an end: by age, by requests, and by the rate of what it sends.

use super::{counted, cut};
use crate::support::client::{begin, get, patiently, raw, request, with_stream};
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn front(origin: &Origin, settings: &str) -> Proxy {
    Setup::front(origin)
        .with(&format!(
            "listeners: {{web: {{address: '127.0.0.1:0', {settings}}}}}"
        ))
        .start()
        .await
}

fn gets(count: usize) -> Vec<u8> {
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(count)
}

#[tokio::test]
async fn the_last_request_of_a_connection_is_told_so() {
    let origin = Origin::start().await;
    let proxy = front(&origin, "limits: {requests_per_connection: 3}").await;

    // One under: the connection stays.
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(&gets(2)).await.unwrap();
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while seen.matches("HTTP/1.1 200").count() < 2 {
        let count = patiently(stream.read(&mut buffer)).await.unwrap();
        assert!(count > 0, "closed early: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(!seen.contains("connection: close"), "{seen}");
    // At the bound: the answer says so, and it ends.
    stream.write_all(&gets(1)).await.unwrap();
    let mut last = String::new();
    patiently(stream.read_to_string(&mut last)).await.unwrap();
    assert!(last.contains("connection: close"), "{last}");

    // One over: is not answered on this connection.
    let answers = raw(proxy.address, &gets(4)).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
}

#[tokio::test]
async fn http2_says_goodbye_after_the_last_request_and_answers_it() {
    let origin = Origin::start().await;
    let proxy = front(&origin, "limits: {requests_per_connection: 2}").await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);

    for _ in 0..2 {
        let request = http::Request::get("http://a/").body(Empty::new()).unwrap();
        let answer = patiently(sender.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), 200);
        patiently(answer.into_body().collect()).await.unwrap();
    }

    let ended = patiently(connection).await.unwrap();
    ended.expect("a goodbye is no error");
}

#[tokio::test]
async fn an_idle_connection_ends_with_its_lifetime() {
    let origin = Origin::start().await;
    let proxy = front(&origin, "timeouts: {lifetime: 300ms}").await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(&gets(1)).await.unwrap();
    let began = Instant::now();

    let mut all = String::new();
    patiently(stream.read_to_string(&mut all)).await.unwrap();

    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn what_is_in_flight_at_the_lifetimes_end_finishes_within_the_grace() {
    let origin = Origin::that_never_answers().await;
    let proxy = front(&origin, "timeouts: {lifetime: 100ms, grace: 300ms}").await;
    let began = Instant::now();

    let answer = raw(proxy.address, &gets(1)).await;

    assert_eq!(answer, "");
    assert!(
        began.elapsed() >= Duration::from_millis(350),
        "{:?}",
        began.elapsed()
    );
    assert!(counted(&proxy, &cut("lifetime_grace")).await >= 1.0);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin {
        address: listener.local_addr().unwrap(),
        ..Origin::detached()
    };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate";
        stream.write_all(answer).await.unwrap();
        std::future::pending::<()>().await;
    });
    let proxy = front(&origin, "timeouts: {lifetime: 100ms, grace: 8s}").await;
    let answer = raw(proxy.address, &gets(1)).await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("late"), "{answer}");
}

#[tokio::test]
async fn slow_heads_are_cut_and_counted_while_others_are_served() {
    let origin = Origin::start().await;
    let proxy = front(&origin, "timeouts: {header: 300ms}").await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-")
            .await
            .unwrap();
        slow.push(stream);
    }

    assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    for mut stream in slow {
        let mut rest = Vec::new();
        drop(patiently(stream.read_to_end(&mut rest)).await);
    }
    let reason = cut("header_timeout");
    while counted(&proxy, &reason).await < 50.0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_body_below_the_least_rate_is_cut_after_its_grace() {
    let origin = Origin::start().await;
    let proxy = front(
        &origin,
        "limits: {body_bytes_per_second: 1KiB}, timeouts: {idle: 60s}",
    )
    .await;
    let (frames, upload) = with_stream(request("POST", "/", &[]));
    let dripping = tokio::spawn(async move {
        while frames.send(Frame::data("x".into())).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let began = Instant::now();

    let address = proxy.address;
    let answer = tokio::time::timeout(Duration::from_secs(30), async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender.send_request(upload).await.unwrap()
    });

    assert_eq!(answer.await.unwrap().status(), 408);
    assert!(
        began.elapsed() >= Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    dripping.abort();
    drop(begin(proxy.address, request("GET", "/", &[])).await);
}
