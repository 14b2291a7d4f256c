//! How long a search may take: a pattern over long values can take any time.

use crate::clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The end of a search's time, for all threads that work on it.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
    over: AtomicBool,
}

impl Patience {
    pub(super) fn new(within: Duration) -> Self {
        Self {
            until: clock::instant() + within,
            over: AtomicBool::new(false),
        }
    }

    /// Whether the time is up. Costs as much as a look at the clock.
    pub(super) fn is_over(&self) -> bool {
        if self.has_ended() {
            return true;
        }
        let is_over = clock::instant() >= self.until;
        if is_over {
            self.over.store(true, Ordering::Relaxed);
        }
        is_over
    }

    /// Whether somebody found the time to be up.
    pub(super) fn has_ended(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}
