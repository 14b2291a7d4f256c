//! gRPC in flight: deadlines, messages, and what a caller is told when edgespan ends its call.

use crate::support::client::{
    Sending, patiently, request, send, send_h2, whole, with_body, with_stream,
};
use crate::support::collector::Collector;
use crate::support::origin::{Answer, Origin, Speaks, streamed, with_headers};
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const MESSAGE: &[u8] = b"\0\0\0\0\x03abc";

async fn proxied(origin: SocketAddr, collector: &Collector) -> Proxy {
    Setup::new(
        "upstreams: {origin: {endpoints: ['h2c://${origin}'], timeouts: {first_byte: 300ms}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("origin", &origin.to_string())
    .export_to(collector)
    .start()
    .await
}

fn call(headers: &[(&str, &str)]) -> Request<Sending> {
    let mut all = vec![("content-type", "application/grpc"), ("te", "trailers")];
    all.extend(headers);
    request("POST", "/shop.v1.Orders/Watch", &all)
}

/// An answer whose frames the test sends.
fn watched() -> (mpsc::Sender<Frame<Bytes>>, Answer) {
    let (frames, mut answer) = streamed();
    answer
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    (frames, answer)
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    Frame::trailers(trailers)
}

/// An origin of HTTP/2 that does with each request what the test says.
async fn serving<F>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static) -> SocketAddr
where
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answering = answer(request);
                async move { Ok::<_, Infallible>(answering.await) }
            });
            tokio::spawn(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

/// Sends each message back as soon as it has come, and ends when the client does.
async fn echo(request: Request<Incoming>) -> Answer {
    let (frames, answer) = watched();
    tokio::spawn(async move {
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            drop(frames.send(frame).await);
        }
        drop(frames.send(trailers("0")).await);
    });
    answer
}

async fn begin_h2(proxy: &Proxy, mut sent: Request<Sending>) -> http::Response<Incoming> {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    sent.headers_mut().remove("host");
    *sent.uri_mut() = format!("http://app.example.com{}", sent.uri())
        .parse()
        .unwrap();
    patiently(async {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender.send_request(sent).await.unwrap()
    })
    .await
}

#[tokio::test]
async fn messages_are_counted_each_way_and_told_from_each_side() {
    let collector = Collector::start().await;
    let origin = Origin::speaking(Speaks::H2c, |_| {
        let (frames, answer) = watched();
        frames.try_send(Frame::data(MESSAGE.into())).unwrap();
        frames
            .try_send(Frame::data(MESSAGE.repeat(2).into()))
            .unwrap();
        frames.try_send(trailers("0")).unwrap();
        answer
    })
    .await;
    let proxy = proxied(origin.address, &collector).await;

    send_h2(proxy.address, with_body(call(&[]), MESSAGE)).await;

    let edges = collector.next_edges().await;
    let counts = |span: &crate::support::spans::SeenSpan| {
        (
            span.int("edgespan.rpc.messages_sent"),
            span.int("edgespan.rpc.messages_received"),
        )
    };
    assert_eq!(counts(edges.server()), (Some(3), Some(1)));
    assert_eq!(counts(edges.client()), (Some(1), Some(3)));
}

#[tokio::test]
async fn a_conversation_is_not_held_up_and_outlives_the_first_byte_deadline() {
    let collector = Collector::start().await;
    let address = serving(echo).await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['h2c://${origin}'], timeouts: {first_byte: 200ms}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("origin", &address.to_string())
    .export_to(&collector)
    .start()
    .await;
    let (frames, sent) = with_stream(call(&[]));
    let mut response = begin_h2(&proxy, sent).await;

    for _ in 0..3 {
        frames.send(Frame::data(MESSAGE.into())).await.unwrap();
        let frame = patiently(response.body_mut().frame()).await.unwrap();
        assert_eq!(frame.unwrap().into_data().unwrap(), MESSAGE);
        // Longer than the upstream may be silent before its head.
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
    drop(frames);

    let reply = whole(response).await;
    assert_eq!(reply.trailers.unwrap().get("grpc-status").unwrap(), "0");
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().int("edgespan.rpc.messages_sent"), Some(3));
    assert_eq!(
        edges.server().int("edgespan.rpc.messages_received"),
        Some(3)
    );
}

#[tokio::test]
async fn a_calls_own_deadline_ends_it_before_its_head() {
    let collector = Collector::start().await;
    let address = serving(|_| std::future::pending()).await;
    let proxy = proxied(address, &collector).await;

    let reply = send_h2(
        proxy.address,
        with_body(call(&[("grpc-timeout", "100m")]), MESSAGE),
    )
    .await;

    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("grpc-status"), Some("4"));
    let edges = collector.next_edges().await;
    assert_eq!(
        edges.server().text("rpc.response.status_code"),
        Some("DEADLINE_EXCEEDED")
    );
    assert_eq!(edges.client().text("error.type"), Some("timeout"));
}

#[tokio::test]
async fn a_call_with_a_deadline_may_take_until_then_for_its_head() {
    let collector = Collector::start().await;
    // Three times the upstream's `first_byte`.
    let origin = Origin::speaking(Speaks::H2c, |_| {
        std::thread::sleep(std::time::Duration::from_millis(900));
        with_headers(
            200,
            &[("content-type", "application/grpc"), ("grpc-status", "0")],
            "",
        )
    })
    .await;
    let proxy = proxied(origin.address, &collector).await;
    let deadline = [("grpc-timeout", "30S")];

    let reply = send_h2(proxy.address, with_body(call(&deadline), MESSAGE)).await;
    assert_eq!(reply.header("grpc-status"), Some("0"));
    assert_eq!(origin.sole().one("grpc-timeout"), "30S");

    let reply = send_h2(proxy.address, with_body(call(&[]), MESSAGE)).await;
    assert_eq!(
        reply.header("grpc-status"),
        Some("4"),
        "without one it may not"
    );
}

#[tokio::test]
async fn a_deadline_within_the_answer_is_told_in_trailers() {
    let collector = Collector::start().await;
    let (frames, answer) = watched();
    let answer = Mutex::new(Some(answer));
    let origin =
        Origin::speaking(Speaks::H2c, move |_| answer.lock().unwrap().take().unwrap()).await;
    let proxy = proxied(origin.address, &collector).await;
    frames.send(Frame::data(MESSAGE.into())).await.unwrap();

    let reply = send_h2(
        proxy.address,
        with_body(call(&[("grpc-timeout", "300m")]), MESSAGE),
    )
    .await;

    assert_eq!(reply.body, MESSAGE);
    let trailers = reply.trailers.expect("trailers");
    assert_eq!(trailers.get("grpc-status").unwrap(), "4");
    // The upstream is told, too: its stream is gone.
    until("the end of the upstream's stream", || frames.is_closed()).await;
    let edges = collector.next_edges().await;
    for span in [edges.server(), edges.client()] {
        assert_eq!(
            span.text("rpc.response.status_code"),
            Some("DEADLINE_EXCEEDED")
        );
        assert_eq!(span.text("error.type"), Some("timeout"));
        assert_eq!(span.status(), StatusCode::Error);
    }
}

fn frame(flag: u8, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, text.as_bytes()].concat()
}

#[tokio::test]
async fn a_web_call_passes_untouched_and_its_status_is_read_from_its_body() {
    let collector = Collector::start().await;
    let body = [frame(0, "abc"), frame(0x80, "grpc-status:5\r\n")].concat();
    let answered = body.clone();
    let origin = Origin::answering(move |_| {
        with_headers(200, &[("content-type", "application/grpc-web+proto")], "")
            .map(|_| http_body_util::Full::new(Bytes::from(answered.clone())).boxed())
    })
    .await;
    let proxy = Setup::front(&origin).export_to(&collector).start().await;
    let asked = request(
        "POST",
        "/shop.v1.Orders/Get",
        &[("content-type", "application/grpc-web+proto")],
    );

    let reply = send(proxy.address, with_body(asked, frame(0, "hi"))).await;

    assert_eq!(reply.body, body);
    let edges = collector.next_edges().await;
    assert_eq!(
        edges.server().text("rpc.response.status_code"),
        Some("NOT_FOUND")
    );
    assert_eq!(edges.server().name(), "shop.v1.Orders/Get");
    assert_eq!(edges.client().int("edgespan.rpc.messages_sent"), Some(1));
    assert_eq!(
        edges.client().int("edgespan.rpc.messages_received"),
        Some(1)
    );
}

#[tokio::test]
async fn a_web_call_is_refused_in_words_that_its_client_reads() {
    let origin = Origin::start().await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         routes: [{name: one, match: {path: /one}, upstream: origin}]\n",
    )
    .origin(&origin)
    .start()
    .await;
    let asked = request(
        "POST",
        "/shop.v1.Orders/Get",
        &[("content-type", "application/grpc-web-text")],
    );

    let reply = send(proxy.address, with_body(asked, "AAAAAAA=")).await;

    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-type"),
        Some("application/grpc-web-text")
    );
    assert_eq!(reply.header("grpc-status"), Some("12"));
}

#[tokio::test]
async fn who_listens_to_a_long_answer_may_be_silent() {
    let collector = Collector::start().await;
    let (frames, answer) = watched();
    let answer = Arc::new(Mutex::new(Some(answer)));
    let address = serving(move |request| {
        let answer = answer.lock().unwrap().take().unwrap();
        async move {
            // The request is held open and read to its end.
            tokio::spawn(request.into_body().collect());
            answer
        }
    })
    .await;
    let proxy = Setup::new(
        "listeners: {web: {address: '127.0.0.1:0', timeouts: {idle: 400ms}}}\n\
         upstreams: {origin: {endpoints: ['h2c://${origin}']}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("origin", &address.to_string())
    .export_to(&collector)
    .start()
    .await;
    let (asking, sent) = with_stream(call(&[]));
    asking.send(Frame::data(MESSAGE.into())).await.unwrap();
    let mut response = begin_h2(&proxy, sent).await;

    // Three times the bound on a silent client, with an answer that goes on.
    for _ in 0..12 {
        frames.send(Frame::data(MESSAGE.into())).await.unwrap();
        let frame = patiently(response.body_mut().frame()).await.unwrap();
        assert_eq!(frame.unwrap().into_data().unwrap(), MESSAGE);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    frames.send(trailers("0")).await.unwrap();
    drop((frames, asking));

    let reply = whole(response).await;
    assert_eq!(reply.trailers.unwrap().get("grpc-status").unwrap(), "0");
}
