//! The work of sending: takes batches from the queue and stays with each until it is settled.
//!
//! A few lanes do the same beside each other, so that a far collector's answer time does not
//! bound the throughput. They share the pause: what one is told, all obey.

use super::account::DropReason;
use super::batch::Batch;
use super::fault_log::FaultLog;
use super::otlp_grpc::OtlpGrpc;
use super::otlp_http::OtlpHttp;
use super::queue::SpanQueue;
use super::reply::{Arrived, Failure, FailureKind, Remedy, Reply};
use super::retry::{Backoff, Pause};
use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Requests on their way at once.
pub(super) const LANES: usize = 4;

/// What sends a batch. Replaced in tests, where time is paused and sockets would not be.
pub(super) trait Wire: Send + Sync + 'static {
    /// One attempt, with a bound of its own. `records` are concatenated `ScopeSpans.spans`.
    fn send(&self, records: Bytes) -> impl Future<Output = Reply> + Send;
}

/// The wires there are.
pub(super) enum Otlp {
    Http(OtlpHttp),
    Grpc(OtlpGrpc),
}

impl Wire for Otlp {
    async fn send(&self, records: Bytes) -> Reply {
        match self {
            Self::Http(http) => http.send(records).await,
            Self::Grpc(grpc) => grpc.send(records).await,
        }
    }
}

/// What the lanes of one exporter share.
pub(super) struct Delivery<W> {
    pub(super) queue: Arc<SpanQueue>,
    pub(super) wire: W,
    pub(super) backoff: Backoff,
    /// Cancelled when the process ends: no wait from then on, and one last try for each batch.
    pub(super) closing: CancellationToken,
    pub(super) attempts: Arc<Attempts>,
    /// The collector's address as the log may tell it.
    pub(super) destination: String,
    /// What the log calls what is sent.
    noun: &'static str,
    pause: Pause,
    faults: Faults,
}

/// Counters of attempts, read by metrics at any time.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) made: AtomicU64,
    failed: [AtomicU64; FailureKind::ALL.len()],
}

impl Attempts {
    /// Failed attempts of each kind.
    pub(super) fn failed(&self) -> impl Iterator<Item = (FailureKind, u64)> + '_ {
        FailureKind::ALL.into_iter().zip(
            self.failed
                .iter()
                .map(|count| count.load(Ordering::Relaxed)),
        )
    }

    fn fail(&self, kind: FailureKind) {
        for (other, count) in FailureKind::ALL.into_iter().zip(&self.failed) {
            if other == kind {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[derive(Default)]
struct Faults {
    retried: FaultLog,
    given_up: FaultLog,
    rejected: FaultLog,
    remarks: FaultLog,
    /// Whether the last answer was none, so that its return is worth a line.
    is_out: AtomicBool,
}

impl<W: Wire> Delivery<W> {
    /// Sends what `queue` holds over `wire`.
    pub(super) fn new(
        queue: Arc<SpanQueue>,
        wire: W,
        backoff: Backoff,
        destination: String,
        noun: &'static str,
    ) -> Self {
        Self {
            queue,
            wire,
            backoff,
            closing: CancellationToken::new(),
            attempts: Arc::default(),
            destination,
            noun,
            pause: Pause::default(),
            faults: Faults::default(),
        }
    }

    /// One lane: runs until the queue has ended and is empty.
    pub(super) async fn run(self: Arc<Self>) {
        while let Some(batch) = self.queue.next().await {
            self.deliver(batch).await;
        }
    }

    /// Stays with a batch, and with its parts if it has to be split, until all are settled.
    async fn deliver(&self, batch: Batch) {
        // At most one half for each halving: some thirty for the largest batch there can be.
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            if let Some((first, second)) = self.settle_or_split(part).await {
                parts.push(second);
                parts.push(first);
            }
        }
    }

    /// Tries until the batch is settled; hands back halves if it is too large.
    async fn settle_or_split(&self, batch: Batch) -> Option<(Batch, Batch)> {
        let mut failures = 0_u32;
        loop {
            tokio::select! {
                () = self.pause.over() => {}
                () = self.closing.cancelled() => {}
            }
            let is_last = self.closing.is_cancelled();
            self.attempts.made.fetch_add(1, Ordering::Relaxed);
            let failure = match self.wire.send(batch.records().clone()).await {
                Ok(arrived) => {
                    self.tell_arrival(&arrived);
                    batch.answered(arrived.rejected);
                    return None;
                }
                Err(failure) => failure,
            };
            self.attempts.fail(failure.kind);
            match failure.remedy {
                Remedy::GiveUp => {
                    self.give_up(batch, DropReason::NotRetryable, &failure);
                    return None;
                }
                Remedy::Split => match batch.halves() {
                    Ok(halves) => return Some(halves),
                    Err(batch) => {
                        self.give_up(batch, DropReason::TooLarge, &failure);
                        return None;
                    }
                },
                // The seam for a spool on disk: here a batch is known not to have arrived. A
                // spool takes it instead of the loop, as it takes what the queue has no room
                // for, and settles it when it is replayed.
                Remedy::Retry(_) if is_last => {
                    self.give_up(batch, DropReason::Shutdown, &failure);
                    return None;
                }
                Remedy::Retry(asked) => {
                    failures = failures.saturating_add(1);
                    self.tell_retry(&batch, &failure);
                    self.pause
                        .hold(self.backoff.after(failures).max(asked.unwrap_or_default()));
                }
            }
        }
    }

    fn give_up(&self, batch: Batch, reason: DropReason, failure: &Failure) {
        let spans = u64::from(batch.spans());
        batch.give_up(reason);
        if let Some(since) = self.faults.given_up.note(spans) {
            warn!(
                destination = self.destination,
                reason = reason.name(),
                error.r#type = failure.kind.name(),
                count = since.spans,
                times = since.times,
                "{} dropped: {}",
                self.noun,
                failure.detail
            );
        }
    }

    fn tell_retry(&self, batch: &Batch, failure: &Failure) {
        self.faults.is_out.store(true, Ordering::Relaxed);
        if let Some(since) = self.faults.retried.note(u64::from(batch.spans())) {
            warn!(
                destination = self.destination,
                error.r#type = failure.kind.name(),
                times = since.times,
                "export failed, {} wait and are sent again: {}",
                self.noun,
                failure.detail
            );
        }
    }

    fn tell_arrival(&self, arrived: &Arrived) {
        if self.faults.is_out.swap(false, Ordering::Relaxed) {
            info!(destination = self.destination, "export works again");
        }
        if arrived.rejected > 0 {
            if let Some(since) = self.faults.rejected.note(arrived.rejected) {
                warn!(
                    destination = self.destination,
                    count = since.spans,
                    times = since.times,
                    "the collector rejected {}: {}",
                    self.noun,
                    arrived.message
                );
            }
        } else if !arrived.message.is_empty()
            && let Some(since) = self.faults.remarks.note(0)
        {
            warn!(
                destination = self.destination,
                times = since.times,
                "the collector took the {} and says: {}",
                self.noun,
                arrived.message
            );
        }
    }
}
