//! A client that sends exactly what a test says, over HTTP/1.1, HTTP/2 or as raw bytes.

use super::PATIENCE;
use super::origin::Sent;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub type Sending = BoxBody<Bytes, Infallible>;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// A request for `host` with these headers, each on a line of its own.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<Sending> {
    let mut request = Request::new(Empty::new().boxed());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = target.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    if !request.headers().contains_key("host") {
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static("app.example.com"));
    }
    request
}

/// The same with a body.
pub fn with_body(request: Request<Sending>, body: impl Into<Bytes>) -> Request<Sending> {
    request.map(|_| Full::new(body.into()).boxed())
}

/// The same with a body that is sent as the test sends it.
pub fn with_stream(request: Request<Sending>) -> (mpsc::Sender<Frame<Bytes>>, Request<Sending>) {
    let (sender, receiver) = mpsc::channel(16);
    (sender, request.map(|_| BodyExt::boxed(Sent(receiver))))
}

/// Sends over a connection of its own and reads the whole answer.
pub async fn send(to: SocketAddr, request: Request<Sending>) -> Reply {
    whole(begin(to, request).await).await
}

/// Sends and reads the head of the answer.
pub async fn begin(to: SocketAddr, request: Request<Sending>) -> http::Response<Incoming> {
    let stream = TcpStream::connect(to).await.unwrap();
    patiently(async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.unwrap()
    })
    .await
}

/// Sends over HTTP/2 with prior knowledge.
pub async fn send_h2(to: SocketAddr, request: Request<Sending>) -> Reply {
    send_h2_over(TcpStream::connect(to).await.unwrap(), "http", request).await
}

/// Sends over HTTP/2 on a stream that is there.
pub async fn send_h2_over<S>(stream: S, scheme: &str, mut request: Request<Sending>) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let host = request.headers_mut().remove("host").unwrap();
    let target = format!("{scheme}://{}{}", host.to_str().unwrap(), request.uri());
    *request.uri_mut() = target.parse().unwrap();
    patiently(async {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        whole(response).await
    })
    .await
}

/// Sends over HTTP/1.1 on a stream that is there.
pub async fn send_over<S>(stream: S, request: Request<Sending>) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    patiently(async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        whole(response).await
    })
    .await
}

/// Reads an answer to its end.
pub async fn whole(response: http::Response<Incoming>) -> Reply {
    patiently(async {
        let (head, body) = response.into_parts();
        let collected = body.collect().await.expect("a whole body");
        Reply {
            status: head.status,
            headers: head.headers,
            trailers: collected.trailers().cloned(),
            body: collected.to_bytes(),
        }
    })
    .await
}

pub async fn get(to: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Reply {
    send(to, request("GET", target, headers)).await
}

/// Writes bytes and reads until the other side closes.
pub async fn raw(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    patiently(async {
        // A reset after the answer is an end, too.
        drop(stream.read_to_end(&mut answer).await);
    })
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub async fn patiently<T>(waited: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waited)
        .await
        .expect("an answer in time")
}
