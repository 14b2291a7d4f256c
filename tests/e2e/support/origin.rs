//! A service that knows nothing of tracing, and remembers what it was sent.

use super::until;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A request as the origin got it.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Received {
    /// All values of a header, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    #[track_caller]
    pub fn one(&self, name: &str) -> String {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} stands once: {all:?}");
        all.into_iter().next().unwrap()
    }
}

#[derive(Clone)]
pub struct Origin {
    pub address: SocketAddr,
    pub received: Arc<Mutex<Vec<Received>>>,
    pub heads: Arc<Mutex<usize>>,
}

/// Which HTTP an origin speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    H2c,
}

impl Origin {
    /// Answers everything with 200 and `hello`.
    pub async fn start() -> Self {
        Self::answering(|_| text(200, "hello")).await
    }

    pub async fn answering(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::speaking(Speaks::Http1, answer).await
    }

    pub async fn speaking(
        speaks: Speaks,
        answer: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = Self {
            address,
            received: Arc::default(),
            heads: Arc::default(),
        };
        let (this, answer) = (origin.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().connection(stream, speaks, Arc::clone(&answer)));
            }
        });
        origin
    }

    /// Serves one connection of any kind, for origins behind TLS or a Unix socket.
    pub async fn connection<S>(
        self,
        stream: S,
        speaks: Speaks,
        answer: Arc<impl Fn(&Received) -> Answer + Send + Sync + 'static>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |request: Request<Incoming>| {
            let (this, answer) = (self.clone(), Arc::clone(&answer));
            async move { Ok::<_, Infallible>(this.receive(request, answer.as_ref()).await) }
        });
        let io = TokioIo::new(stream);
        match speaks {
            Speaks::Http1 => drop(http1::Builder::new().serve_connection(io, service).await),
            Speaks::H2c => {
                let builder = http2::Builder::new(TokioExecutor::new());
                drop(builder.serve_connection(io, service).await);
            }
        }
    }

    /// An origin on no socket of its own.
    pub fn detached() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            address,
            received: Arc::default(),
            heads: Arc::default(),
        }
    }

    async fn receive(
        &self,
        request: Request<Incoming>,
        answer: &(impl Fn(&Received) -> Answer + Send + Sync + 'static),
    ) -> Answer {
        *self.heads.lock().unwrap() += 1;
        let (head, body) = request.into_parts();
        let Ok(collected) = body.collect().await else {
            return text(400, "broken body");
        };
        let trailers = collected.trailers().cloned();
        let received = Received {
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: head.headers,
            body: collected.to_bytes(),
            trailers,
        };
        let response = answer(&received);
        self.received.lock().unwrap().push(received);
        response
    }

    /// Accepts, reads a request's head and never answers.
    pub async fn that_never_answers() -> Self {
        Self::raw(|_| None).await
    }

    /// Reads a head and writes these bytes, then closes; None keeps the connection open.
    pub async fn raw(bytes: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            ..Self::detached()
        };
        let (heads, bytes) = (Arc::clone(&origin.heads), Arc::new(bytes));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (heads, bytes) = (Arc::clone(&heads), Arc::clone(&bytes));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    *heads.lock().unwrap() += 1;
                    match bytes(&String::from_utf8_lossy(&head)) {
                        Some(answer) => drop(stream.write_all(&answer).await),
                        None => while stream.read_buf(&mut head).await.unwrap_or(0) > 0 {},
                    }
                });
            }
        });
        origin
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The only request so far.
    #[track_caller]
    pub fn sole(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "one request reaches the origin");
        received.into_iter().next().unwrap()
    }

    pub async fn wait_for_heads(&self, count: usize) {
        until(&format!("{count} requests at the origin"), || {
            *self.heads.lock().unwrap() >= count
        })
        .await;
    }
}

/// An answer with a body that is known beforehand.
pub fn text(status: u16, body: &str) -> Answer {
    Response::builder()
        .status(status)
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())).boxed())
        .unwrap()
}

/// The same with headers.
pub fn with_headers(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut answer = text(status, body);
    for (name, value) in headers {
        answer.headers_mut().append(
            http::HeaderName::try_from(*name).unwrap(),
            http::HeaderValue::try_from(*value).unwrap(),
        );
    }
    answer
}

/// An answer whose frames are sent as the test sends them. Dropping the sender ends it.
pub fn streamed() -> (mpsc::Sender<Frame<Bytes>>, Answer) {
    let (sender, receiver) = mpsc::channel(16);
    (sender, Response::new(BodyExt::boxed(Sent(receiver))))
}

/// A body made of what a test sends.
pub struct Sent(pub mpsc::Receiver<Frame<Bytes>>);

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}
