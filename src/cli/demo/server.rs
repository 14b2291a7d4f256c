//! A small HTTP/1.1 server, as a service behind a gateway might be. It neither reads nor writes
//! any trace header.

use crate::server::{read_plain, serve_plain};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Sleep;

/// One of the demo's services: an answer to each request, and how long it takes.
pub(super) trait Service: Send + Sync + 'static {
    fn answer(&self, ask: &Ask) -> Reply;
}

/// A request as a service sees it.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    headers: HeaderMap,
    /// `null` where no JSON came.
    pub(super) body: Value,
}

impl Ask {
    /// The path's segments, to be matched on.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.trim_matches('/').split('/').collect()
    }

    /// A header field that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A member of the body as text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.body.get(key)?.as_str()
    }
}

/// What a service answers.
pub(super) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    content: Content,
    after: Duration,
}

enum Content {
    Json(Value),
    /// A whole page.
    Page(String),
    /// Server-sent events, one each time.
    Events(VecDeque<Value>, Duration),
}

impl Reply {
    /// JSON after this many milliseconds.
    pub(super) const fn json(status: StatusCode, after_ms: u64, body: Value) -> Self {
        Self::new(status, after_ms, Content::Json(body))
    }

    /// A page after this many milliseconds.
    pub(super) const fn page(after_ms: u64, html: String) -> Self {
        Self::new(StatusCode::OK, after_ms, Content::Page(html))
    }

    /// Server-sent events, one every so many milliseconds.
    pub(super) const fn events(every_ms: u64, events: VecDeque<Value>) -> Self {
        let every = Duration::from_millis(every_ms);
        Self::new(StatusCode::OK, every_ms, Content::Events(events, every))
    }

    /// No such thing.
    pub(super) fn not_found(what: &str) -> Self {
        Self::json(
            StatusCode::NOT_FOUND,
            3,
            json!({"error": format!("no such {what}")}),
        )
    }

    /// The thing is there, and does not do that.
    pub(super) fn not_allowed(allow: &'static str) -> Self {
        let reply = Self::json(
            StatusCode::METHOD_NOT_ALLOWED,
            2,
            json!({"error": "method"}),
        );
        reply.with(ALLOW, allow)
    }

    const fn new(status: StatusCode, after_ms: u64, content: Content) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content,
            after: Duration::from_millis(after_ms),
        }
    }

    /// With a header; a value that no header can carry is left out.
    pub(super) fn with(mut self, name: HeaderName, value: impl ToString) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.headers.push((name, value));
        }
        self
    }

    fn into_response(self) -> Response<Outgoing> {
        let (kind, body) = match self.content {
            Content::Json(value) => {
                let text = Bytes::from(format!("{value}\n"));
                ("application/json", Either::Left(Full::new(text)))
            }
            Content::Page(html) => {
                let body = Either::Left(Full::new(Bytes::from(html)));
                ("text/html; charset=utf-8", body)
            }
            Content::Events(events, every) => (
                "text/event-stream",
                Either::Right(Events::new(events, every)),
            ),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

type Outgoing = Either<Full<Bytes>, Events>;

/// Server-sent events (WHATWG HTML section 9.2), one each time the clock says so.
pub(super) struct Events {
    left: VecDeque<Value>,
    every: Duration,
    next: Pin<Box<Sleep>>,
}

impl Events {
    fn new(left: VecDeque<Value>, every: Duration) -> Self {
        Self {
            left,
            every,
            // The reply itself has waited already.
            next: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.next.as_mut().poll(cx));
        let Some(event) = self.left.pop_front() else {
            return Poll::Ready(None);
        };
        self.next = Box::pin(tokio::time::sleep(self.every));
        let frame = Frame::data(Bytes::from(format!("data: {event}\n\n")));
        Poll::Ready(Some(Ok(frame)))
    }
}

/// Serves on a free port of 127.0.0.1, as a task of `serving`.
pub(super) async fn start(
    service: impl Service,
    serving: &mut JoinSet<()>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let service = Arc::new(service);
    let answer = move |request| answer(Arc::clone(&service), request);
    serving.spawn(serve_plain(listener, "demo", answer));
    Ok(address)
}

async fn answer<S: Service>(
    service: Arc<S>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    let (head, body) = request.into_parts();
    let Some(body) = read_plain(body).await else {
        let error = json!({"error": "the body is too long, or did not come"});
        return Ok(Reply::json(StatusCode::BAD_REQUEST, 0, error).into_response());
    };
    let ask = Ask {
        method: head.method,
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let reply = service.answer(&ask);
    tokio::time::sleep(reply.after).await;
    Ok(reply.into_response())
}
