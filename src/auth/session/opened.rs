//! Sessions that were opened a moment ago: a page with fifty images opens its cookie once.
//!
//! What is remembered is what the sealed text says and nothing else: whether the session is alive
//! is asked anew each time.

use super::Session;
use crate::auth::keyed::{Digest, Front, Keyed};
use crate::clock::Timestamp;
use crate::telemetry::metrics::{LoginBound, LoginCounts};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Parts of the memory, so that requests seldom wait for each other.
const SHARDS: usize = 16;
/// Sessions in one part. One more makes room by forgetting the part.
const SHARD_MAX: usize = 128;
/// How long one is remembered.
const KEPT: Duration = Duration::from_secs(60);

/// The memory.
pub(super) struct Opened {
    /// None: the machine gave no random bytes, and nothing is remembered.
    keyed: Option<Keyed>,
    shards: Vec<Mutex<Shard>>,
    counts: Arc<LoginCounts>,
}

/// By a digest of the sealed text and whose it is.
type Shard = HashMap<Digest, Kept, BuildHasherDefault<Front>>;

struct Kept {
    session: Arc<Session>,
    until: Timestamp,
}

impl Opened {
    pub(super) fn new(counts: &Arc<LoginCounts>) -> Self {
        Self {
            keyed: Keyed::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            counts: Arc::clone(counts),
        }
    }

    /// The session that these texts stand for, or what `open` makes of them.
    pub(super) fn get_or_open(
        &self,
        texts: &[&[u8]],
        now: Timestamp,
        open: impl FnOnce() -> Option<Session>,
    ) -> Option<Arc<Session>> {
        let Some(key) = self.keyed.as_ref().and_then(|keyed| keyed.parts(texts)) else {
            return open().map(Arc::new);
        };
        if let Some(known) = self.find(&key, now) {
            return Some(known);
        }
        let session = Arc::new(open()?);
        if let Some(mut shard) = self.shard(&key) {
            if shard.len() >= SHARD_MAX {
                let current = shard.values().filter(|kept| now < kept.until);
                self.counts.reached(LoginBound::Opened, current.count());
                shard.clear();
            }
            let kept = Kept {
                session: Arc::clone(&session),
                until: now.plus(KEPT),
            };
            shard.insert(key, kept);
        }
        Some(session)
    }

    fn find(&self, key: &Digest, now: Timestamp) -> Option<Arc<Session>> {
        let shard = self.shard(key)?;
        let kept = shard.get(key)?;
        (now < kept.until).then(|| Arc::clone(&kept.session))
    }

    fn shard(&self, key: &Digest) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.shards.get(usize::from(key.last()) % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::session;
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_text_is_opened_once_a_minute_and_the_memory_is_bounded() {
        let counts = Arc::default();
        let (opened, times) = (Opened::new(&counts), Cell::new(0));
        let at = |seconds: u64| Timestamp::from_unix_nanos(seconds * 1_000_000_000);
        let get = |text: &str, now| {
            opened.get_or_open(&[b"web", text.as_bytes()], now, || {
                times.set(times.get() + 1);
                Some(session())
            })
        };

        for (second, opened) in [(1, 1), (60, 1), (61, 2), (61, 2)] {
            assert!(get("a", at(second)).is_some());
            assert_eq!(times.get(), opened, "at {second}");
        }
        for text in 0..3 * SHARDS * SHARD_MAX {
            get(&text.to_string(), at(61));
        }
        let held: usize = opened
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum();
        assert!(held <= SHARDS * SHARD_MAX, "{held}");
        assert!(counts.all_reached(LoginBound::Opened) >= (2 * SHARDS * SHARD_MAX) as u64);
    }

    #[test]
    fn what_does_not_open_is_not_remembered_and_no_text_runs_into_the_next_one() {
        let opened = Opened::new(&Arc::default());
        let now = Timestamp::from_unix_nanos(1);

        assert!(opened.get_or_open(&[b"web", b"a"], now, || None).is_none());
        assert!(
            opened
                .get_or_open(&[b"web", b"a"], now, || Some(session()))
                .is_some()
        );
        assert!(opened.get_or_open(&[b"we", b"ba"], now, || None).is_none());
    }
}
