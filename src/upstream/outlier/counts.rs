//! What outlier detection counts for one endpoint. A good attempt costs one or two atomics.

use super::settings::OutlierSettings;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// One endpoint's counts.
#[derive(Debug, Default)]
pub(in crate::upstream) struct OutlierCounts {
    /// 5xx answers and attempts without an answer, in a row.
    errors: AtomicU32,
    /// Attempts without an answer, in a row.
    failures: AtomicU32,
    /// Attempts of this window in the high half, good ones in the low half.
    window: AtomicU64,
    sentence: Mutex<Sentence>,
}

/// Ejections so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sentence {
    /// How many times the next one is as long as the first; falls while it behaves.
    pub(super) times: u32,
    pub(super) until: Option<Instant>,
    /// Since when it behaves: from the end of the last ejection, or of the last one forgiven.
    pub(super) behaves_since: Option<Instant>,
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// An answer that is no 5xx.
    Well,
    /// A 5xx.
    Badly,
    /// No answer.
    Nowhere,
}

/// Why an endpoint is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlying {
    Errors(u32),
    Failures(u32),
}

const ONE_ATTEMPT: u64 = 1 << 32;

impl OutlierCounts {
    /// Counts an attempt. Why the endpoint is an outlier from this one on, if it is.
    pub(super) fn count(&self, settings: &OutlierSettings, went: Went) -> Option<Outlying> {
        if settings.success_rate.is_some() {
            let good = u64::from(went == Went::Well);
            self.window.fetch_add(ONE_ATTEMPT + good, Ordering::Relaxed);
        }
        // A load before each store: where all goes well, no cache line is written.
        if went != Went::Nowhere && self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if went == Went::Well {
            if self.errors.load(Ordering::Relaxed) > 0 {
                self.errors.store(0, Ordering::Relaxed);
            }
            return None;
        }
        let errors = self.errors.fetch_add(1, Ordering::Relaxed) + 1;
        if went == Went::Nowhere {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if settings
                .consecutive_failures
                .is_some_and(|max| failures >= max)
            {
                return Some(Outlying::Failures(failures));
            }
        }
        let over = settings.consecutive_errors.is_some_and(|max| errors >= max);
        over.then_some(Outlying::Errors(errors))
    }

    /// Attempts and good ones since this was asked last.
    pub(super) fn take_window(&self) -> (u32, u32) {
        let window = self.window.swap(0, Ordering::Relaxed);
        let attempts = u32::try_from(window >> 32).unwrap_or(u32::MAX);
        let good = u32::try_from(window & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        (attempts, good)
    }

    /// Forgets what was in a row: what comes after an ejection counts anew.
    pub(super) fn begin_again(&self) {
        self.errors.store(0, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
    }

    pub(super) fn sentence(&self) -> MutexGuard<'_, Sentence> {
        // Nothing under the lock can panic half-way.
        self.sentence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: OutlierSettings = OutlierSettings {
        consecutive_errors: Some(3),
        consecutive_failures: Some(2),
        success_rate: None,
        ejection: std::time::Duration::from_secs(30),
        ejection_max: std::time::Duration::from_secs(300),
        ejected_share_max: 0.5,
    };

    /// `+` well, `5` a 5xx, `x` no answer; `!` where it is an outlier from then on.
    #[track_caller]
    fn check(attempts: &str, expected: &str) {
        let counts = OutlierCounts::default();
        let seen: String = attempts
            .chars()
            .map(|attempt| {
                let went = match attempt {
                    '+' => Went::Well,
                    '5' => Went::Badly,
                    _ => Went::Nowhere,
                };
                match counts.count(&SETTINGS, went) {
                    None => '.',
                    Some(_) => '!',
                }
            })
            .collect();
        assert_eq!(seen, expected, "{attempts}");
    }

    #[test]
    fn errors_in_a_row_eject_at_the_bound_and_not_before() {
        check("55", "..");
        check("555", "..!");
        check("55+55+555", "........!");
    }

    #[test]
    fn attempts_without_an_answer_count_both_ways() {
        check("x", ".");
        check("xx", ".!");
        check("x5x", "..!");
        check("x+x", "...");
    }

    #[test]
    fn a_window_is_counted_once() {
        let counts = OutlierCounts::default();
        let settings = OutlierSettings::default();
        for went in [Went::Well, Went::Well, Went::Badly, Went::Nowhere] {
            counts.count(&settings, went);
        }
        assert_eq!(counts.take_window(), (4, 2));
        assert_eq!(counts.take_window(), (0, 0));
    }
}
