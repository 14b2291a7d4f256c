//! How many trees a person can take: above five a second only every n-th is shown, and the rest
//! is counted.

use std::time::Duration;
use tokio::time::Instant;

/// Trees a second that can be watched.
const TREES_MAX: u64 = 5;
const WINDOW: Duration = Duration::from_secs(1);

/// Decides which requests are shown.
pub(super) struct Pace {
    window_began: Instant,
    /// Requests of this window.
    seen: u64,
    /// Trees of this window.
    shown: u64,
    /// Every how many-th is shown, from what the last window saw.
    every: u64,
    /// Requests left out and not told of yet.
    left_out: u64,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            window_began: now,
            seen: 0,
            shown: 0,
            every: 1,
            left_out: 0,
        }
    }

    /// Whether this request's tree is drawn.
    pub(super) const fn admit(&mut self) -> bool {
        let turn = self.seen.is_multiple_of(self.every) && self.shown < TREES_MAX;
        self.seen = self.seen.saturating_add(1);
        if turn {
            self.shown = self.shown.saturating_add(1);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
        turn
    }

    /// Requests that never came as far as [`Self::admit`].
    pub(super) const fn add_left_out(&mut self, requests: u64) {
        self.seen = self.seen.saturating_add(requests);
        self.left_out = self.left_out.saturating_add(requests);
    }

    /// Turns the window if it is over, and gives what to tell of those left out in it.
    pub(super) fn turn(&mut self, now: Instant) -> Option<u64> {
        let age = now.saturating_duration_since(self.window_began);
        if age < WINDOW {
            return None;
        }
        // After a pause there is no rate to go by.
        let seen = if age < WINDOW * 2 { self.seen } else { 0 };
        self.every = seen.div_ceil(TREES_MAX).max(1);
        self.window_began = now;
        self.seen = 0;
        self.shown = 0;
        self.take_left_out()
    }

    /// What has not been told of yet, if anything.
    pub(super) const fn take_left_out(&mut self) -> Option<u64> {
        let left_out = self.left_out;
        self.left_out = 0;
        if left_out == 0 { None } else { Some(left_out) }
    }

    /// How long until something has to be told although no request comes.
    pub(super) fn patience(&self, now: Instant) -> Option<Duration> {
        let over = self.window_began + WINDOW;
        (self.left_out > 0).then(|| over.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn five_a_second_are_all_shown() {
        let start = clock::instant();
        let mut pace = Pace::new(start);

        let shown = (0..5).filter(|_| pace.admit()).count();

        assert_eq!(shown, 5);
        assert_eq!(pace.patience(start), None);
        assert_eq!(pace.turn(start + WINDOW), None);
    }

    #[test]
    fn above_that_every_nth_is_shown_and_the_rest_counted() {
        let start = clock::instant();
        let mut pace = Pace::new(start);
        let first: Vec<_> = (0..40).map(|_| pace.admit()).collect();
        assert_eq!(first.iter().filter(|shown| **shown).count(), 5);
        assert!(pace.patience(start).is_some());
        assert_eq!(pace.turn(start + WINDOW), Some(35));

        let second: Vec<_> = (0..40).map(|_| pace.admit()).collect();

        let at: Vec<_> = (0..40).filter(|at| second[*at]).collect();
        assert_eq!(at, [0, 8, 16, 24, 32]);
        assert_eq!(pace.turn(start + WINDOW * 2), Some(35));
    }

    #[test]
    fn after_a_pause_the_next_request_is_shown_at_once() {
        let start = clock::instant();
        let mut pace = Pace::new(start);
        for _ in 0..1000 {
            pace.admit();
        }

        pace.turn(start + WINDOW * 10);

        assert!(pace.admit() && pace.admit());
    }
}
