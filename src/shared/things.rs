//! What is kept in Redis for a while: bytes under a key that nobody guesses.

use super::{Call, Line};
use crate::telemetry::metrics::StoreFault;
use redis::{Cmd, Value, cmd};
use std::time::Duration;

/// Longest wait for something that a request cannot do without. Limits wait for less, because they
/// can.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// On what condition something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// On none.
    Always,
    /// If the key is free.
    IfNew,
    /// If it is there: nothing that was taken away comes back.
    IfThere,
}

impl Line {
    /// What the keys of this Redis begin with, then this one's kind, then itself.
    pub fn key(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{name}", self.settings().prefix)
    }

    /// What is kept under a key.
    ///
    /// # Errors
    /// Redis cannot be asked.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreFault> {
        self.bytes(cmd("GET").arg(key)).await
    }

    /// The same, and how much longer it is kept.
    ///
    /// # Errors
    /// Redis cannot be asked.
    pub async fn get_with_ttl(&self, key: &str) -> Result<Option<(Vec<u8>, Duration)>, StoreFault> {
        let mut both = redis::pipe();
        both.cmd("GET").arg(key).cmd("PTTL").arg(key);
        let read = |value| {
            let Value::Array(values) = value else {
                return None;
            };
            let [bytes, left] = <[Value; 2]>::try_from(values).ok()?;
            let Value::Int(left) = left else {
                return None;
            };
            // Negative: it was gone or without an end by the time it was asked.
            let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
            text(bytes).map(|bytes| bytes.map(|bytes| (bytes, left)))
        };
        self.call(Call::Pipeline(&both), PATIENCE, read).await
    }

    /// What is kept under a key, for the last time: whoever else asks finds nothing.
    ///
    /// # Errors
    /// Redis cannot be asked.
    pub async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreFault> {
        self.bytes(cmd("GETDEL").arg(key)).await
    }

    /// Keeps bytes under a key for this long: whether it did.
    ///
    /// # Errors
    /// Redis cannot be asked.
    pub async fn put(
        &self,
        key: &str,
        bytes: &[u8],
        ttl: Duration,
        write: Write,
    ) -> Result<bool, StoreFault> {
        let mut command = cmd("SET");
        command.arg(key).arg(bytes).arg("PX").arg(millis(ttl));
        match write {
            Write::Always => {}
            Write::IfNew => drop(command.arg("NX")),
            Write::IfThere => drop(command.arg("XX")),
        }
        let read = |value| {
            let is_kept = matches!(value, Value::Okay);
            (is_kept || matches!(value, Value::Nil)).then_some(is_kept)
        };
        self.call(Call::Command(&command), PATIENCE, read).await
    }

    /// From now on it is kept for this long: whether it is there.
    ///
    /// # Errors
    /// Redis cannot be asked.
    pub async fn keep_for(&self, key: &str, ttl: Duration) -> Result<bool, StoreFault> {
        self.count(cmd("PEXPIRE").arg(key).arg(millis(ttl)))
            .await
            .map(|changed| changed > 0)
    }

    /// Removes what is kept under these keys: how many there were.
    ///
    /// # Errors
    /// Redis cannot be asked.
    pub async fn remove(&self, keys: &[String]) -> Result<usize, StoreFault> {
        if keys.is_empty() {
            return Ok(0);
        }
        self.count(cmd("DEL").arg(keys)).await
    }

    /// Sends commands of which the answers do not matter.
    ///
    /// # Errors
    /// Redis cannot be asked, or refuses one of them.
    pub async fn run(&self, commands: &redis::Pipeline) -> Result<(), StoreFault> {
        let call = Call::Pipeline(commands);
        self.call(call, PATIENCE, |_| Some(())).await
    }

    /// A list of texts, as a command gives it.
    ///
    /// # Errors
    /// Redis cannot be asked.
    pub async fn texts(&self, command: &Cmd) -> Result<Vec<String>, StoreFault> {
        let read = |value| redis::from_redis_value(value).ok();
        self.call(Call::Command(command), PATIENCE, read).await
    }

    async fn bytes(&self, command: &Cmd) -> Result<Option<Vec<u8>>, StoreFault> {
        self.call(Call::Command(command), PATIENCE, text).await
    }

    async fn count(&self, command: &Cmd) -> Result<usize, StoreFault> {
        let read = |value| {
            let Value::Int(count) = value else {
                return None;
            };
            usize::try_from(count).ok()
        };
        self.call(Call::Command(command), PATIENCE, read).await
    }
}

/// What is kept under a key, or that nothing is; None: it is no answer to that.
fn text(value: Value) -> Option<Option<Vec<u8>>> {
    if let Value::BulkString(bytes) = value {
        return Some(Some(bytes));
    }
    matches!(value, Value::Nil).then_some(None)
}

/// Redis refuses a life of nothing.
pub(super) fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis())
        .unwrap_or(u64::MAX >> 1)
        .max(1)
}
