//! When a name is asked for again.

use super::lookup::{LookupError, Lookups, Question};
use super::memory::Memory;
use super::{DnsSettings, Target};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// First wait after a failure, unless the shortest refresh is shorter still.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest wait after failures, unless the longest refresh is shorter still.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Who hears of answers.
pub(in crate::upstream) trait Listen: Send + Sync + 'static {
    /// What became of a question. False: nobody is interested any more.
    fn answered(&self, answer: Result<Vec<Target>, LookupError>) -> bool;
}

/// Asks until `over`, or until nobody listens.
pub(in crate::upstream) fn spawn(
    lookups: Arc<Lookups>,
    question: Question,
    listener: impl Listen,
    over: CancellationToken,
) {
    tokio::spawn(async move {
        let asking = ask_forever(&lookups, &question, &listener);
        tokio::select! {
            () = asking => {}
            () = over.cancelled() => {}
        }
    });
}

async fn ask_forever(lookups: &Lookups, question: &Question, listener: &impl Listen) {
    let settings = lookups.settings();
    let mut failures = 0;
    let mut memory = Memory::default();
    loop {
        let wait;
        let answer = match lookups.ask(question, &mut memory).await {
            Ok(found) if found.missing.is_none() => {
                failures = 0;
                wait = after_answer(found.ttl, settings, fastrand::f64());
                Ok(found.targets)
            }
            Ok(found) => {
                wait = after_failure(failures, settings, fastrand::f64());
                failures = failures.saturating_add(1);
                let (name, error) = (question.name(), found.missing.as_ref());
                let error = error.map(|error| error as &dyn std::error::Error);
                debug!(name = &**name, error, "name servers leave something out");
                Ok(found.targets)
            }
            Err(error) => {
                wait = after_failure(failures, settings, fastrand::f64());
                failures = failures.saturating_add(1);
                Err(error)
            }
        };
        if !listener.answered(answer) {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// The TTL within its bounds, and up to a tenth more: replicas that began together shall not ask
/// together for ever.
fn after_answer(ttl: Duration, settings: &DnsSettings, random: f64) -> Duration {
    let most = settings.refresh_max.max(settings.refresh_min);
    ttl.clamp(settings.refresh_min, most)
        .mul_f64(1.0 + random / 10.0)
}

/// Twice as long after each failure, up to a bound, and up to half of it less.
fn after_failure(failures: u32, settings: &DnsSettings, random: f64) -> Duration {
    let first = RETRY_FIRST.min(settings.refresh_min);
    let most = RETRY_MAX.min(settings.refresh_max).max(first);
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures));
    doubled.min(most).mul_f64(1.0 - random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> DnsSettings {
        DnsSettings {
            refresh_min: Duration::from_secs(5),
            refresh_max: Duration::from_secs(60),
            ..DnsSettings::default()
        }
    }

    #[track_caller]
    fn check(ttl: u64, expected: u64) {
        let wait = after_answer(Duration::from_secs(ttl), &settings(), 0.0);
        assert_eq!(wait, Duration::from_secs(expected));
    }

    #[test]
    fn a_ttl_counts_within_its_bounds() {
        check(0, 5);
        check(4, 5);
        check(5, 5);
        check(30, 30);
        check(60, 60);
        check(61, 60);
        let late = after_answer(Duration::from_secs(30), &settings(), 1.0);
        assert_eq!(late, Duration::from_secs(33));
    }

    #[test]
    fn failures_are_waited_out_longer_and_longer() {
        let wait = |failures, random| after_failure(failures, &settings(), random).as_millis();

        assert_eq!(
            [0, 1, 2].map(|count| wait(count, 0.0)),
            [1_000, 2_000, 4_000]
        );
        assert_eq!(wait(u32::MAX, 0.0), 30_000);
        assert_eq!(wait(1, 1.0), 1_000);
    }
}
