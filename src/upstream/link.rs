//! One HTTP/1.1 connection to an endpoint, driven by the request that uses it.
//!
//! hyper splits a client connection into a sender and a future that does the work. Spawning that
//! future costs two task switches a request; here the request's own task polls it, and a pooled
//! connection is polled by nobody until it is taken out, looked at by the reaper, or dropped.
//! What passes between the two halves needs no waker of its own: the socket's is enough. That one
//! is a [`Relay`], which the connection keeps while the tasks behind it change.

use super::connect::Stream;
use super::kept::KeptHead;
use super::patience::HeadPatience;
use super::relay::Relay;
use super::socket::Socket;
use crate::clock::{self, LazyTimer};
use crate::message::request_body::RequestBody;
use crate::telemetry::metrics::UpstreamConnectionGuard;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Most fields in an answer's head.
const RESPONSE_HEADERS_MAX: usize = 500;
/// Longest head of an answer, and most of its body that waits in memory.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// What sending came to: an answer's head, or nothing before the deadline.
pub(super) type Sent = Result<Option<Response<Incoming>>, TrySendError<Request<RequestBody>>>;

/// One HTTP/1.1 connection.
pub(super) struct Link {
    sender: http1::SendRequest<RequestBody>,
    driver: Driver,
    timer: LazyTimer,
    pub(super) peer: Option<SocketAddr>,
    pub(super) idle_since: Instant,
    /// Room for the head of the request that uses it.
    pub(super) kept: KeptHead,
    /// One of the endpoint's connections in use, where their number is bounded.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

impl Link {
    pub(super) async fn open(
        stream: Stream,
        peer: Option<SocketAddr>,
        open: UpstreamConnectionGuard,
    ) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::Builder::new()
            .max_headers(RESPONSE_HEADERS_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake(TokioIo::new(Socket::new(stream, open)))
            .await?;
        Ok(Self {
            sender,
            driver: Driver::new(connection),
            timer: LazyTimer::default(),
            peer,
            idle_since: clock::instant(),
            kept: KeptHead::default(),
            place: None,
        })
    }

    /// Looks at a connection that is not in use: takes in a close by the other side. False if it
    /// cannot be used again.
    pub(super) fn is_usable(&mut self) -> bool {
        self.driver.rest();
        !self.driver.drive() && self.sender.is_ready()
    }

    /// Forgets the task that used it.
    pub(super) fn rest(&self) {
        self.driver.rest();
    }

    /// Whether the connection is known to have ended.
    pub(super) const fn is_over(&self) -> bool {
        self.driver.connection.is_none()
    }

    /// Whether `due` has passed, by this connection's own timer.
    pub(super) fn has_passed(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        self.timer.has_passed(due, cx)
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        patience: &mut HeadPatience,
    ) -> Sent {
        let Self {
            sender,
            driver,
            timer,
            ..
        } = self;
        let mut answer = pin!(sender.try_send_request(request));
        poll_fn(|cx| {
            let over = driver.drive_for(cx);
            let mut quiet = Context::from_waker(Waker::noop());
            // Once the connection is over, only hyper's own hand-over is left to wait for.
            let waiting = if over { &mut *cx } else { &mut quiet };
            match answer.as_mut().poll(waiting) {
                Poll::Ready(answered) => Poll::Ready(answered.map(Some)),
                Poll::Pending if patience.is_over(timer, cx) => Poll::Ready(Ok(None)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// The same for a request that may upgrade the connection, which needs a task of its own and
    /// never comes back to a pool.
    pub(super) async fn send_upgrade(
        mut self,
        request: Request<RequestBody>,
        patience: &mut HeadPatience,
    ) -> Sent {
        if let Some(connection) = self.driver.connection.take() {
            tokio::spawn(async move {
                // How it ends is seen by whoever holds the answer or the upgraded stream.
                drop(connection.with_upgrades().await);
            });
        }
        patience
            .bound(self.sender.try_send_request(request))
            .await
            .transpose()
    }

    /// The next frame of the answer that this connection is receiving.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let quiet = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(frame) = self.driver.muted(|| Pin::new(&mut *body).poll_frame(quiet)) {
            return Poll::Ready(frame);
        }
        if self.driver.drive_for(cx) {
            return Pin::new(body).poll_frame(cx);
        }
        self.driver.muted(|| Pin::new(body).poll_frame(quiet))
    }
}

/// The half of a connection that does the work.
struct Driver {
    /// None once the connection is over.
    connection: Option<http1::Connection<TokioIo<Socket>, RequestBody>>,
    relay: Arc<Relay>,
    /// Wakes `relay`.
    waker: Waker,
}

impl Driver {
    fn new(connection: http1::Connection<TokioIo<Socket>, RequestBody>) -> Self {
        let relay = Arc::new(Relay::default());
        Self {
            connection: Some(connection),
            waker: Waker::from(Arc::clone(&relay)),
            relay,
        }
    }

    /// Moves bytes; wakes the task of `cx` when there is more to move. True once the connection
    /// is over.
    fn drive_for(&mut self, cx: &Context<'_>) -> bool {
        self.relay.lead_to(cx.waker());
        self.drive()
    }

    /// Moves bytes. True once the connection is over.
    fn drive(&mut self) -> bool {
        let cx = &mut Context::from_waker(&self.waker);
        let over = match &mut self.connection {
            Some(connection) => Pin::new(connection).poll(cx).is_ready(),
            None => true,
        };
        if over {
            self.connection = None;
        }
        over
    }

    /// Wakes nobody from now on.
    fn rest(&self) {
        self.relay.lead_nowhere();
    }

    /// Takes a frame that the connection has ready. That makes room, which hyper tells the
    /// connection by waking it: to no purpose, since whoever takes a frame polls again.
    fn muted<T>(&self, take: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.relay.mute();
        let taken = take();
        self.relay.unmute(taken.is_pending());
        taken
    }
}
