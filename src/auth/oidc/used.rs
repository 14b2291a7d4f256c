//! What may be used once and has been: handles of logins, `jti` of logout tokens. In this process.

use crate::telemetry::metrics::{LoginBound, LoginCounts};
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Most of them that are remembered; then the oldest is forgotten, and counted.
const ENTRIES_MAX: usize = 100_000;

/// What has been used.
#[derive(Debug, Default)]
pub(super) struct Used {
    held: Mutex<Remembered>,
    counts: Arc<LoginCounts>,
}

#[derive(Debug, Default)]
struct Remembered {
    known: HashSet<[u8; 16]>,
    /// In the order in which they came, with the Unix second after which they mean nothing.
    order: VecDeque<([u8; 16], u64)>,
}

impl Used {
    pub(super) fn new(counts: &Arc<LoginCounts>) -> Self {
        Self {
            counts: Arc::clone(counts),
            ..Self::default()
        }
    }

    /// Uses something; it means nothing any more after the Unix second `until`. False: it was used
    /// before.
    pub(super) fn take(&self, what: &str, until: u64, now: u64) -> bool {
        let Some(key) = key(what) else { return false };
        let mut own = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((old, end)) = own.order.front().copied() {
            if end >= now && own.order.len() < ENTRIES_MAX {
                break;
            }
            if end >= now {
                self.counts.reached(LoginBound::Used, 1);
            }
            own.order.pop_front();
            own.known.remove(&old);
        }
        if !own.known.insert(key) {
            return false;
        }
        own.order.push_back((key, until));
        self.counts.holds(LoginBound::Used, own.order.len());
        true
    }

    /// Whether it was used before.
    pub(super) fn holds(&self, what: &str) -> bool {
        let own = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        key(what).is_some_and(|key| own.known.contains(&key))
    }
}

/// Of one length, whatever it is of.
fn key(what: &str) -> Option<[u8; 16]> {
    let sum = digest(&SHA256, what.as_bytes());
    sum.as_ref().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_used_twice_while_it_means_something() {
        let used = Used::default();

        assert!(used.take("a", 100, 50));
        assert!(used.take("b", 100, 50));
        assert!(!used.take("a", 100, 60));
        assert!(!used.take("a", 100, 100));
        assert!(used.take("a", 200, 101), "whoever reads it knows its time");
        assert_eq!(used.counts.all_reached(LoginBound::Used), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_gives_way_is_counted() {
        let used = Used::default();
        for number in 0..=ENTRIES_MAX {
            assert!(used.take(&number.to_string(), 100, 1));
        }

        assert_eq!(used.counts.all_reached(LoginBound::Used), 1);
        assert!(used.take("0", 100, 1), "the oldest");
        assert!(!used.take(&ENTRIES_MAX.to_string(), 100, 1));
    }
}
