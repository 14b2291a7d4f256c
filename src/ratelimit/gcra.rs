//! GCRA, the generic cell rate algorithm: whether a request fits a rate with a burst, from one
//! number a key.
//!
//! That number is the theoretical arrival time (TAT): when the key would be at rest again. No
//! window begins or ends, so nobody gets two bursts by waiting for its edge.

use std::time::Duration;

/// How much is allowed: a rate, and how much of it may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Nanoseconds that one request uses up.
    interval: u64,
    burst: u32,
}

/// What a limit says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it fits.
    pub admitted: bool,
    /// How many more would fit right now.
    pub remaining: u32,
    /// After what time one more fits; zero if one does now.
    pub retry_after: Duration,
    /// After what time the whole burst is there again.
    pub reset: Duration,
}

impl Quota {
    /// `count` requests in each `period`, at most `burst` of them at once. Zeros count as one.
    ///
    /// A request's share of the period is rounded up to whole nanoseconds, so that never more
    /// than the rate is let through.
    pub fn new(count: u32, period: Duration, burst: u32) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Self {
            interval: period.div_ceil(count.max(1).into()).max(1),
            burst: burst.max(1),
        }
    }

    /// The most that fits at once.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How long an unused burst takes to be there again.
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.window_nanos())
    }

    /// What one request uses up.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    const fn window_nanos(&self) -> u64 {
        self.interval.saturating_mul(self.burst as u64)
    }

    /// Whether a request fits at `now`, and the TAT that is to be kept: the same one if it does
    /// not. Both are nanoseconds of one clock.
    pub fn charge(&self, tat: u64, now: u64) -> (Verdict, u64) {
        let window = self.window_nanos();
        // A TAT further off comes from another quota (a reload); nobody owes more than a window.
        let tat = tat.clamp(now, now.saturating_add(window));
        let next = tat.saturating_add(self.interval);
        let owed = next - now;
        if owed > window {
            return (self.verdict(false, tat - now, owed - window), tat);
        }
        // The next one fits once what is owed leaves room for it.
        let retry_after = owed.saturating_add(self.interval).saturating_sub(window);
        (self.verdict(true, owed, retry_after), next)
    }

    /// The TAT without the request that was charged last.
    pub const fn refund(&self, tat: u64) -> u64 {
        tat.saturating_sub(self.interval)
    }

    fn verdict(&self, admitted: bool, owed: u64, retry_after: u64) -> Verdict {
        let free = self.window_nanos().saturating_sub(owed);
        Verdict {
            admitted,
            remaining: u32::try_from(free / self.interval).unwrap_or(u32::MAX),
            retry_after: Duration::from_nanos(retry_after),
            reset: Duration::from_nanos(owed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_one_more_does_not_and_the_rate_goes_on() {
        let quota = Quota::new(10, Duration::from_secs(1), 3);
        let mut tat = 0;
        let mut ask = |now| {
            let (verdict, next) = quota.charge(tat, now);
            tat = next;
            verdict
        };

        let first: Vec<_> = (0..3).map(|_| ask(5 * SECOND)).collect();
        let over = ask(5 * SECOND);
        let early = ask(5 * SECOND + 99_999_999);
        let due = ask(5 * SECOND + 100_000_000);

        let remaining: Vec<_> = first.iter().map(|one| one.remaining).collect();
        assert!(first.iter().all(|one| one.admitted));
        assert_eq!(remaining, [2, 1, 0]);
        assert!(!over.admitted && !early.admitted && due.admitted);
        assert_eq!(over.retry_after, Duration::from_millis(100));
        assert_eq!(over.reset, Duration::from_millis(300));
        assert_eq!(early.retry_after, Duration::from_nanos(1));
    }

    #[test]
    fn a_refund_is_as_if_nothing_had_been_asked() {
        let quota = Quota::new(1, Duration::from_secs(1), 2);
        let (_, one) = quota.charge(0, SECOND);
        let (_, two) = quota.charge(one, SECOND);

        let back = quota.refund(two);

        assert_eq!(back, one);
        assert!(quota.charge(back, SECOND).0.admitted);
    }

    #[test]
    fn what_another_quota_left_behind_locks_nobody_out_for_longer_than_a_window() {
        let quota = Quota::new(1, Duration::from_secs(1), 2);

        let (verdict, _) = quota.charge(u64::MAX, SECOND);

        assert!(!verdict.admitted);
        assert_eq!(verdict.retry_after, Duration::from_secs(1));
        assert_eq!(verdict.reset, Duration::from_secs(2));
    }

    /// A bucket of `burst` tokens, filled with `count` tokens in each period, in exact fractions:
    /// a token is `period` parts, and each nanosecond brings `count` of them.
    struct Oracle {
        parts: u128,
        full: u128,
        token: u128,
        count: u128,
        at: u64,
    }

    impl Oracle {
        fn admits(&mut self, now: u64) -> bool {
            self.parts = (self.parts + u128::from(now - self.at) * self.count).min(self.full);
            self.at = now;
            let admits = self.parts >= self.token;
            if admits {
                self.parts -= self.token;
            }
            admits
        }
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_in_any_stretch_of_time(
            count in 1_u32..1_000_000,
            seconds in 1_u64..4_000,
            burst in 1_u32..200,
            steps in proptest::collection::vec((0_u64..3, 0_u64..2_000), 1..300),
        ) {
            let quota = Quota::new(count, Duration::from_secs(seconds), burst);
            let interval = quota.interval;
            let (mut tat, mut now) = (0, SECOND);
            let mut admitted = Vec::new();
            for (intervals, thousandths) in steps {
                now += interval * intervals + interval / 1_000 * thousandths;
                let (verdict, next) = quota.charge(tat, now);
                tat = next;
                prop_assert_eq!(verdict.retry_after.is_zero(), verdict.remaining > 0);
                if verdict.admitted {
                    admitted.push(now);
                }
            }
            for (index, from) in admitted.iter().enumerate() {
                for (more, to) in admitted[index..].iter().enumerate() {
                    let period = u128::from(seconds) * u128::from(SECOND);
                    let by_rate = u128::from(to - from) * u128::from(count) / period;
                    prop_assert!((more as u128) < u128::from(burst) + by_rate);
                }
            }
        }

        #[test]
        fn it_decides_as_a_bucket_of_tokens_does(
            millis in 1_u64..5_000,
            burst in 1_u32..50,
            steps in proptest::collection::vec(0_u64..20_000_000_000, 1..200),
        ) {
            // An interval of whole nanoseconds, so that nothing is rounded.
            let quota = Quota::new(1, Duration::from_millis(millis), burst);
            let token = u128::from(millis) * 1_000_000;
            let full = token * u128::from(burst);
            let mut oracle = Oracle { parts: full, full, token, count: 1, at: SECOND };
            let (mut tat, mut now) = (0, SECOND);
            for step in steps {
                now += step % (3 * millis * 1_000_000);
                let (verdict, next) = quota.charge(tat, now);
                tat = next;
                prop_assert_eq!(verdict.admitted, oracle.admits(now));
                prop_assert_eq!(u128::from(verdict.remaining), oracle.parts / oracle.token);
            }
        }
    }
}
