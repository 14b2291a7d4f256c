//! Where finished spans wait for their batch. No request ever waits here.
//!
//! A producer appends its bytes to the open chunk under a short lock; there is no channel send
//! and no task to wake for each span. A chunk closes when it is full or when its first span has
//! waited long enough, and is then taken whole. At the bound the newest spans are dropped and
//! counted: what waits longest is closest to being delivered.

use super::account::{Account, DropReason};
use super::batch::{self, Batch};
use super::settings::BatchSettings;
use crate::clock;
use crate::trace::sink::FinishedSpans;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes in one request, uncompressed. Receivers commonly stop at 4 MiB.
const CHUNK_BYTES_MAX: usize = 3_584 * 1024;

/// Bytes that may wait at least, however few spans may.
const QUEUE_BYTES_FLOOR: usize = 64 * 1024 * 1024;

/// Bytes for each span that may wait; an HTTP server span has about 500.
const QUEUE_BYTES_PER_SPAN: usize = 2 * 1024;

/// Buffers kept for reuse: one for each lane, and one to fill meanwhile.
const SPARE_MAX: usize = super::deliver::LANES + 1;

/// Longest a span waits for company, whatever is set; it keeps sums of times in range, too.
const DELAY_MAX: Duration = Duration::from_hours(1);

/// A bounded queue of encoded spans, closed in chunks.
pub(super) struct SpanQueue {
    bounds: Bounds,
    account: Arc<Account>,
    state: Mutex<State>,
    /// A chunk was opened or closed; one waiting consumer looks.
    changed: Notify,
    /// Spans have left; whoever flushes looks.
    settled: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Spans pending, those on their way included.
    spans_max: u64,
    /// Bytes held, those on their way included.
    bytes_max: usize,
    chunk_spans_max: u32,
    delay: Duration,
}

struct State {
    open: Chunk,
    /// When the open chunk got its first span.
    opened: Instant,
    /// Bounded by `Bounds`: each holds at least one pending span.
    closed: VecDeque<Chunk>,
    /// Bytes in chunks and in batches on their way.
    held_bytes: usize,
    /// Buffers of batches that left, for chunks to come: fresh memory would cost a request more
    /// than everything else here.
    spare: Vec<BytesMut>,
    /// Whether the last span has come.
    is_ended: bool,
}

#[derive(Default)]
struct Chunk {
    records: BytesMut,
    spans: u32,
}

/// What a consumer finds.
enum Found {
    Chunk(Chunk),
    /// Nothing yet; the open chunk, if any, is due then.
    Wait(Option<Instant>),
    End,
}

impl SpanQueue {
    /// An empty queue whose spans are counted in `account`.
    pub(super) fn new(settings: &BatchSettings, account: Arc<Account>) -> Self {
        let spans_max = settings.queue_spans_max.max(1);
        let chunk_spans_max = settings.batch_spans_max.clamp(1, spans_max);
        Self {
            bounds: Bounds {
                spans_max: spans_max as u64,
                bytes_max: spans_max
                    .saturating_mul(QUEUE_BYTES_PER_SPAN)
                    .max(QUEUE_BYTES_FLOOR),
                chunk_spans_max: u32::try_from(chunk_spans_max).unwrap_or(u32::MAX),
                delay: settings.delay.min(DELAY_MAX),
            },
            account,
            state: Mutex::new(State {
                open: Chunk::default(),
                opened: clock::instant(),
                closed: VecDeque::new(),
                held_bytes: 0,
                spare: Vec::with_capacity(SPARE_MAX),
                is_ended: false,
            }),
            changed: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// Takes the spans of one request, all or none of them. Never waits.
    ///
    /// # Errors
    /// Why they were dropped, after they were counted.
    pub(super) fn push(&self, finished: &FinishedSpans) -> Result<(), DropReason> {
        if finished.count > self.bounds.chunk_spans_max {
            return self.push_one_by_one(finished);
        }
        self.push_records(&finished.bytes, finished.count)
    }

    /// Ends the queue: what waits can still be taken, what comes is dropped.
    pub(super) fn end(&self) {
        self.state().is_ended = true;
        self.changed.notify_one();
    }

    /// The next chunk that is full or due; none once the queue has ended and is empty.
    pub(super) async fn next(self: &Arc<Self>) -> Option<Batch> {
        loop {
            // One look at a time is enough, so each consumer that leaves wakes the next.
            let due = match self.find() {
                Found::Chunk(chunk) => {
                    self.changed.notify_one();
                    return Some(self.batch(chunk));
                }
                Found::End => {
                    self.changed.notify_one();
                    return None;
                }
                Found::Wait(due) => due,
            };
            let changed = self.changed.notified();
            match due {
                // Ends early if a chunk fills up before the open one is due.
                Some(due) => drop(tokio::time::timeout_at(due, changed).await),
                None => changed.await,
            }
        }
    }

    /// Closes the open chunk and waits until as many spans have left as had been accepted.
    pub(super) async fn flush(&self) {
        let accepted = self.account.snapshot().accepted;
        self.state().close_open();
        self.changed.notify_one();
        loop {
            let mut settled = pin!(self.settled.notified());
            // Registered before the look, so that no change falls between the two.
            settled.as_mut().enable();
            if self.account.snapshot().settled() >= accepted {
                return;
            }
            settled.await;
        }
    }

    /// Gives up everything that waits. Only after [`Self::end`], so that nothing follows.
    pub(super) fn discard(self: &Arc<Self>) {
        loop {
            // Not in the `while let`: its guard would live while the batch takes the lock again.
            let Found::Chunk(chunk) = self.find() else {
                return;
            };
            self.batch(chunk).give_up(DropReason::Shutdown);
        }
    }

    /// The account its spans are counted in.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// The room of a batch that left, and its buffer if nobody else still reads it.
    pub(super) fn give_back(&self, records: Bytes) {
        let bytes = records.len();
        let buffer = records.try_into_mut().ok();
        {
            let mut state = self.state();
            state.held_bytes = state.held_bytes.saturating_sub(bytes);
            if let Some(mut buffer) = buffer
                && state.spare.len() < SPARE_MAX
            {
                buffer.clear();
                state.spare.push(buffer);
            }
        }
        self.settled.notify_waiters();
    }

    /// Bytes held now, and the most that may be.
    pub(super) fn bytes(&self) -> (usize, usize) {
        (self.state().held_bytes, self.bounds.bytes_max)
    }

    /// The most spans that may be pending.
    pub(super) const fn spans_max(&self) -> u64 {
        self.bounds.spans_max
    }

    /// A request with more spans than a batch may have is cut at its spans.
    fn push_one_by_one(&self, finished: &FinishedSpans) -> Result<(), DropReason> {
        let told_apart = batch::records(&finished.bytes).count();
        if u32::try_from(told_apart) != Ok(finished.count) {
            return self.push_records(&finished.bytes, finished.count);
        }
        batch::records(&finished.bytes)
            .map(|record| self.push_records(record, 1))
            .fold(Ok(()), Result::and)
    }

    fn push_records(&self, records: &[u8], spans: u32) -> Result<(), DropReason> {
        if spans == 0 {
            return Ok(());
        }
        // Counted before they can be taken, so that no consumer settles what is not pending.
        if !self.account.accept(u64::from(spans), self.bounds.spans_max) {
            // Nothing is gained by waiting for a chunk that cannot grow.
            self.state().close_open();
            self.changed.notify_one();
            return Err(DropReason::QueueFull);
        }
        match self.store(records, spans) {
            Ok(is_changed) => {
                if is_changed {
                    self.changed.notify_one();
                }
                Ok(())
            }
            Err(reason) => {
                self.account.settle_dropped(u64::from(spans), reason);
                Err(reason)
            }
        }
    }

    /// Appends to the open chunk. Whether a consumer has to look: a chunk was opened or closed.
    fn store(&self, records: &[u8], spans: u32) -> Result<bool, DropReason> {
        let chunk_spans_max = self.bounds.chunk_spans_max;
        let mut state = self.state();
        if state.is_ended {
            return Err(DropReason::Shutdown);
        }
        if state.held_bytes.saturating_add(records.len()) > self.bounds.bytes_max {
            return Err(DropReason::QueueFull);
        }
        let mut is_changed = false;
        if !state.open.has_room(records.len(), spans, chunk_spans_max) {
            state.close_open();
            is_changed = true;
        }
        if state.open.spans == 0 {
            state.opened = clock::instant();
            is_changed = true;
        }
        state.held_bytes += records.len();
        state.open.records.extend_from_slice(records);
        state.open.spans = state.open.spans.saturating_add(spans);
        if state.open.spans >= chunk_spans_max {
            state.close_open();
            is_changed = true;
        }
        Ok(is_changed)
    }

    fn find(&self) -> Found {
        let mut state = self.state();
        let due = (state.open.spans > 0).then(|| state.opened + self.bounds.delay);
        let is_due = due.is_some_and(|due| state.is_ended || due <= clock::instant());
        if is_due && state.closed.is_empty() {
            state.close_open();
        }
        match state.closed.pop_front() {
            Some(chunk) => Found::Chunk(chunk),
            None if state.is_ended => Found::End,
            None => Found::Wait(due),
        }
    }

    fn batch(self: &Arc<Self>, chunk: Chunk) -> Batch {
        Batch::claim(chunk.records.freeze(), chunk.spans, Arc::clone(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way; a poisoned queue is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Moves the open chunk behind the closed ones; the next begins as large as it became.
    fn close_open(&mut self) {
        if self.open.spans == 0 {
            return;
        }
        // Not grown from nothing under the lock: chunks of one load are alike.
        let spare = self.spare.pop();
        let next = Chunk {
            records: spare.unwrap_or_else(|| BytesMut::with_capacity(self.open.records.len())),
            spans: 0,
        };
        self.closed
            .push_back(std::mem::replace(&mut self.open, next));
    }
}

impl Chunk {
    /// Whether it may grow by this. An empty one takes everything: it is split if it has to be.
    fn has_room(&self, bytes: usize, spans: u32, spans_max: u32) -> bool {
        self.spans == 0
            || (self.records.len().saturating_add(bytes) <= CHUNK_BYTES_MAX
                && self.spans.saturating_add(spans) <= spans_max)
    }
}
