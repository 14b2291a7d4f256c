//! A fault that repeats: told once, then counted, then told how often.
//!
//! Holds no clock and writes nothing, so that it is tested without waiting. Bounded: at the
//! bound a new fault is told each time, and counting goes on for those already held.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::time::Duration;
use tokio::time::Instant;

/// How long a fault is counted before the count is told.
const WINDOW: Duration = Duration::from_secs(60);

/// Faults that are counted at the same time.
const FAULTS_MAX: usize = 256;

/// Faults told of within the last window, each with what to tell again.
pub(super) struct Repeats<T> {
    faults: HashMap<String, Counted<T>>,
}

struct Counted<T> {
    first: T,
    since: Instant,
    again: u64,
}

/// How often a fault came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated {
    /// Times, not counting the one that was told.
    pub(super) times: u64,
    /// Since that one.
    pub(super) over: Duration,
}

impl Display for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} in {} s", self.times, self.over.as_secs())
    }
}

impl<T: Clone> Repeats<T> {
    pub(super) fn new() -> Self {
        Self {
            faults: HashMap::new(),
        }
    }

    /// Whether to tell of this fault now. If not, it was counted.
    pub(super) fn is_new(&mut self, fault: &str, now: Instant, first: impl FnOnce() -> T) -> bool {
        if let Some(counted) = self.faults.get_mut(fault) {
            counted.again += 1;
            return false;
        }
        if self.faults.len() < FAULTS_MAX {
            let counted = Counted {
                first: first(),
                since: now,
                again: 0,
            };
            self.faults.insert(fault.to_owned(), counted);
        }
        true
    }

    /// When `take_due` has something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.faults
            .values()
            .map(|counted| counted.since + WINDOW)
            .min()
    }

    /// Faults whose window is over and that came back in it. They go on being counted; one that
    /// did not come back is forgotten, and will be told of at once when it does.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(T, Repeated)> {
        let mut due = Vec::new();
        self.faults.retain(|_, counted| {
            if counted.since + WINDOW > now {
                return true;
            }
            let came_back = counted.again > 0;
            due.extend(counted.take(now));
            came_back
        });
        due
    }

    /// Everything counted and not told yet, whether its window is over or not.
    pub(super) fn take_all(&mut self, now: Instant) -> Vec<(T, Repeated)> {
        let due = self
            .faults
            .values_mut()
            .filter_map(|counted| counted.take(now))
            .collect();
        self.faults.clear();
        due
    }
}

impl<T: Clone> Counted<T> {
    /// What to tell, if anything; begins the next window.
    fn take(&mut self, now: Instant) -> Option<(T, Repeated)> {
        let repeated = Repeated {
            times: std::mem::take(&mut self.again),
            over: now.saturating_duration_since(self.since),
        };
        self.since = now;
        (repeated.times > 0).then(|| (self.first.clone(), repeated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_fault_is_told_once_and_then_counted() {
        let mut repeats = Repeats::new();
        let start = clock::instant();

        assert!(repeats.is_new("refused", start, || "first"));
        for second in 0..412 {
            let later = start + Duration::from_millis(second);
            assert!(!repeats.is_new("refused", later, || "again"));
        }
        assert!(repeats.is_new("another", start, || "other"));
        assert!(repeats.take_due(start + Duration::from_secs(59)).is_empty());

        let due = repeats.take_due(start + WINDOW);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].0, "first");
        assert_eq!(due[0].1.to_string(), "+412 in 60 s");
    }

    #[test]
    fn a_lasting_fault_is_told_once_a_window_and_a_past_one_anew() {
        let mut repeats = Repeats::new();
        let start = clock::instant();
        repeats.is_new("refused", start, || ());
        repeats.is_new("refused", start, || ());
        assert_eq!(repeats.take_due(start + WINDOW).len(), 1);

        assert!(!repeats.is_new("refused", start + WINDOW, || ()));
        assert_eq!(repeats.take_due(start + WINDOW * 2).len(), 1);

        assert!(repeats.take_due(start + WINDOW * 3).is_empty());
        assert_eq!(repeats.next_due(), None);
        assert!(repeats.is_new("refused", start + WINDOW * 3, || ()));
    }

    #[test]
    fn at_the_bound_faults_are_told_and_not_held() {
        let mut repeats = Repeats::new();
        let start = clock::instant();
        for fault in 0..FAULTS_MAX + 10 {
            assert!(repeats.is_new(&fault.to_string(), start, || ()));
        }

        assert_eq!(repeats.faults.len(), FAULTS_MAX);
        assert!(repeats.is_new("one more", start, || ()));
        assert!(!repeats.is_new("0", start, || ()));
    }

    #[test]
    fn at_the_end_what_was_counted_is_told() {
        let mut repeats = Repeats::new();
        let start = clock::instant();
        repeats.is_new("refused", start, || ());
        repeats.is_new("refused", start, || ());
        repeats.is_new("once", start, || ());

        let due = repeats.take_all(start + Duration::from_secs(23));
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].1.to_string(), "+1 in 23 s");
    }
}
