//! A request's body on its way to the upstream: streamed, bounded, counted, never buffered.

use super::grpc::{MessageReader, Wire};
use super::held::{Held, HeldBody};
use super::replay::ReplayReader;
use super::reserved::Reserved;
use super::tee::{Kept, KeptBody, Tee};
use super::trailers;
use crate::clock;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::sync::oneshot;
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
    /// A copy that was kept of what a client sent.
    Kept(Box<KeptBody>),
    /// The same for one attempt of several.
    Replayed(Box<ReplayReader>),
}

impl From<Bytes> for RequestBody {
    fn from(data: Bytes) -> Self {
        if data.is_empty() {
            return Self::Empty;
        }
        let trailers = None;
        Self::Kept(Box::new(KeptBody { data, trailers }))
    }
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
    messages: AtomicU64,
    answered: AtomicBool,
    awaited: AtomicBool,
    done_at: OnceLock<Instant>,
    fault: AtomicU8,
    gate_open: AtomicBool,
    gate_waker: Mutex<Option<Waker>>,
}

impl BodyProgress {
    /// Bytes handed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Messages of a gRPC call handed on so far.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// A part of the answer has come: a client that listens may be silent.
    pub fn note_answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Whether the client is waited for at this moment. If it is not and the body is not done
    /// either, the upstream takes nothing.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// Whether all of it was handed on.
    pub fn is_done(&self) -> bool {
        self.done_at.get().is_some()
    }

    /// When the last of it was handed on.
    pub fn done_at(&self) -> Option<Instant> {
        self.done_at.get().copied()
    }

    /// All of it was handed on.
    pub fn note_done(&self) {
        self.done_at.get_or_init(clock::instant);
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
    /// What was read before it left, and leaves first.
    held: Held,
    limits: BodyLimits,
    progress: Arc<BodyProgress>,
    timer: Option<Pin<Box<Sleep>>>,
    /// How long the client was waited for so far, where a rate is asked of it.
    waited: Duration,
    waiting_since: Option<Instant>,
    watched: Watched,
}

/// Who else looks at the body as it goes by.
#[derive(Debug, Default)]
struct Watched {
    messages: Option<Box<MessageReader>>,
    tee: Option<Box<Tee>>,
    /// Names that are taken out of its trailers.
    reserved: Option<Arc<Reserved>>,
}

impl Watched {
    fn see(&mut self, frame: &Frame<Bytes>, progress: &BodyProgress) {
        if let (Some(reader), Some(data)) = (&mut self.messages, frame.data_ref()) {
            reader.read(data);
            progress
                .messages
                .store(reader.messages(), Ordering::Relaxed);
        }
        if let Some(tee) = &mut self.tee {
            tee.take_in(frame);
        }
    }

    fn end(&mut self) {
        if let Some(tee) = &mut self.tee {
            tee.end();
        }
    }
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
            held: Held::default(),
            limits,
            progress,
            timer: None,
            waited: Duration::ZERO,
            waiting_since: None,
            watched: Watched::default(),
        };
        (Self::Streamed(Box::new(body)), Some(shared))
    }

    /// Reads ahead until more than `bytes_max` bytes are here or all of it is, and shows them. They
    /// stay what is sent first; the rest streams behind them. No more is held than the bound and
    /// what had come together with the byte that passed it.
    ///
    /// # Errors
    /// What ended the body early: its bounds hold for this part of it, too.
    pub async fn hold(&mut self, bytes_max: usize) -> Result<HeldBody, BodyFault> {
        let Self::Streamed(body) = self else {
            return Ok(HeldBody::default());
        };
        loop {
            let whole = body.incoming.is_end_stream();
            let more = body.incoming.size_hint().lower() > 0;
            // A body that told its length need not be waited for to know that it is longer.
            if whole || body.held.bytes() > bytes_max || body.held.bytes() == bytes_max && more {
                return Ok(body.held.first(bytes_max, whole));
            }
            match std::future::poll_fn(|cx| body.poll_read(cx)).await {
                Some(frame) => body.held.push(frame.map_err(|error| error.0)?),
                None => return Ok(body.held.first(bytes_max, true)),
            }
        }
    }

    /// Counts the messages of a gRPC call from here on.
    pub fn count_messages(&mut self, wire: Wire) {
        if let Self::Streamed(body) = self {
            body.watched.messages = Some(Box::new(MessageReader::new(wire)));
        }
    }

    /// Takes these names out of its trailers.
    pub fn reserve(&mut self, names: &Arc<Reserved>) {
        if let Self::Streamed(body) = self
            && !names.is_empty()
        {
            body.watched.reserved = Some(Arc::clone(names));
        }
    }

    /// Keeps a copy of at most `bytes_max` while the body goes by. None: there is no body.
    pub fn tee(&mut self, bytes_max: usize) -> Option<oneshot::Receiver<Kept>> {
        let Self::Streamed(body) = self else {
            return None;
        };
        let (tee, kept) = Tee::new(bytes_max);
        body.watched.tee = Some(Box::new(tee));
        Some(kept)
    }
}

impl KeptBody {
    fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.data.is_empty() {
            self.trailers.take().map(Frame::trailers)
        } else {
            Some(Frame::data(std::mem::take(&mut self.data)))
        }
    }
}

impl StreamedBody {
    /// The next frame from the client, within the bounds.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        ready!(self.poll_gate(cx));
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let awaited = &self.progress.awaited;
        awaited.store(polled.is_pending(), Ordering::Relaxed);
        Poll::Ready(match polled {
            Poll::Pending => {
                ready!(self.poll_silence(cx));
                Some(Err(self.progress.fail(BodyFault::Idle)))
            }
            Poll::Ready(None) => None,
            Poll::Ready(Some(Err(_))) => Some(Err(self.progress.fail(BodyFault::Client))),
            Poll::Ready(Some(Ok(frame))) => {
                self.timer = None;
                if let Some(since) = self.waiting_since.take() {
                    self.waited += clock::instant().saturating_duration_since(since);
                }
                Some(self.count(&frame).map(|()| trailers::forwardable(frame)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.incoming.is_end_stream()
    }

    fn finish(&mut self) {
        self.progress.note_done();
        self.watched.end();
    }

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

    /// Ready when the client has been silent for too long, and the answer, too: who listens to a
    /// long answer may have nothing to say.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let left = self.left_by_rate().unwrap_or(Duration::MAX);
            let idle = self.limits.idle;
            ready!(self.timer(idle.min(left)).poll(cx));
            let too_slow = self.left_by_rate().is_some_and(|left| left.is_zero());
            if too_slow || !self.progress.answered.swap(false, Ordering::Relaxed) {
                return Poll::Ready(());
            }
            self.timer = None;
        }
    }

    /// How long the client may be waited for until it is below the least rate, if one is asked of
    /// it. The time that the upstream takes is not the client's.
    fn left_by_rate(&mut self) -> Option<Duration> {
        let rate = self.limits.bytes_per_second_min?;
        let now = clock::instant();
        let since = *self.waiting_since.get_or_insert(now);
        let waited = self.waited + now.saturating_duration_since(since);
        let paid = Duration::from_secs(self.progress.bytes() / rate);
        Some((RATE_GRACE + paid).saturating_sub(waited))
    }

    fn timer(&mut self, limit: Duration) -> Pin<&mut Sleep> {
        self.timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)))
            .as_mut()
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
            Self::Kept(body) => return Poll::Ready(body.next().map(Ok)),
            Self::Streamed(body) => body,
            Self::Replayed(body) => return body.poll_frame(cx),
        };
        let frame = match body.held.pop() {
            Some(frame) => frame,
            None => match ready!(body.poll_read(cx)) {
                Some(Ok(frame)) => frame,
                ended => {
                    if ended.is_none() {
                        body.finish();
                    }
                    return Poll::Ready(ended);
                }
            },
        };
        let frame = match &body.watched.reserved {
            Some(reserved) => trailers::without(frame, reserved),
            None => frame,
        };
        body.watched.see(&frame, &body.progress);
        if body.is_end_stream() {
            body.finish();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Kept(body) => body.data.is_empty() && body.trailers.is_none(),
            Self::Streamed(body) => body.is_end_stream(),
            Self::Replayed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Kept(body) => SizeHint::with_exact(body.data.len() as u64),
            Self::Streamed(body) => body.held.added_to(body.incoming.size_hint()),
            Self::Replayed(body) => body.size_hint(),
        }
    }
}
