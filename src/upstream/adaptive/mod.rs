//! How many requests an upstream can take at a time, found out from how long it takes for them.
//!
//! Where nobody knows the number: while requests are no slower than the upstream is at rest, there
//! is room for more; once they queue up in it, they only get slower. So the limit follows the
//! gradient between the two, as in Netflix' and Envoy's concurrency limits. What the upstream needs
//! at rest is measured in passing where the limit is not in use; where it is, the limit is halved
//! for a moment every few seconds, which drains the queue: half of what is refused anyway, and
//! never in good days.

mod gradient;

#[cfg(test)]
mod tests;

use crate::telemetry::metrics::AdaptiveGauges;
use gradient::Gradient;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// A limit that finds itself.
#[derive(Debug)]
pub struct AdaptiveLimit {
    limit: AtomicUsize,
    in_flight: AtomicUsize,
    gradient: Mutex<Gradient>,
    gauges: Arc<AdaptiveGauges>,
}

/// One request's place, until the head of its answer. Dropping it gives the place back, on every
/// way out.
#[derive(Debug)]
pub struct AdaptivePlace {
    limit: Arc<AdaptiveLimit>,
    began: Instant,
    epoch: u32,
}

impl AdaptiveLimit {
    /// Never more than `most`.
    pub fn new(most: usize, now: Instant, gauges: Arc<AdaptiveGauges>) -> Arc<Self> {
        let gradient = Gradient::new(most, now);
        let limit = gradient.limit();
        gauges.set(limit);
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            in_flight: AtomicUsize::new(0),
            gradient: Mutex::new(gradient),
            gauges,
        })
    }

    /// A place for a request that begins now, unless there is none left.
    pub fn enter(self: &Arc<Self>, now: Instant) -> Option<AdaptivePlace> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let admitted = before < self.limit.load(Ordering::Relaxed);
        let epoch = self.gradient().entered(before + 1, admitted);
        let place = AdaptivePlace {
            limit: Arc::clone(self),
            began: now,
            epoch,
        };
        admitted.then_some(place)
    }

    /// The limit at this moment.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    fn gradient(&self) -> MutexGuard<'_, Gradient> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AdaptivePlace {
    /// The request has its answer's head, or waited for it in vain: either tells how slow the
    /// upstream is. What failed at once tells nothing, and is just dropped.
    pub fn answered(self, now: Instant) {
        let took = now.saturating_duration_since(self.began);
        let limit = self.limit.gradient().answered(took, self.epoch, now);
        if let Some(limit) = limit {
            self.limit.limit.store(limit, Ordering::Relaxed);
            self.limit.gauges.set(limit);
        }
    }
}

impl Drop for AdaptivePlace {
    fn drop(&mut self) {
        self.limit.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
