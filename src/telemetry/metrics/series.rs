//! The series of one family: a table that only grows, up to a bound.
//!
//! A request finds its series without a lock and without an allocation. Slots are filled once
//! and never emptied, so that a probe sees the same prefix on every thread. At the bound all new
//! label sets share one overflow series, as OpenTelemetry's cardinality limit has it.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Label sets of one family, each with its numbers.
pub(super) struct SeriesTable<T> {
    /// Twice as many as there may be series, so that probes stay short; a power of two.
    slots: Box<[OnceLock<Box<T>>]>,
    taken: AtomicUsize,
    series_max: usize,
}

impl<T> SeriesTable<T> {
    /// Room for `series_max` series.
    pub(super) fn new(series_max: usize) -> Self {
        let slots = (series_max * 2).next_power_of_two();
        Self {
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            taken: AtomicUsize::new(0),
            series_max,
        }
    }

    /// The series that `is` recognises, made by `make` if it is new. None: it is new and the
    /// table is full. `hash` is the same for the same labels.
    pub(super) fn find_or_insert(
        &self,
        hash: u64,
        is: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Option<&T> {
        let mut empty = None;
        for slot in self.probe(hash) {
            match slot.get() {
                Some(series) if is(series) => return Some(series),
                Some(_) => {}
                None => {
                    empty = Some(slot);
                    break;
                }
            }
        }
        empty?;
        if !self.take_place() {
            return None;
        }
        let mut made = Box::new(make());
        // From the start again: others may have filled slots since, perhaps with this very series.
        for slot in self.probe(hash) {
            match slot.set(made) {
                Ok(()) => return slot.get().map(|series| &**series),
                Err(back) => made = back,
            }
            if let Some(series) = slot.get()
                && is(series)
            {
                self.taken.fetch_sub(1, Ordering::Relaxed);
                return Some(series);
            }
        }
        None
    }

    /// All series, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots
            .iter()
            .filter_map(|slot| slot.get().map(|series| &**series))
    }

    /// Every slot once, in the order in which this hash looks for its place.
    fn probe(&self, hash: u64) -> impl Iterator<Item = &OnceLock<Box<T>>> {
        let mask = self.slots.len() - 1;
        let start = usize::try_from(hash & mask as u64).unwrap_or(0);
        let (before, from) = self.slots.split_at_checked(start).unwrap_or_default();
        from.iter().chain(before)
    }

    /// Counts one more series, unless the table is full.
    fn take_place(&self) -> bool {
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < self.series_max).then_some(taken + 1)
            })
            .is_ok()
    }
}

impl<T> SeriesTable<Arc<T>> {
    /// The numbers of a name, which `is` recognises, made by `make` if they are new; at the bound
    /// some that nobody sees.
    pub(super) fn named(
        &self,
        name: &str,
        is: impl Fn(&T) -> bool,
        make: impl Fn() -> Arc<T>,
    ) -> Arc<T> {
        let found = self.find_or_insert(hash_labels(name), |held| is(held), &make);
        found.map_or_else(make, Arc::clone)
    }
}

/// Hash of a label set. Labels come from the configuration and from short closed lists, not from
/// clients, so that speed counts and flooding does not.
pub(super) fn hash_labels(labels: impl Hash) -> u64 {
    let mut hasher = LabelHasher(0);
    labels.hash(&mut hasher);
    // The multiplication carries upwards only, and the table takes the low bits.
    hasher.0 ^ (hasher.0 >> 32)
}

/// Eight bytes a step: rotate, mix in, multiply.
struct LabelHasher(u64);

impl LabelHasher {
    const fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for LabelHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let tail = rest
                .iter()
                .fold(1, |tail, byte| tail << 8 | u64::from(*byte));
            self.mix(tail);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicU64;

    fn find<'t>(table: &'t SeriesTable<String>, name: &str) -> Option<&'t String> {
        table.find_or_insert(hash_labels(name), |held| held == name, || name.to_owned())
    }

    #[test]
    fn the_same_labels_are_the_same_series() {
        let table = SeriesTable::new(100);

        let first = find(&table, "a").unwrap();
        for index in 0..50 {
            find(&table, &index.to_string()).unwrap();
        }

        assert!(std::ptr::eq(first, find(&table, "a").unwrap()));
        assert_eq!(table.iter().count(), 51);
    }

    #[test]
    fn a_full_table_refuses_new_series_and_keeps_the_old_ones() {
        let table = SeriesTable::new(3);
        for name in ["a", "b", "c"] {
            find(&table, name).unwrap();
        }

        assert_eq!(find(&table, "d"), None);
        assert_eq!(find(&table, "b").map(String::as_str), Some("b"));
        assert_eq!(table.iter().count(), 3);
    }

    #[test]
    fn series_whose_hashes_collide_stay_apart() {
        let table = SeriesTable::new(8);

        for name in ["a", "b", "c", "d"] {
            table.find_or_insert(u64::MAX, |held: &String| held == name, || name.to_owned());
        }

        assert_eq!(table.iter().count(), 4);
    }

    #[test]
    fn threads_that_meet_a_new_series_at_once_share_it() {
        // Twice the room: a thread that loses the race holds a second place for a moment.
        let table = SeriesTable::new(128);
        let barrier = Barrier::new(4);

        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    for round in 0..2_000_u64 {
                        let name = round % 64;
                        let series = table.find_or_insert(
                            hash_labels(name.to_string()),
                            |held: &(u64, AtomicU64)| held.0 == name,
                            || (name, AtomicU64::new(0)),
                        );
                        series.unwrap().1.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });

        assert_eq!(table.iter().count(), 64);
        let counted: u64 = table
            .iter()
            .map(|held| held.1.load(Ordering::Relaxed))
            .sum();
        assert_eq!(counted, 8_000);
    }
}
