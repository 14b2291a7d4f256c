//! Something that one of all replicas does, while the others wait.

use super::things::{PATIENCE, Write, millis};
use super::{Call, Line};
use crate::telemetry::metrics::StoreFault;
use redis::{Script, Value};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tracing::debug;

/// How long a lock outlives whoever holds it and is no more.
const LEASE: Duration = Duration::from_secs(10);
/// How often whoever holds it says so.
const RENEW_EVERY: Duration = Duration::from_secs(3);

/// Only the owner prolongs it.
pub(super) const RENEW: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
";

/// Only the owner gives it back: one that came too late must not take away the next one's.
pub(super) const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
";

/// Takes locks, each under a key.
#[derive(Clone)]
pub struct Locking {
    line: Arc<Line>,
    renew: Script,
    release: Script,
}

/// A lock that is held. Dropping it gives it back, also where a request was given up.
pub struct Lock {
    locking: Locking,
    key: String,
    owner: String,
}

impl Locking {
    /// Over this connection.
    pub fn new(line: &Arc<Line>) -> Self {
        let (renew, release) = (Script::new(RENEW), Script::new(RELEASE));
        line.teach(&renew);
        line.teach(&release);
        Self {
            line: Arc::clone(line),
            renew,
            release,
        }
    }

    /// Takes a lock if nobody holds it. `owner` is random, and nobody else's.
    ///
    /// # Errors
    /// Redis cannot be asked.
    pub async fn try_take(&self, key: String, owner: String) -> Result<Option<Lock>, StoreFault> {
        let put = self.line.put(&key, owner.as_bytes(), LEASE, Write::IfNew);
        Ok(put.await?.then(|| Lock {
            locking: self.clone(),
            key,
            owner,
        }))
    }

    async fn owned(
        &self,
        script: &Script,
        key: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<bool, StoreFault> {
        let mut call = script.prepare_invoke();
        call.key(key).arg(owner).arg(millis(ttl));
        let read = |value| {
            let Value::Int(changed) = value else {
                return None;
            };
            Some(changed == 1)
        };
        self.line.call(Call::Script(&call), PATIENCE, read).await
    }
}

impl Lock {
    /// Holds the lock for as long as `work` takes. That it was lost, to a Redis that restarted or
    /// could not be asked for a whole lease, does not end the work: half of it may be done.
    pub async fn hold<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.renew_later() => {}
            }
        }
    }

    async fn renew_later(&self) {
        sleep(RENEW_EVERY).await;
        let locking = &self.locking;
        let renewed = locking.owned(&locking.renew, &self.key, &self.owner, LEASE);
        if !matches!(renewed.await, Ok(true)) {
            debug!(key = self.key, "a lock in Redis is not held any more");
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let locking = self.locking.clone();
        let (key, owner) = (
            std::mem::take(&mut self.key),
            std::mem::take(&mut self.owner),
        );
        // Bounded by the patience of one call; what fails ends with the lease.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        drop(runtime.spawn(async move {
            let released = locking.owned(&locking.release, &key, &owner, LEASE);
            if released.await.is_err() {
                debug!(key, "a lock in Redis could not be given back");
            }
        }));
    }
}
