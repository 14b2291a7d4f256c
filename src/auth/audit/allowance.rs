//! How many events of a kind are told in a second: somebody who asks again and again fills neither
//! the log nor the webhook's queue, and what was left out is known by its number.

use crate::clock::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events that are told in a second.
pub(super) const A_SECOND_MAX: u64 = 100;
/// Bits of the count; those above have the second.
const COUNT_BITS: u32 = 16;

/// A second, and what was told in it.
#[derive(Debug, Default)]
pub(super) struct Allowance(AtomicU64);

impl Allowance {
    /// Whether one more may be told now.
    pub(super) fn admits(&self, now: Timestamp) -> bool {
        let second = now.as_unix_nanos() / 1_000_000_000;
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                let count = held & ((1 << COUNT_BITS) - 1);
                if held >> COUNT_BITS != second {
                    Some((second << COUNT_BITS) | 1)
                } else if count < A_SECOND_MAX {
                    Some(held + 1)
                } else {
                    None
                }
            });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_told_in_a_second_and_no_more_until_the_next() {
        let allowance = Allowance::default();
        let at = |nanos: u64| Timestamp::from_unix_nanos(1_700_000_000_000_000_000 + nanos);

        for number in 1..=A_SECOND_MAX + 1 {
            let admitted = allowance.admits(at(number));
            assert_eq!(admitted, number <= A_SECOND_MAX, "{number}");
        }
        assert!(!allowance.admits(at(999_999_999)));
        assert!(allowance.admits(at(1_000_000_000)));
    }
}
