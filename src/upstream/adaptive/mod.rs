//! How many requests an upstream can take at a time, found out from how long it takes for them.
//!
//! For where nobody knows the number. While answers take no longer than they do at rest, there is
//! room for more; once requests queue up in the upstream, they only take longer. So the limit
//! follows the gradient between the two, as in Netflix' and Envoy's concurrency limits. What an
//! answer takes at rest is seen in passing while the limit is not in use; while it is, the limit is
//! halved for a moment every few seconds, which drains the queue. On good days nobody is refused
//! for a measurement.

mod gradient;

#[cfg(test)]
mod tests;

use crate::clock;
use crate::message::request_body::BodyProgress;
use crate::telemetry::metrics::AdaptiveGauges;
use gradient::Gradient;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
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
    /// The client's body, if it has one.
    upload: Option<Arc<BodyProgress>>,
    epoch: u32,
    told: bool,
}

impl AdaptiveLimit {
    /// Never more than `most`.
    pub fn new(most: usize, now: Instant, gauges: Arc<AdaptiveGauges>) -> Arc<Self> {
        let gradient = Gradient::new(most, now);
        Arc::new(Self {
            limit: AtomicUsize::new(gradient.limit()),
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
            upload: None,
            epoch,
            told: !admitted,
        };
        admitted.then_some(place)
    }

    /// Tells the limit where it stands, before anything changes it.
    pub fn tell(&self) {
        self.gauges.set(self.limit());
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
    /// The upstream is asked at this moment: attempts before this one, and waits between them, are
    /// not the time that its answer takes. Nor is what the client takes for its body.
    pub fn asked(&mut self, now: Instant, upload: Option<&Arc<BodyProgress>>) {
        self.began = now;
        self.upload = upload.cloned();
    }

    /// The request has its answer's head, or waited for it to its deadline: either tells how slow
    /// the upstream is.
    pub fn answered(mut self, now: Instant) {
        self.tell(now, Gradient::answered);
    }

    /// The request failed at once, which tells nothing.
    pub fn failed(mut self) {
        self.told = true;
    }

    /// Whoever asked has gone. If that took longer than an answer does at rest, it tells as much as
    /// one; and where everybody leaves, nothing else does. Dropping the place is the same.
    fn abandon(&mut self, now: Instant) {
        let upload = self.upload.as_deref();
        let waited = upload.is_some_and(|body| body.is_awaited() && !body.is_done());
        // It waited for its own client.
        self.told |= waited;
        self.tell(now, Gradient::abandoned);
    }

    fn took(&self, now: Instant) -> Duration {
        let sent = self.upload.as_ref().and_then(|body| body.done_at());
        let since = sent.map_or(self.began, |sent| sent.max(self.began));
        now.saturating_duration_since(since)
    }

    fn tell(
        &mut self,
        now: Instant,
        what: fn(&mut Gradient, Duration, u32, Instant) -> Option<usize>,
    ) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let took = self.took(now);
        let limit = what(&mut self.limit.gradient(), took, self.epoch, now);
        if let Some(limit) = limit {
            self.limit.limit.store(limit, Ordering::Relaxed);
            self.limit.gauges.set(limit);
        }
    }
}

impl Drop for AdaptivePlace {
    fn drop(&mut self) {
        if !self.told {
            self.abandon(clock::instant());
        }
        self.limit.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
