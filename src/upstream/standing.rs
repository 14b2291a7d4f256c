//! How an endpoint stands at this moment: who uses it, and whether it is well.
//!
//! Written by health checks, by outlier detection and by the attempts that use the endpoint; read
//! by balancing. Atomics only: it is read for every request.

use crate::clock;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::time::Instant;

/// One endpoint's standing.
#[derive(Debug)]
pub struct Standing {
    in_flight: AtomicUsize,
    /// What active checks say; without checks, true.
    healthy: AtomicBool,
    /// Whether outlier detection keeps requests away.
    ejected: AtomicBool,
    /// Since when it may be used again, for slow start.
    available_since: Mutex<Instant>,
    /// Goes up with every change that balancing has to see; shared by an upstream's endpoints.
    changes: Arc<AtomicU64>,
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
    /// Well, unused, available from now on.
    pub fn new() -> Arc<Self> {
        Self::counting(Arc::default())
    }

    /// The same; a change of availability adds to `changes`.
    pub(super) fn counting(changes: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            in_flight: AtomicUsize::new(0),
            healthy: AtomicBool::new(true),
            ejected: AtomicBool::new(false),
            available_since: Mutex::new(clock::instant()),
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

    /// Whether it should get requests: healthy and not ejected.
    pub fn is_available(&self) -> bool {
        self.is_healthy() && !self.is_ejected()
    }

    /// What active checks say.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Whether outlier detection keeps requests away.
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Relaxed)
    }

    /// Takes in the verdict of active checks.
    pub fn set_healthy(&self, healthy: bool) {
        let before = self.healthy.swap(healthy, Ordering::Relaxed);
        if healthy && !before {
            self.begin_again();
        }
        self.note(healthy != before);
    }

    /// Keeps requests away, or lets them come again.
    pub fn set_ejected(&self, ejected: bool) {
        let before = self.ejected.swap(ejected, Ordering::Relaxed);
        if before && !ejected {
            self.begin_again();
        }
        self.note(ejected != before);
    }

    /// Since when it may be used without a break; slow start counts from here.
    pub fn available_since(&self) -> Instant {
        *self
            .available_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells balancing of a change. Release: who sees the count sees what it counts.
    fn note(&self, changed: bool) {
        if changed {
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    fn begin_again(&self) {
        *self
            .available_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = clock::instant();
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
}
