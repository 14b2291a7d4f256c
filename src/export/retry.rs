//! When a refused batch may be tried again, by the rules of OTLP 1.11 ("Failures", "Throttling").

use crate::clock;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::Instant;

/// Longest that a collector's own word is kept; a mistake there must not stop export for ever.
const COLLECTOR_DELAY_MAX: Duration = Duration::from_hours(1);

/// Exponential backoff with jitter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// The wait after the first failure, before jitter.
    pub(super) first: Duration,
    /// Where the doubling ends.
    pub(super) most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The wait after this many failures in a row, the first being 1: doubled each time, then
    /// between three quarters of it and the whole, so that many exporters do not come at once.
    pub(super) fn after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let wait = self.first.saturating_mul(1 << doublings).min(self.most);
        wait.mul_f64(fastrand::f64().mul_add(0.25, 0.75))
    }
}

/// Until when nothing is sent. All lanes of an exporter share it: a collector that asks for rest
/// gets it from all of them.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// Nothing is sent for `wait` from now, or for longer if so much was asked for before.
    pub(super) fn hold(&self, wait: Duration) {
        let until = clock::instant() + wait.min(COLLECTOR_DELAY_MAX);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(held.map_or(until, |earlier| earlier.max(until)));
    }

    /// Waits until the pause is over, also if it is prolonged meanwhile.
    pub(super) async fn over(&self) {
        while let Some(until) = self.until() {
            tokio::time::sleep_until(until).await;
        }
    }

    /// The end of the pause, if that is still to come.
    fn until(&self) -> Option<Instant> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.filter(|until| *until > clock::instant())
    }
}

/// The wait that a `Retry-After` asks for: seconds or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than 64 bits hold still mean "very long".
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let now = UNIX_EPOCH + Duration::from_nanos(clock::wall().as_unix_nanos());
    // A date that has passed asks for no wait at all.
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(value: &str, expected: Option<Duration>) {
        assert_eq!(retry_after(value), expected, "{value:?}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_everything_else_is_nothing() {
        check("0", Some(Duration::ZERO));
        check("120", Some(Duration::from_mins(2)));
        check(" 5 ", Some(Duration::from_secs(5)));
        check(
            "99999999999999999999999",
            Some(Duration::from_secs(u64::MAX)),
        );
        check("Wed, 21 Oct 2015 07:28:00 GMT", Some(Duration::ZERO));
        check("", None);
        check("-1", None);
        check("+1", None);
        check("1.5", None);
        check("soon", None);
    }

    #[test]
    fn a_date_to_come_is_waited_for() {
        let now = UNIX_EPOCH + Duration::from_nanos(clock::wall().as_unix_nanos());
        let date = httpdate::fmt_http_date(now + Duration::from_secs(90));

        let wait = retry_after(&date).unwrap();

        assert!(
            wait > Duration::from_secs(85) && wait <= Duration::from_secs(90),
            "{wait:?}"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_no_number_and_no_date_asks_for_nothing(value in "[^0-9]{0,40}") {
            prop_assert_eq!(retry_after(&value), None);
        }

        #[test]
        fn no_value_panics(value in "[0-9A-Za-z:, -]{0,40}") {
            let wait = retry_after(&value);

            prop_assert!(wait.is_none_or(|wait| wait <= Duration::MAX));
        }

        #[test]
        fn the_backoff_grows_to_its_end_and_stays_within_its_jitter(failures in any::<u32>()) {
            let backoff = Backoff::default();

            let wait = backoff.after(failures);

            let whole = Duration::from_secs(1 << failures.saturating_sub(1).min(10))
                .min(backoff.most);
            prop_assert!(wait <= whole && wait >= whole.mul_f64(0.75), "{:?}", wait);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_longer_pause_is_not_cut_short_by_a_shorter_one() {
        let pause = Pause::default();
        let start = clock::instant();

        pause.hold(Duration::from_secs(10));
        pause.hold(Duration::from_secs(1));
        pause.over().await;

        assert!(start.elapsed() >= Duration::from_secs(10));
        assert!(start.elapsed() < Duration::from_secs(11));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_centuries_ends_within_the_hour() {
        let pause = Pause::default();
        let start = clock::instant();

        pause.hold(Duration::from_secs(u64::MAX));
        pause.over().await;

        assert!(start.elapsed() <= COLLECTOR_DELAY_MAX + Duration::from_secs(1));
    }
}
