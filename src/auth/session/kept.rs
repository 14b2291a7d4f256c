//! Sessions in Redis: the browser has a handle, 256 bits at random, and Redis what it stands for.
//!
//! The key there is a digest of the handle, and the value is sealed under the handle and the ring:
//! whoever reads Redis learns nothing, and whoever writes it makes nobody up. The idle time is the
//! key's own: it is prolonged, never written anew, so that no renewal undoes a refresh.

use super::opened::Opened;
use super::revoked::Mark;
use super::{Session, SessionSettings, codec, left};
use crate::auth::random;
use crate::auth::seal::{Purpose, Sealer};
use crate::clock::Timestamp;
use crate::shared::{Line, Locking, Write};
use crate::telemetry::metrics::{LoginCounts, StoreFault};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::cmd;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a handle.
const HANDLE_BYTES: usize = 32;
/// Characters of one.
const HANDLE_CHARS: usize = 43;
/// Sessions that one command removes.
const REMOVED_AT_ONCE: usize = 500;

/// The store.
pub(super) struct Kept {
    pub(super) line: Arc<Line>,
    pub(super) locking: Locking,
    sealer: Arc<Sealer>,
    opened: Opened,
    idle: Duration,
    absolute: Duration,
}

impl Kept {
    pub(super) fn new(
        line: &Arc<Line>,
        sealer: &Arc<Sealer>,
        settings: &SessionSettings,
        counts: &Arc<LoginCounts>,
    ) -> Self {
        Self {
            line: Arc::clone(line),
            locking: Locking::new(line),
            sealer: Arc::clone(sealer),
            opened: Opened::new(counts),
            idle: settings.idle,
            absolute: settings.absolute,
        }
    }

    /// A new handle. None if the machine has no randomness.
    pub(super) fn handle() -> Option<String> {
        random::text::<HANDLE_BYTES>()
    }

    /// The session of a handle, and how much longer it lasts if nobody uses it.
    pub(super) async fn find(
        &self,
        handle: &str,
        now: Timestamp,
    ) -> Result<Option<(Arc<Session>, Duration)>, StoreFault> {
        if !is_handle(handle) {
            return Ok(None);
        }
        let Some((sealed, ttl)) = self.line.get_with_ttl(&self.key(handle)).await? else {
            return Ok(None);
        };
        let texts = [handle.as_bytes(), &*sealed];
        let session = self.opened.get_or_open(&texts, now, || {
            let plain = self
                .sealer
                .open_under(handle.as_bytes(), Purpose::Session, &sealed);
            codec::decode(&plain?)
        });
        Ok(session.map(|session| (session, ttl)))
    }

    /// Keeps a session under a handle: whether it did. For as long as nobody uses it, and not
    /// beyond its end.
    pub(super) async fn put(
        &self,
        handle: &str,
        session: &Session,
        write: Write,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let plain = codec::encode(session);
        let sealed = self
            .sealer
            .seal_under(handle.as_bytes(), Purpose::Session, &plain);
        let ttl = self.ttl(session, now);
        let key = self.key(handle);
        let put = self.line.put(&key, sealed.as_bytes(), ttl, write).await?;
        if put && write == Write::Always {
            self.index(&key, session).await?;
        }
        Ok(put)
    }

    /// It was used: it lasts anew.
    pub(super) async fn prolong(
        &self,
        handle: &str,
        session: &Session,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let ttl = self.ttl(session, now);
        self.line.keep_for(&self.key(handle), ttl).await
    }

    pub(super) fn ttl(&self, session: &Session, now: Timestamp) -> Duration {
        self.idle.min(left(session, self.absolute, now))
    }

    /// Removes a session: what it was.
    pub(super) async fn forget(
        &self,
        handle: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Session>>, StoreFault> {
        let Some((session, _)) = self.find(handle, now).await? else {
            return Ok(None);
        };
        let key = self.key(handle);
        let mut commands = redis::pipe();
        commands.cmd("DEL").arg(&key);
        for mark in Mark::of_provider(&session) {
            commands.cmd("ZREM").arg(self.index_key(mark)).arg(&key);
        }
        self.line.run(&commands).await?;
        Ok(Some(session))
    }

    /// Removes all sessions of these marks.
    pub(super) async fn revoke(&self, marks: &[Mark]) -> Result<(), StoreFault> {
        for mark in marks {
            let index = self.index_key(*mark);
            let mut all = cmd("ZRANGE");
            let keys = self.line.texts(all.arg(&index).arg(0).arg(-1)).await?;
            for keys in keys.chunks(REMOVED_AT_ONCE) {
                self.line.remove(keys).await?;
            }
            self.line.remove(&[index]).await?;
        }
        Ok(())
    }

    /// By which words of its provider it is found. What has ended leaves on the way.
    async fn index(&self, key: &str, session: &Session) -> Result<(), StoreFault> {
        let end = session.began.saturating_add(self.absolute.as_secs());
        let kept = u64::try_from(self.absolute.as_millis()).unwrap_or(u64::MAX >> 1);
        let mut commands = redis::pipe();
        for mark in Mark::of_provider(session) {
            let index = self.index_key(mark);
            let gone = commands.cmd("ZREMRANGEBYSCORE").arg(&index);
            gone.arg("-inf").arg(session.began.saturating_sub(1));
            commands.cmd("ZADD").arg(&index).arg(end).arg(key);
            commands.cmd("PEXPIRE").arg(&index).arg(kept.max(1));
        }
        self.line.run(&commands).await
    }

    fn key(&self, handle: &str) -> String {
        let digest = digest(&SHA256, handle.as_bytes());
        self.line
            .key("session", &URL_SAFE_NO_PAD.encode(digest.as_ref()))
    }

    /// Where the lock of a session's refresh is.
    pub(super) fn lock_key(&self, handle: &str) -> String {
        format!("{}:refresh", self.key(handle))
    }

    fn index_key(&self, mark: Mark) -> String {
        self.line.key("sessions-of", &mark.text())
    }
}

/// Whether a cookie can be a handle, before Redis is asked for it.
fn is_handle(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == HANDLE_CHARS && text.bytes().all(fits)
}
