//! A request's body on its way to the upstream: streamed, bounded, counted, never buffered.

use super::replay::ReplayReader;
use super::trailers;
use crate::clock;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long a client that sent `Expect: 100-continue` waits for the upstream's word before its
/// body is asked for anyway (RFC 9110 section 10.1.1 lets nobody wait for ever).
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// How long a client may be waited for before its rate counts.
pub const RATE_GRACE: Duration = Duration::from_secs(10);

/// What a request sends upstream.
#[derive(Debug, Default)]
pub enum RequestBody {
    /// Nothing.
    #[default]
    Empty,
    /// What the client sends, as it sends it.
    Streamed(Box<StreamedBody>),
    /// The same for one attempt of several.
    Replayed(Box<ReplayReader>),
}

/// Why a request's body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// More bytes than allowed.
    TooLarge,
    /// Silent for longer than allowed.
    Idle,
    /// The client broke it off, or sent something that is no body.
    Client,
}

/// The error that hyper sees when a request's body ends early.
#[derive(Debug, thiserror::Error)]
#[error("the request's body ended early: {0:?}")]
pub struct RequestBodyError(pub(super) BodyFault);

/// What is known of a request's body while it is on its way. Shared with the request.
#[derive(Debug, Default)]
pub struct BodyProgress {
    bytes: AtomicU64,
    awaited: AtomicBool,
    done: AtomicBool,
    fault: AtomicU8,
    gate_open: AtomicBool,
    gate_waker: Mutex<Option<Waker>>,
}

impl BodyProgress {
    /// Bytes handed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the client is waited for at this moment. If it is not and the body is not done
    /// either, the upstream takes nothing.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// Whether all of it was handed on.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// Why it ended early, if it did.
    pub fn fault(&self) -> Option<BodyFault> {
        match self.fault.load(Ordering::Relaxed) {
            1 => Some(BodyFault::TooLarge),
            2 => Some(BodyFault::Idle),
            3 => Some(BodyFault::Client),
            _ => None,
        }
    }

    /// The upstream said `100 Continue` (or none is waited for): the client's body is asked for.
    pub fn open_gate(&self) {
        self.gate_open.store(true, Ordering::Relaxed);
        let waker = self
            .gate_waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn fail(&self, fault: BodyFault) -> RequestBodyError {
        let code = match fault {
            BodyFault::TooLarge => 1,
            BodyFault::Idle => 2,
            BodyFault::Client => 3,
        };
        self.fault.store(code, Ordering::Relaxed);
        RequestBodyError(fault)
    }
}

/// Bounds of a request's body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Most bytes; `u64::MAX` for no bound.
    pub bytes_max: u64,
    /// Longest silence.
    pub idle: Duration,
    /// Least bytes a second of waiting, on average after [`RATE_GRACE`]; None: any number.
    pub bytes_per_second_min: Option<NonZeroU64>,
    /// Whether nothing is read until [`BodyProgress::open_gate`].
    pub gated: bool,
}

/// The client's body with its bounds.
#[derive(Debug)]
pub struct StreamedBody {
    incoming: Incoming,
    limits: BodyLimits,
    progress: Arc<BodyProgress>,
    timer: Option<Pin<Box<Sleep>>>,
    /// How long the client was waited for so far, where a rate is asked of it.
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl RequestBody {
    /// Streams `incoming`, or nothing if it has ended before it began.
    pub fn streamed(incoming: Incoming, limits: BodyLimits) -> (Self, Option<Arc<BodyProgress>>) {
        if incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let progress = Arc::new(BodyProgress::default());
        progress.gate_open.store(!limits.gated, Ordering::Relaxed);
        let shared = Arc::clone(&progress);
        let body = StreamedBody {
            incoming,
            limits,
            progress,
            timer: None,
            waited: Duration::ZERO,
            waiting_since: None,
        };
        (Self::Streamed(Box::new(body)), Some(shared))
    }
}

impl StreamedBody {
    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.progress.gate_open.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        *self
            .progress
            .gate_waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        ready!(self.timer(CONTINUE_PATIENCE).poll(cx));
        self.timer = None;
        self.progress.gate_open.store(true, Ordering::Relaxed);
        Poll::Ready(())
    }

    fn timer(&mut self, limit: Duration) -> Pin<&mut Sleep> {
        self.timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)))
            .as_mut()
    }

    /// The longest that the client is waited for now: the idle time, or until it has come below
    /// the least rate. The time that the upstream takes is not the client's.
    fn patience(&mut self) -> Duration {
        let idle = self.limits.idle;
        let Some(rate) = self.limits.bytes_per_second_min else {
            return idle;
        };
        self.waiting_since.get_or_insert_with(clock::instant);
        let paid = Duration::from_secs(self.progress.bytes() / rate);
        idle.min((RATE_GRACE + paid).saturating_sub(self.waited))
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), RequestBodyError> {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        let before = self.progress.bytes.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) > self.limits.bytes_max {
            return Err(self.progress.fail(BodyFault::TooLarge));
        }
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let body = match &mut *self {
            Self::Empty => return Poll::Ready(None),
            Self::Streamed(body) => body,
            Self::Replayed(body) => return body.poll_frame(cx),
        };
        ready!(body.poll_gate(cx));
        let polled = Pin::new(&mut body.incoming).poll_frame(cx);
        body.progress
            .awaited
            .store(polled.is_pending(), Ordering::Relaxed);
        match polled {
            Poll::Pending => {
                let patience = body.patience();
                ready!(body.timer(patience).poll(cx));
                Poll::Ready(Some(Err(body.progress.fail(BodyFault::Idle))))
            }
            Poll::Ready(None) => {
                body.progress.done.store(true, Ordering::Relaxed);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                Poll::Ready(Some(Err(body.progress.fail(BodyFault::Client))))
            }
            Poll::Ready(Some(Ok(frame))) => {
                body.timer = None;
                if let Some(since) = body.waiting_since.take() {
                    body.waited += clock::instant().saturating_duration_since(since);
                }
                body.count(&frame)?;
                if body.incoming.is_end_stream() {
                    body.progress.done.store(true, Ordering::Relaxed);
                }
                Poll::Ready(Some(Ok(trailers::forwardable(frame))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(body) => body.incoming.is_end_stream(),
            Self::Replayed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(body) => body.incoming.size_hint(),
            Self::Replayed(body) => body.size_hint(),
        }
    }
}
