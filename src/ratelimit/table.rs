//! What a local limit remembers: one number a key, in a table that never grows.
//!
//! Sets of sixteen places, each set under a lock of its own that is held for a few dozen
//! nanoseconds. A key of a full set takes the place of the one that is nearest to rest: mostly one
//! that is at rest, of which nothing is lost. Whoever is being held back owes most and is forgotten
//! last, so a flood of new keys cannot wash away what a limit knows of the worst.

use super::gcra::{Quota, Verdict};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Places of a set. All of them are looked at for each request: four cache lines.
const WAYS: usize = 16;

/// A key, hashed with a secret that the process made up, so that no client can choose its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyHash(u64);

impl KeyHash {
    pub(super) const fn new(hash: u64) -> Self {
        // Zero marks a place that is free.
        Self(if hash == 0 { 1 } else { hash })
    }
}

#[derive(Clone, Copy, Default)]
struct Place {
    key: u64,
    tat: u64,
}

/// What is remembered of the keys of one limit.
pub(super) struct Table {
    sets: Box<[Mutex<[Place; WAYS]>]>,
    began: Instant,
}

/// What charging came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    pub(super) verdict: Verdict,
    /// Whether another key that owed something was forgotten for this one.
    pub(super) forgot: bool,
}

impl Table {
    /// Room for at least `keys`; times are counted from `now`.
    pub(super) fn new(keys: usize, now: Instant) -> Self {
        let sets = keys.div_ceil(WAYS).max(1).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            began: now,
        }
    }

    /// Takes one request from the key's bucket, if there is room.
    pub(super) fn charge(&self, key: KeyHash, quota: &Quota, now: Instant) -> Charged {
        let now = self.nanos(now);
        let mut set = self.set(key);
        let mut quietest = None;
        for place in set.iter_mut() {
            if place.key == key.0 {
                let (verdict, tat) = quota.charge(place.tat, now);
                // One that began earlier and comes later takes back nothing that is owed.
                place.tat = place.tat.max(tat);
                return Charged {
                    verdict,
                    forgot: false,
                };
            }
            match &quietest {
                Some(Place { tat, .. }) if *tat <= place.tat => {}
                _ => quietest = Some(*place),
            }
        }
        let (verdict, tat) = quota.charge(0, now);
        let leaves = quietest.unwrap_or_default();
        let place = set
            .iter_mut()
            .find(|place| place.key == leaves.key && place.tat == leaves.tat);
        if let Some(place) = place {
            *place = Place { key: key.0, tat };
        }
        Charged {
            verdict,
            forgot: leaves.tat > now,
        }
    }

    /// Gives back what was charged last: the request was refused by another limit.
    pub(super) fn refund(&self, key: KeyHash, quota: &Quota) {
        if let Some(place) = self.set(key).iter_mut().find(|place| place.key == key.0) {
            place.tat = quota.refund(place.tat);
        }
    }

    fn set(&self, key: KeyHash) -> MutexGuard<'_, [Place; WAYS]> {
        // The index is masked and always there; what is not could only be shared by everybody.
        static EMPTY: Mutex<[Place; WAYS]> = Mutex::new([Place { key: 0, tat: 0 }; WAYS]);
        // The upper half chooses the set, the whole hash the key.
        let index = usize::try_from(key.0 >> 32).unwrap_or(0) & (self.sets.len() - 1);
        let set = self.sets.get(index).unwrap_or(&EMPTY);
        set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since one second before the table was made, so that nothing is ever due at zero.
    fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began) + Duration::from_secs(1);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// One set, so that the bound is met exactly.
    fn table() -> (Table, Instant) {
        let now = clock::instant();
        (Table::new(WAYS, now), now)
    }

    fn quota() -> Quota {
        Quota::new(1, Duration::from_secs(60), 3)
    }

    fn key(number: u64) -> KeyHash {
        KeyHash::new(number + 1)
    }

    #[test]
    fn each_key_has_its_own_burst() {
        let (table, now) = table();
        let admitted = |number| {
            let asked = (0..4).map(|_| table.charge(key(number), &quota(), now).verdict.admitted);
            asked.filter(|admitted| *admitted).count()
        };

        assert_eq!([admitted(0), admitted(1), admitted(0)], [3, 3, 0]);
    }

    #[test]
    fn as_many_keys_as_there_are_places_are_all_remembered() {
        for keys in [WAYS as u64 - 1, WAYS as u64] {
            let (table, now) = table();
            for number in 0..keys {
                assert!(!table.charge(key(number), &quota(), now).forgot);
            }

            let second: Vec<_> = (0..keys)
                .map(|number| table.charge(key(number), &quota(), now).verdict.remaining)
                .collect();

            assert!(second.iter().all(|remaining| *remaining == 1), "{second:?}");
        }
    }

    #[test]
    fn one_key_too_many_takes_the_place_of_the_one_that_owes_least() {
        let (table, now) = table();
        for number in 0..WAYS as u64 {
            let times = if number == 5 { 1 } else { 3 };
            for _ in 0..times {
                table.charge(key(number), &quota(), now);
            }
        }

        let newcomer = table.charge(key(99), &quota(), now);

        assert!(newcomer.forgot && newcomer.verdict.admitted);
        let held_back = (0..WAYS as u64)
            .filter(|number| *number != 5)
            .all(|number| !table.charge(key(number), &quota(), now).verdict.admitted);
        assert!(held_back, "those who owe most are remembered");
    }

    #[test]
    fn a_key_at_rest_is_forgotten_without_loss() {
        let (table, now) = table();
        for number in 0..WAYS as u64 {
            table.charge(key(number), &quota(), now);
        }

        let later = now + Duration::from_secs(61);

        assert!(!table.charge(key(99), &quota(), later).forgot);
    }

    #[test]
    fn a_request_that_began_earlier_and_comes_later_takes_back_nothing_that_is_owed() {
        let (table, now) = table();
        let admitted = |seconds| {
            let at = now + Duration::from_secs(seconds);
            table.charge(key(0), &quota(), at).verdict.admitted
        };
        assert!([90, 90, 90].into_iter().all(admitted));

        assert!(!admitted(0));

        assert!(!admitted(90) && !admitted(149) && admitted(150));
    }

    #[test]
    fn a_refund_makes_room_again() {
        let (table, now) = table();
        for _ in 0..3 {
            table.charge(key(0), &quota(), now);
        }

        table.refund(key(0), &quota());

        assert!(table.charge(key(0), &quota(), now).verdict.admitted);
        assert!(!table.charge(key(0), &quota(), now).verdict.admitted);
    }

    #[test]
    fn threads_share_one_bucket_and_never_get_more_than_it_holds() {
        let (table, now) = table();
        let quota = Quota::new(1, Duration::from_secs(3_600), 100);

        let admitted: usize = std::thread::scope(|scope| {
            let counts: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let ask = |_: &i32| table.charge(key(0), &quota, now).verdict.admitted;
                        (0..100).filter(ask).count()
                    })
                })
                .collect();
            counts.into_iter().map(|count| count.join().unwrap()).sum()
        });

        assert_eq!(admitted, 100);
    }
}
