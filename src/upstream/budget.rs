//! How many retries an upstream may get: a share of its requests, so that a failing upstream is
//! not asked three times as often by those who wait for it.

use crate::clock;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Seconds that are looked back on.
const WINDOW_SECONDS: usize = 10;
/// Retries a second that are allowed whatever the share: where there is little traffic, a share of
/// it is no retry at all.
const FLOOR_PER_SECOND: u32 = 3;

/// Requests and retries of the last seconds. Locked for a few additions, and only for requests
/// that have a retry policy.
#[derive(Debug)]
pub(super) struct RetryBudget(Mutex<Window>);

#[derive(Debug)]
struct Window {
    began: Instant,
    /// Each with the second that it counts, from `began`.
    slots: [Slot; WINDOW_SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Window {
            began: clock::instant(),
            slots: [Slot::default(); WINDOW_SECONDS],
        }))
    }

    /// A request that may be retried has come.
    pub(super) fn deposit(&self) {
        self.with(|slot, _| slot.requests = slot.requests.saturating_add(1));
    }

    /// Takes one retry out of the budget, if `share` of the requests allows it.
    pub(super) fn withdraw(&self, share: f64) -> bool {
        self.with(|slot, (requests, retries)| {
            let floor = f64::from(FLOOR_PER_SECOND) * WINDOW_SECONDS as f64;
            let allowed = f64::from(retries) + 1.0 <= share.mul_add(f64::from(requests), floor);
            if allowed {
                slot.retries = slot.retries.saturating_add(1);
            }
            allowed
        })
    }

    /// Hands over the slot of this second, and requests and retries of all seconds.
    fn with<T>(&self, act: impl FnOnce(&mut Slot, (u32, u32)) -> T) -> T {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = clock::instant()
            .saturating_duration_since(window.began)
            .as_secs();
        let oldest = second.saturating_sub(WINDOW_SECONDS as u64 - 1);
        let sums = window
            .slots
            .iter()
            .filter(|slot| slot.second >= oldest)
            .fold((0_u32, 0_u32), |(requests, retries), slot| {
                (
                    requests.saturating_add(slot.requests),
                    retries.saturating_add(slot.retries),
                )
            });
        let place = usize::try_from(second % WINDOW_SECONDS as u64).unwrap_or(0);
        let mut spare = Slot::default();
        let slot = window.slots.get_mut(place).unwrap_or(&mut spare);
        if slot.second != second {
            *slot = Slot {
                second,
                ..Slot::default()
            };
        }
        act(slot, sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const FLOOR: usize = FLOOR_PER_SECOND as usize * WINDOW_SECONDS;

    fn allowed(budget: &RetryBudget, share: f64, asked: usize) -> usize {
        (0..asked).filter(|_| budget.withdraw(share)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn without_traffic_the_floor_is_all_there_is() {
        let budget = RetryBudget::new();

        assert_eq!(allowed(&budget, 0.2, FLOOR), FLOOR);
        assert!(!budget.withdraw(0.2));
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_share_of_requests_and_not_one_more() {
        let budget = RetryBudget::new();
        for _ in 0..1_000 {
            budget.deposit();
        }

        assert_eq!(allowed(&budget, 0.2, 10_000), FLOOR + 200);
        for _ in 0..4 {
            budget.deposit();
        }
        assert!(!budget.withdraw(0.2), "four fifths of a retry are none");
        budget.deposit();
        assert!(budget.withdraw(0.2));
        assert!(!budget.withdraw(0.2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_counts_no_more() {
        let budget = RetryBudget::new();
        for _ in 0..100 {
            budget.deposit();
        }
        assert_eq!(allowed(&budget, 1.0, 1_000), FLOOR + 100);

        tokio::time::advance(Duration::from_secs(WINDOW_SECONDS as u64 - 1)).await;
        assert!(!budget.withdraw(1.0), "the last second of the window");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(allowed(&budget, 1.0, 1_000), FLOOR);

        tokio::time::advance(Duration::from_secs(1_000_000)).await;
        assert_eq!(allowed(&budget, 0.0, 1_000), FLOOR);
    }
}
