//! Which spans of a trace are in a set, by their numbers: a bit for each.

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// The set. Few traces have more than 64 spans, so the first word needs no memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    first: u64,
    /// As many words as it has members beyond the first; none if there are none.
    more: Vec<u64>,
}

impl Set {
    /// Adds a number; false if it was in already.
    #[inline]
    pub(super) fn insert(&mut self, number: usize) -> bool {
        let word = if number < BITS {
            &mut self.first
        } else {
            let at = number / BITS - 1;
            if self.more.len() <= at {
                self.more.resize(at + 1, 0);
            }
            let Some(word) = self.more.get_mut(at) else {
                return false;
            };
            word
        };
        let bit = 1 << (number % BITS);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Whether a number is in it.
    #[inline]
    pub(super) fn has(&self, number: usize) -> bool {
        let word = if number < BITS {
            self.first
        } else {
            self.more.get(number / BITS - 1).copied().unwrap_or(0)
        };
        word >> (number % BITS) & 1 == 1
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.first == 0 && self.more.iter().all(|word| *word == 0)
    }

    /// What is in both.
    pub(super) fn both(mut self, other: &Self) -> Self {
        self.first &= other.first;
        self.more.truncate(other.more.len());
        for (one, other) in self.more.iter_mut().zip(&other.more) {
            *one &= *other;
        }
        self
    }

    /// What is in one or in both.
    pub(super) fn either(mut self, other: &Self) -> Self {
        self.first |= other.first;
        if self.more.len() < other.more.len() {
            self.more.resize(other.more.len(), 0);
        }
        for (one, other) in self.more.iter_mut().zip(&other.more) {
            *one |= *other;
        }
        self
    }

    /// What is in this one and not in the other.
    pub(super) fn without(mut self, other: &Self) -> Self {
        self.first &= !other.first;
        for (one, other) in self.more.iter_mut().zip(&other.more) {
            *one &= !*other;
        }
        self
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<T: IntoIterator<Item = usize>>(numbers: T) -> Self {
        let mut set = Self::default();
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::hash_set;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn told(set: &Set) -> HashSet<usize> {
        (0..400).filter(|number| set.has(*number)).collect()
    }

    proptest! {
        #[test]
        fn sets_of_bits_are_sets(
            left in hash_set(0_usize..300, 0..40), right in hash_set(0_usize..300, 0..40)
        ) {
            let (one, other): (Set, Set) =
                (left.iter().copied().collect(), right.iter().copied().collect());
            let both: HashSet<usize> = left.intersection(&right).copied().collect();
            let either: HashSet<usize> = left.union(&right).copied().collect();
            let without: HashSet<usize> = left.difference(&right).copied().collect();

            prop_assert_eq!(told(&one), left.clone());
            prop_assert_eq!(one.is_empty(), left.is_empty());
            prop_assert_eq!(told(&one.clone().both(&other)), both.clone());
            prop_assert_eq!(one.clone().both(&other).is_empty(), both.is_empty());
            prop_assert_eq!(told(&one.clone().either(&other)), either);
            prop_assert_eq!(told(&one.clone().without(&other)), without);
            for number in 0..300 {
                prop_assert_eq!(one.clone().insert(number), !left.contains(&number));
            }
        }
    }
}
