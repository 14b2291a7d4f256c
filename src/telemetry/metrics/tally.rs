//! One number for each variant of an enum.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number for each of `N` variants. A variant is told by its place, `Outcome::Ok as usize`;
/// a place that is none counts for nothing.
#[derive(Debug)]
pub(super) struct Tally<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Tally<N> {
    /// One more of this variant.
    pub(super) fn count(&self, variant: usize) {
        self.add(variant, 1);
    }

    /// As many more of this variant.
    pub(super) fn add(&self, variant: usize, more: u64) {
        if let Some(count) = self.0.get(variant) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// How many of this variant so far.
    pub(super) fn of(&self, variant: usize) -> u64 {
        let count = self.0.get(variant);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Whether there was none of any variant so far.
    pub(super) fn is_empty(&self) -> bool {
        (0..N).all(|variant| self.of(variant) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_has_a_number_of_its_own_and_what_is_none_has_none() {
        let tally = Tally::<2>::default();
        assert!(tally.is_empty());

        tally.add(2, 7);
        assert!(tally.is_empty());
        tally.count(1);
        tally.add(1, 3);

        assert_eq!([tally.of(0), tally.of(1), tally.of(2)], [0, 4, 0]);
        assert!(!tally.is_empty());
    }
}
