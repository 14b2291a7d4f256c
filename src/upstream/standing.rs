//! How an endpoint stands at this moment: who uses it, and whether it is well.
//!
//! Written by health checks, by outlier detection and by the attempts that use the endpoint; read
//! by balancing. What a request reads or writes is atomics; what changes seldom is behind a lock.

use super::outlier::OutlierCounts;
use crate::clock::{self, Timestamp};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use tokio::time::Instant;

/// One endpoint's standing.
#[derive(Debug)]
pub struct Standing {
    in_flight: AtomicUsize,
    /// What active checks say, a [`Health`].
    health: AtomicU8,
    /// Whether outlier detection keeps requests away.
    ejected: AtomicBool,
    /// What outlier detection counts.
    pub(super) outlier: OutlierCounts,
    facts: Mutex<Facts>,
    /// Goes up with every change that balancing has to see; shared by an upstream's endpoints.
    changes: Arc<AtomicU64>,
}

/// What changes seldom.
#[derive(Debug)]
struct Facts {
    /// Since when it may be used again, for slow start.
    available_since: Instant,
    /// Since when health and ejection are what they are.
    changed: Timestamp,
    failure: Option<LastFailure>,
}

/// What active checks say of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Nothing: there are no checks, or the first one has not ended. It may be used.
    Unchecked,
    /// It passes its checks.
    Healthy,
    /// It fails them.
    Unhealthy,
}

/// Why a check failed last, or why outlier detection ejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// When.
    pub at: Timestamp,
    /// In words, without anything secret.
    pub reason: Arc<str>,
}

/// One attempt's place at an endpoint. Dropping it gives the place back, on every way out.
#[derive(Debug)]
pub struct Load(Arc<Standing>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Standing {
    /// Unchecked, unused, available from now on.
    pub fn new() -> Arc<Self> {
        Self::counting(Arc::default())
    }

    /// The same; a change of availability adds to `changes`.
    pub(super) fn counting(changes: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            in_flight: AtomicUsize::new(0),
            health: AtomicU8::new(Health::Unchecked as u8),
            ejected: AtomicBool::new(false),
            outlier: OutlierCounts::default(),
            facts: Mutex::new(Facts {
                available_since: clock::instant(),
                changed: clock::wall(),
                failure: None,
            }),
            changes,
        })
    }

    /// Counts an attempt until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> Load {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Load(Arc::clone(self))
    }

    /// Attempts in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it should get requests: not known to be unhealthy, and not ejected.
    pub fn is_available(&self) -> bool {
        self.is_healthy() && !self.is_ejected()
    }

    /// Whether active checks have nothing against it.
    pub fn is_healthy(&self) -> bool {
        self.health.load(Ordering::Relaxed) != Health::Unhealthy as u8
    }

    /// What active checks say.
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Unchecked,
            1 => Health::Healthy,
            _ => Health::Unhealthy,
        }
    }

    /// Whether outlier detection keeps requests away.
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Relaxed)
    }

    /// Takes in the verdict of active checks.
    pub fn set_healthy(&self, healthy: bool) {
        let new = if healthy {
            Health::Healthy
        } else {
            Health::Unhealthy
        };
        let before = self.health.swap(new as u8, Ordering::Relaxed);
        if before != new as u8 {
            self.changed(before == Health::Unhealthy as u8);
        }
    }

    /// Keeps requests away, or lets them come again.
    pub fn set_ejected(&self, ejected: bool) {
        let before = self.ejected.swap(ejected, Ordering::Relaxed);
        if before != ejected {
            self.changed(before);
        }
    }

    /// Notes why a check failed, or why it is ejected.
    pub fn note_failure(&self, reason: &str) {
        let at = clock::wall();
        let mut facts = self.facts();
        let reason = match facts.failure.take() {
            Some(last) if *last.reason == *reason => last.reason,
            _ => Arc::from(reason),
        };
        facts.failure = Some(LastFailure { at, reason });
    }

    /// The last failure noted.
    pub fn last_failure(&self) -> Option<LastFailure> {
        self.facts().failure.clone()
    }

    /// Since when health and ejection are what they are.
    pub fn changed_at(&self) -> Timestamp {
        self.facts().changed
    }

    /// Since when it may be used without a break; slow start counts from here.
    pub fn available_since(&self) -> Instant {
        self.facts().available_since
    }

    fn changed(&self, begins_again: bool) {
        let mut facts = self.facts();
        facts.changed = clock::wall();
        if begins_again {
            facts.available_since = clock::instant();
        }
        drop(facts);
        // Release: who sees the count sees what it counts.
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // Nothing under the lock can panic half-way.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_available_only_while_it_is_healthy_and_not_ejected() {
        let standing = Standing::new();
        assert!(standing.is_available());

        standing.set_ejected(true);
        assert!(!standing.is_available());
        standing.set_ejected(false);
        standing.set_healthy(false);
        assert!(!standing.is_available());
    }

    #[test]
    fn a_dropped_load_gives_its_place_back() {
        let standing = Standing::new();

        let load = standing.enter();
        assert_eq!(standing.in_flight(), 1);
        drop(load);

        assert_eq!(standing.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_start_begins_when_an_endpoint_returns_and_not_at_its_first_verdict() {
        let standing = Standing::new();
        let made = standing.available_since();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;

        standing.set_healthy(true);
        assert_eq!(standing.available_since(), made);
        standing.set_healthy(false);
        standing.set_healthy(true);
        assert_eq!(standing.available_since(), clock::instant());
    }
}
