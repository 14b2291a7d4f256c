//! What is remembered, up to a bound and for a time.
//!
//! At the bound the hand goes round as a clock's does: a place that was asked for since it last came
//! by is passed over once, the first other one is given away, and so is what has run out.

use crate::auth::keyed::{Digest, Front};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use tokio::time::Instant;

/// Values by digest.
pub(super) struct Table<V> {
    places: HashMap<Digest, usize, BuildHasherDefault<Front>>,
    slots: Vec<Slot<V>>,
    hand: usize,
    max: usize,
}

struct Slot<V> {
    key: Digest,
    value: V,
    /// From this moment on it is no answer any more.
    until: Instant,
    asked_for: bool,
}

impl<V> Table<V> {
    /// An empty one for at most `max` values, at least one.
    pub(super) fn new(max: usize) -> Self {
        Self {
            places: HashMap::default(),
            slots: Vec::new(),
            hand: 0,
            max: max.max(1),
        }
    }

    /// The value of a key, unless it has run out.
    pub(super) fn get(&mut self, key: &Digest, now: Instant) -> Option<&V> {
        let slot = self.slots.get_mut(*self.places.get(key)?)?;
        if slot.until <= now {
            return None;
        }
        slot.asked_for = true;
        Some(&slot.value)
    }

    /// Remembers a value. Says whether another one that had not run out was given up for it.
    pub(super) fn put(&mut self, key: Digest, value: V, until: Instant, now: Instant) -> bool {
        let new = Slot {
            key,
            value,
            until,
            asked_for: false,
        };
        if let Some(slot) = self.places.get(&key).and_then(|at| self.slots.get_mut(*at)) {
            *slot = new;
            return false;
        }
        if self.slots.len() < self.max {
            self.places.insert(key, self.slots.len());
            self.slots.push(new);
            return false;
        }
        let at = self.place_to_give(now);
        let Some(slot) = self.slots.get_mut(at) else {
            return false;
        };
        let was_good = slot.until > now;
        self.places.remove(&slot.key);
        self.places.insert(key, at);
        *slot = new;
        was_good
    }

    /// Ends within two rounds: the first one takes the marks away.
    fn place_to_give(&mut self, now: Instant) -> usize {
        for _ in 0..=self.slots.len() {
            let at = self.hand;
            self.hand = (at + 1) % self.slots.len().max(1);
            let Some(slot) = self.slots.get_mut(at) else {
                continue;
            };
            if !slot.asked_for || slot.until <= now {
                return at;
            }
            slot.asked_for = false;
        }
        self.hand
    }

    /// How many it holds, those that have run out included.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn key(n: u8) -> Digest {
        Digest::of_bytes([n; 32])
    }

    #[test]
    fn a_value_is_there_until_its_time_and_not_at_it() {
        let begin = crate::clock::instant();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut table = Table::new(2);

        table.put(key(1), "one", at(10), at(0));

        assert_eq!(table.get(&key(1), at(9)), Some(&"one"));
        assert_eq!(table.get(&key(1), at(10)), None);
        assert_eq!(table.get(&key(2), at(0)), None);
    }

    #[test]
    fn at_the_bound_what_nobody_asks_for_goes_and_what_has_run_out() {
        let begin = crate::clock::instant();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut table = Table::new(2);
        table.put(key(1), 1, at(100), at(0));
        table.put(key(2), 2, at(100), at(0));
        table.get(&key(1), at(1));

        assert!(table.put(key(3), 3, at(5), at(1)), "2 was still good");
        assert_eq!(table.get(&key(1), at(2)), Some(&1));
        assert_eq!(table.get(&key(2), at(2)), None);
        assert!(!table.put(key(4), 4, at(100), at(6)), "3 had run out");
        assert_eq!(table.get(&key(1), at(6)), Some(&1));
        assert_eq!(table.len(), 2);
    }

    proptest! {
        /// Against a map that forgets nothing: what the table tells is what the map would tell,
        /// nothing that ran out is told, and the bound holds.
        #[test]
        fn nothing_is_told_that_was_not_put_or_has_run_out(
            max in 1usize..6,
            steps in prop::collection::vec((0u8..12, any::<bool>(), 0u64..20, 0u64..3), 0..200),
        ) {
            let begin = crate::clock::instant();
            let mut now = begin;
            let mut table = Table::new(max);
            let mut model: HashMap<u8, (usize, Instant)> = HashMap::new();
            for (step, (name, is_put, ttl, pause)) in steps.into_iter().enumerate() {
                now += Duration::from_secs(pause);
                if is_put {
                    let until = now + Duration::from_secs(ttl);
                    let is_full = table.len() == max;
                    let evicts = table.put(key(name), step, until, now);
                    prop_assert!(!evicts || is_full, "gave one up with room left");
                    model.insert(name, (step, until));
                    let told = table.get(&key(name), now).copied();
                    prop_assert_eq!(told, (ttl > 0).then_some(step));
                } else if let Some(told) = table.get(&key(name), now) {
                    let (value, until) = model[&name];
                    prop_assert_eq!(*told, value);
                    prop_assert!(until > now);
                }
                prop_assert!(table.len() <= max);
                prop_assert_eq!(table.places.len(), table.len());
            }
        }
    }
}
