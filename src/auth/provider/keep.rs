//! Who keeps what is known of a provider fresh: ahead of time while it is there, and again and
//! again while it is not. What is known already stays meanwhile.

use super::ProviderError;
use super::desk::Desk;
use super::document::{Document, Need};
use super::settings::KeySource;
use crate::clock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

/// First pause after a failure; doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause while nothing is known: nobody passes until it is there.
const PAUSE_MAX_WITHOUT: Duration = Duration::from_secs(5);
/// Longest pause while something older is known.
const PAUSE_MAX_WITH: Duration = Duration::from_secs(30);
/// How often a file of keys is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest sleep: what somebody asked for meanwhile is kept fresh, too.
const SLEEP_MAX: Duration = Duration::from_mins(1);

/// How a file looks from outside: when it was written, and its size. None: it cannot be seen.
type Look = Option<(SystemTime, u64)>;

/// Runs until it is aborted.
pub(super) async fn keep(desk: Arc<Desk>) {
    if let KeySource::File(path) = &desk.settings.keys {
        let path = path.clone();
        tokio::join!(keep_web(&desk), keep_file(&desk, path));
    } else {
        keep_web(&desk).await;
    }
}

async fn keep_web(desk: &Arc<Desk>) {
    let mut failures = 0_u32;
    loop {
        let pause = match turn(desk).await {
            Ok(due) => {
                failures = 0;
                let left = due.saturating_duration_since(clock::instant());
                left.clamp(PAUSE_MIN, SLEEP_MAX)
            }
            Err(_told) => {
                failures = failures.saturating_add(1);
                pause(failures, desk.keys.known().is_some())
            }
        };
        sleep(pause).await;
    }
}

/// Replicas that lost it together do not come back together.
fn pause(failures: u32, is_known: bool) -> Duration {
    let longest = if is_known {
        PAUSE_MAX_WITH
    } else {
        PAUSE_MAX_WITHOUT
    };
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let pause = PAUSE_MIN.saturating_mul(doubled).min(longest);
    pause.mul_f64(fastrand::f64().mul_add(0.5, 0.75))
}

/// Fetches what is due; when something will be next. Keys are fetched also while the provider does
/// not say anything of itself any more: where they are is known.
async fn turn(desk: &Arc<Desk>) -> Result<Instant, ProviderError> {
    let mut next = clock::instant() + SLEEP_MAX;
    let mut failed = None;
    if desk.discovers() {
        if is_due(&desk.metadata) {
            desk.line.forget_certificates();
            failed = desk.fetch_metadata(Need::Schedule, None).await.err();
        }
        next = next.min(due(&desk.metadata));
    }
    let keeps_keys = !matches!(desk.settings.keys, KeySource::File(_));
    if keeps_keys && (failed.is_none() || desk.metadata.known().is_some()) {
        if is_due(&desk.keys) {
            desk.line.forget_certificates();
            desk.fetch_keys(Need::Schedule, None).await?;
        }
        next = next.min(due(&desk.keys));
    }
    failed.map_or(Ok(next), Err)
}

fn due<T>(document: &Document<T>) -> Instant {
    document
        .known()
        .map_or_else(clock::instant, |known| known.due)
}

fn is_due<T>(document: &Arc<Document<T>>) -> bool {
    due(document) <= clock::instant()
}

/// Looks whether the file has changed, and reads it if so, or if it could not be read before.
async fn keep_file(desk: &Arc<Desk>, path: PathBuf) {
    let mut read: Look = None;
    loop {
        let now = look(&path).await;
        if now.is_none() || now != read {
            let fetched = desk.fetch_keys(Need::Schedule, None).await;
            // As it looked before it was read: what is written meanwhile is seen next time.
            read = now.filter(|_| fetched.is_ok());
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn look(path: &Path) -> Look {
    let path = path.to_owned();
    let looked = spawn_blocking(move || {
        let seen = std::fs::metadata(path).ok()?;
        Some((seen.modified().ok()?, seen.len()))
    });
    looked.await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_that_is_nearer_while_nothing_is_known() {
        for (failures, least, most) in [(1, 75, 125), (2, 150, 250), (4, 600, 1_000)] {
            let pause = pause(failures, false).as_millis();
            assert!((least..=most).contains(&pause), "{failures}: {pause}");
        }
        for failures in [9, 40, u32::MAX] {
            assert!(pause(failures, false) <= PAUSE_MAX_WITHOUT.mul_f64(1.25));
            assert!(pause(failures, true) >= PAUSE_MAX_WITH.mul_f64(0.7) || failures == 9);
            assert!(pause(failures, true) <= PAUSE_MAX_WITH.mul_f64(1.25));
        }
    }
}
