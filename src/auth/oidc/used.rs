//! What may be used once and has been: handles of logins, `jti` of logout tokens. In this process,
//! and where replicas share a Redis, logins in all of them.

use crate::shared::{Line, Write};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::warn;

/// Most of them that are remembered; then the oldest is forgotten, and counted.
const ENTRIES_MAX: usize = 100_000;

/// The kind of their keys in Redis.
const KIND: &str = "used";

/// How far the clocks of replicas may be apart, in seconds.
const SKEW: u64 = 60;

/// What has been used.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    known: HashSet<[u8; 16]>,
    /// In the order in which they came, with the Unix second after which they mean nothing.
    order: VecDeque<([u8; 16], u64)>,
    forgotten: u64,
}

impl Used {
    /// Uses something; it means nothing any more after the Unix second `until`. False: it was used
    /// before.
    pub(super) fn take(&self, what: &str, until: u64, now: u64) -> bool {
        let Some(key) = key(what) else { return false };
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((old, end)) = own.order.front().copied() {
            if end >= now && own.order.len() < ENTRIES_MAX {
                break;
            }
            own.forgotten += u64::from(end >= now);
            own.order.pop_front();
            own.known.remove(&old);
        }
        if !own.known.insert(key) {
            return false;
        }
        own.order.push_back((key, until));
        true
    }

    /// The same among all replicas, where they share a Redis. While that cannot be asked it holds
    /// in this process, as without one; a provider takes its code once in any case.
    pub(super) async fn take_of_all(
        &self,
        what: &str,
        until: u64,
        now: u64,
        redis: Option<&Line>,
    ) -> bool {
        if !self.take(what, until, now) {
            return false;
        }
        let (Some(line), Some(digest)) = (redis, key(what)) else {
            return true;
        };
        // Whoever reads Redis learns no handle.
        let key = line.key(KIND, &URL_SAFE_NO_PAD.encode(digest));
        let ttl = Duration::from_secs(until.saturating_sub(now).saturating_add(SKEW));
        let put = line.put(&key, b"1", ttl, Write::IfNew).await;
        put.unwrap_or_else(|fault| {
            warn!(
                reason = fault.name(),
                "other replicas do not know that a login was used"
            );
            true
        })
    }

    /// Whether it was used before.
    pub(super) fn holds(&self, what: &str) -> bool {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        key(what).is_some_and(|key| own.known.contains(&key))
    }

    /// How many were forgotten before their time, for want of room.
    #[cfg(test)]
    fn forgotten(&self) -> u64 {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        own.forgotten
    }
}

/// Of one length, whatever it is of.
fn key(what: &str) -> Option<[u8; 16]> {
    let sum = digest(&SHA256, what.as_bytes());
    sum.as_ref().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::shared::fake::FakeRedis;
    use std::sync::Arc;

    #[test]
    fn nothing_is_used_twice_while_it_means_something() {
        let used = Used::default();

        assert!(used.take("a", 100, 50));
        assert!(used.take("b", 100, 50));
        assert!(!used.take("a", 100, 60));
        assert!(!used.take("a", 100, 100));
        assert!(used.take("a", 200, 101), "whoever reads it knows its time");
        assert_eq!(used.forgotten(), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_gives_way_is_counted() {
        let used = Used::default();
        for number in 0..=ENTRIES_MAX {
            assert!(used.take(&number.to_string(), 100, 1));
        }

        assert_eq!(used.forgotten(), 1);
        assert!(used.take("0", 100, 1), "the oldest");
        assert!(!used.take(&ENTRIES_MAX.to_string(), 100, 1));
    }

    #[tokio::test]
    async fn what_one_replica_has_used_no_other_one_uses() {
        let redis = FakeRedis::start("").await;
        let line = Line::start(&redis.settings(), Arc::default()).unwrap();
        let began = clock::instant();
        while !line.is_up() {
            assert!(began.elapsed() < Duration::from_secs(20), "no connection");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (one, other) = (Used::default(), Used::default());

        assert!(one.take_of_all("handle", 100, 50, Some(&line)).await);
        assert!(!other.take_of_all("handle", 100, 50, Some(&line)).await);
        assert!(other.take_of_all("another", 100, 50, Some(&line)).await);
        let said = format!("{:?}", redis.scripted.commands.lock());
        assert!(!said.contains("handle"), "{said}");

        drop(redis);
        let alone = Used::default();
        assert!(alone.take_of_all("later", 100, 50, Some(&line)).await);
        assert!(!alone.take_of_all("later", 100, 50, Some(&line)).await);
    }
}
