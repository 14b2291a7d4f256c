//! An answer's body on its way from the upstream: streamed, with deadlines; at its end the
//! connection goes back to the pool.

use super::endpoint::Endpoint;
use super::link::Link;
use super::pool::StreamPlace;
use crate::clock::{self, LazyTimer};
use crate::message::request_body::BodyProgress;
use crate::message::trailers;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Most bytes that are read of an answer that nobody gets.
const DISCARDED_BYTES_MAX: usize = 64 * 1024;

/// Why an answer's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The upstream broke it off.
    #[error("the upstream broke off its answer")]
    Reset(#[source] hyper::Error),
    /// The upstream reset its stream as if nothing were wrong, before the end.
    #[error("the upstream left its answer unfinished")]
    Unfinished,
    /// The upstream was silent for longer than allowed.
    #[error("the upstream fell silent")]
    Idle,
    /// The whole exchange took longer than allowed.
    #[error("the exchange took too long")]
    Deadline,
}

/// What carries the answer.
pub(super) enum Carrier {
    /// An HTTP/1.1 connection that this body drives.
    Own(Box<Link>),
    /// A stream of an HTTP/2 connection. Its place is None once it was taken for an upgrade.
    Shared {
        timer: LazyTimer,
        place: Option<StreamPlace>,
    },
    /// An HTTP/1.1 connection that was asked for an upgrade.
    Alone(Box<Alone>),
}

/// What is left of a connection that has a task of its own and never comes back to a pool.
#[derive(Default)]
pub(super) struct Alone {
    timer: LazyTimer,
    /// One of the endpoint's connections in use, where their number is bounded.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// Deadlines of an answer's body.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerDeadlines {
    pub(super) idle: Duration,
    pub(super) due: Option<Instant>,
}

/// An answer's body.
pub struct AnswerBody {
    incoming: Incoming,
    carrier: Option<Carrier>,
    endpoint: Arc<Endpoint>,
    request: Option<Arc<BodyProgress>>,
    deadlines: AnswerDeadlines,
    silent_since: Option<Instant>,
    /// Bytes of the request when silence was looked at last.
    sent_bytes: u64,
    failed: bool,
}

impl AnswerBody {
    /// In a box from the begin: it passes through many hands until hyper has it.
    pub(super) fn new(
        incoming: Incoming,
        carrier: Carrier,
        endpoint: Arc<Endpoint>,
        request: Option<Arc<BodyProgress>>,
        deadlines: AnswerDeadlines,
    ) -> Box<Self> {
        let mut body = Box::new(Self {
            incoming,
            carrier: Some(carrier),
            endpoint,
            request,
            deadlines,
            silent_since: None,
            sent_bytes: 0,
            failed: false,
        });
        if body.incoming.is_end_stream() {
            body.recycle();
        }
        body
    }

    /// Nobody wants it. What has come already is read, so that the connection of a short answer
    /// goes back to the pool; a longer one's is closed.
    pub fn discard(mut self) {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let mut read_bytes = 0;
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut self).poll_frame(cx) {
            read_bytes += frame.data_ref().map_or(0, Bytes::len);
            if read_bytes > DISCARDED_BYTES_MAX {
                return;
            }
        }
    }

    /// The connection goes back, unless the request is still being sent: then it is closed.
    fn recycle(&mut self) {
        let sent = self
            .request
            .as_ref()
            .is_none_or(|request| request.is_done());
        if let Some(Carrier::Own(link)) = self.carrier.take()
            && sent
        {
            self.endpoint.pool.give_back(link);
        }
    }

    /// The connection is closed: what else it would say belongs to nobody.
    fn fail(&mut self) {
        self.carrier = None;
        self.failed = true;
    }

    /// hyper takes a reset with `NO_ERROR` for an end. It is one only behind END_STREAM (RFC 9113
    /// section 8.1).
    fn is_unfinished(&self) -> bool {
        let on_http2 = matches!(self.carrier, Some(Carrier::Shared { place: Some(_), .. }));
        on_http2 && !self.incoming.is_end_stream()
    }

    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.carrier {
            Some(Carrier::Own(link)) => link.poll_frame(&mut self.incoming, cx),
            Some(Carrier::Shared { .. } | Carrier::Alone(_)) => {
                Pin::new(&mut self.incoming).poll_frame(cx)
            }
            None => Poll::Ready(None),
        }
    }

    /// Whether more of the request has gone out meanwhile: an upstream that answers early may read
    /// on in silence.
    fn is_uploading(&mut self) -> bool {
        let sent = self.request.as_ref().map_or(0, |request| request.bytes());
        std::mem::replace(&mut self.sent_bytes, sent) != sent
    }

    fn overdue(&mut self, cx: &mut Context<'_>) -> Option<AnswerError> {
        if self.is_uploading() {
            self.silent_since = None;
        }
        let since = *self.silent_since.get_or_insert_with(clock::instant);
        let idle = since + self.deadlines.idle;
        let nearest = self.deadlines.due.map_or(idle, |due| due.min(idle));
        let passed = match &mut self.carrier {
            Some(Carrier::Own(link)) => link.has_passed(nearest, cx),
            Some(Carrier::Shared { timer, .. }) => timer.has_passed(nearest, cx),
            Some(Carrier::Alone(alone)) => alone.timer.has_passed(nearest, cx),
            None => false,
        };
        passed.then_some(if nearest == idle {
            AnswerError::Idle
        } else {
            AnswerError::Deadline
        })
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.poll_inner(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.silent_since = None;
                if let Some(request) = &self.request {
                    request.note_answer();
                }
                // Nothing follows trailers, so nobody asks for more: hyper drops the body here.
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.recycle();
                }
                Poll::Ready(Some(Ok(trailers::forwardable(frame))))
            }
            Poll::Ready(Some(Err(error))) => {
                self.fail();
                Poll::Ready(Some(Err(AnswerError::Reset(error))))
            }
            Poll::Ready(None) if self.is_unfinished() => {
                self.fail();
                Poll::Ready(Some(Err(AnswerError::Unfinished)))
            }
            Poll::Ready(None) => {
                self.recycle();
                Poll::Ready(None)
            }
            Poll::Pending => match self.overdue(cx) {
                Some(error) => {
                    self.fail();
                    Poll::Ready(Some(Err(error)))
                }
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        // A broken answer has no end: the client must not take it for a whole one.
        !self.failed && (self.carrier.is_none() || self.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
