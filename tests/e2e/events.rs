//! Server-sent events and long polls: each piece arrives at once, over both versions and in any
//! encoding.

use crate::support::client::{begin, patiently, request};
use crate::support::origin::{Origin, Speaks, streamed};
use crate::support::proxy::Setup;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;

/// An origin whose answer is sent as the test sends it.
async fn eventful(speaks: Speaks, encoding: Option<&'static str>) -> (Origin, Sending) {
    let senders: Sending = Arc::default();
    let held = Arc::clone(&senders);
    let origin = Origin::speaking(speaks, move |_| {
        let (sender, mut answer) = streamed();
        held.lock().unwrap().push(sender);
        let headers = answer.headers_mut();
        headers.insert("content-type", "text/event-stream".parse().unwrap());
        if let Some(encoding) = encoding {
            headers.insert("content-encoding", encoding.parse().unwrap());
        }
        answer
    })
    .await;
    (origin, senders)
}

type Sending = Arc<Mutex<Vec<Sender<Frame<Bytes>>>>>;

async fn ask(proxy: std::net::SocketAddr, http2: bool) -> http::Response<Incoming> {
    let mut ask = request("GET", "/events", &[("accept-encoding", "gzip")]);
    if !http2 {
        return begin(proxy, ask).await;
    }
    ask.headers_mut().remove("host");
    *ask.uri_mut() = "http://app.example.com/events".parse().unwrap();
    let stream = TcpStream::connect(proxy).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    patiently(sender.send_request(ask)).await.unwrap()
}

/// Exactly these bytes are there before anything else is sent.
async fn check_next(body: &mut Incoming, expected: &[u8]) {
    let mut heard = Vec::new();
    while heard.len() < expected.len() {
        let frame = patiently(body.frame()).await.unwrap().unwrap();
        heard.extend_from_slice(&frame.into_data().unwrap());
    }
    assert_eq!(heard, expected);
}

async fn check(speaks: Speaks, http2: bool, pieces: &[Bytes], encoding: Option<&'static str>) {
    let (origin, senders) = eventful(speaks, encoding).await;
    let scheme = match speaks {
        Speaks::Http1 => "http",
        Speaks::H2c => "h2c",
    };
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['{scheme}://${{origin}}']}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n"
    ))
    .origin(&origin)
    .start()
    .await;

    // The head alone is there before the first event.
    let response = ask(proxy.address, http2).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let sender = senders.lock().unwrap().pop().unwrap();
    let mut body = response.into_body();
    for piece in pieces {
        sender.send(Frame::data(piece.clone())).await.unwrap();
        check_next(&mut body, piece).await;
    }
    drop(sender);
    // HTTP/2 may end with an empty frame.
    let rest = patiently(body.collect()).await.unwrap();
    assert_eq!(rest.to_bytes(), "");
}

#[tokio::test]
async fn each_event_arrives_before_the_next_one_is_sent() {
    let events = [
        Bytes::from_static(b"data: 1\n\n"),
        Bytes::from_static(b":\n\n"),
        Bytes::from(format!("data: {}\n\n", "x".repeat(10_000))),
        Bytes::from_static(b"data: 3\n\n"),
    ];
    for speaks in [Speaks::Http1, Speaks::H2c] {
        for http2 in [false, true] {
            check(speaks, http2, &events, None).await;
        }
    }
}

#[tokio::test]
async fn what_an_origin_compressed_and_flushed_arrives_at_once_too() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let pieces: Vec<Bytes> = (0..4)
        .map(|number| {
            write!(encoder, "data: {number}\n\n").unwrap();
            encoder.flush().unwrap();
            Bytes::from(std::mem::take(encoder.get_mut()))
        })
        .collect();
    for http2 in [false, true] {
        check(Speaks::Http1, http2, &pieces, Some("gzip")).await;
    }
}
