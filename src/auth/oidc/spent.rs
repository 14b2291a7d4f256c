//! What was used once and is not to be used again, as far as this process knows.
//!
//! An entry is remembered for as long as what it names could still be shown, and a little longer.
//! Without room there is no use at all: forgetting an entry would let it be used twice.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Names of things that are used once.
pub type OnceId = [u8; 16];

/// What was used. Bounded.
pub struct Spent {
    /// How long what is named here can be shown.
    lifetime: Duration,
    /// Most entries of one lifetime.
    most: usize,
    generations: Mutex<Generations>,
}

/// Entries of this lifetime and of the one before: an entry lives for one to two of them.
struct Generations {
    began: Instant,
    young: HashSet<OnceId>,
    old: HashSet<OnceId>,
}

impl Spent {
    /// For things that can be shown for `lifetime`; at most twice `most` of them are remembered.
    pub fn new(lifetime: Duration, most: usize, now: Instant) -> Self {
        let generations = Generations {
            began: now,
            young: HashSet::new(),
            old: HashSet::new(),
        };
        Self {
            lifetime,
            most,
            generations: Mutex::new(generations),
        }
    }

    /// Uses it: true for the first who asks, and false for everybody after.
    pub fn spend(&self, id: OnceId, now: Instant) -> bool {
        let mut held = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_duration_since(held.began);
        if age >= self.lifetime {
            let young = std::mem::take(&mut held.young);
            let is_recent = age < self.lifetime * 2;
            held.old = if is_recent { young } else { HashSet::new() };
            held.began = now;
        }
        if held.old.contains(&id) || held.young.len() >= self.most {
            return false;
        }
        held.young.insert(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const MINUTE: Duration = Duration::from_mins(1);

    fn id(number: u8) -> OnceId {
        [number; 16]
    }

    #[test]
    fn what_was_used_is_not_used_again_while_it_could_be_shown() {
        let began = clock::instant();
        for at in [0, 1, 59, 60, 61, 119, 120, 121, 1_000] {
            let spent = Spent::new(MINUTE, 10, began);
            let at = began + Duration::from_secs(at);
            assert!(spent.spend(id(1), at));
            for later in [0, 1, 30, 59] {
                assert!(!spent.spend(id(1), at + Duration::from_secs(later)));
            }
            assert!(spent.spend(id(2), at));
        }
    }

    #[test]
    fn it_is_forgotten_after_that() {
        let began = clock::instant();
        let spent = Spent::new(MINUTE, 2, began);
        assert!(spent.spend(id(1), began));
        assert!(spent.spend(id(1), began + MINUTE * 2));
        assert!(spent.spend(id(2), began + MINUTE * 2));
        assert!(spent.spend(id(1), began + MINUTE * 10));
    }

    #[test]
    fn without_room_nothing_is_used_rather_than_twice() {
        let began = clock::instant();
        let spent = Spent::new(MINUTE, 2, began);
        assert!(spent.spend(id(1), began));
        assert!(spent.spend(id(2), began));
        assert!(!spent.spend(id(3), began));
        assert!(!spent.spend(id(1), began + MINUTE));
        assert!(spent.spend(id(3), began + MINUTE));
    }
}
