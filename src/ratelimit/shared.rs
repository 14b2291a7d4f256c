//! The buckets that replicas share in Redis.

use super::gcra::{Quota, Verdict};
use super::script;
use crate::shared::{Call, Line, RedisSettings};
use crate::telemetry::metrics::StoreFault;
use redis::Script;
use std::sync::Arc;

/// One bucket to ask for.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) key: &'a str,
    pub(super) quota: Quota,
    pub(super) enforce: bool,
}

/// The shared store.
pub struct SharedStore {
    line: Arc<Line>,
    script: Script,
}

impl SharedStore {
    /// Over this connection.
    pub(super) fn new(line: &Arc<Line>) -> Arc<Self> {
        let script = script::script();
        line.teach(&script);
        Arc::new(Self {
            line: Arc::clone(line),
            script,
        })
    }

    /// The Redis that it is in.
    pub fn settings(&self) -> &RedisSettings {
        self.line.settings()
    }

    /// Asks for all buckets with one call, within the time-out.
    pub(super) async fn ask<'a>(
        &self,
        asks: impl Iterator<Item = Ask<'a>>,
    ) -> Result<Vec<Verdict>, StoreFault> {
        let (call, count) = script::invocation(&self.script, asks);
        let read = |value| {
            let numbers: Vec<i64> = redis::from_redis_value(value).ok()?;
            script::verdicts(&numbers, count)
        };
        let patience = self.settings().timeout;
        self.line.call(Call::Script(&call), patience, read).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::fake::FakeRedis;
    use std::time::Duration;

    #[tokio::test]
    async fn all_buckets_of_a_request_are_asked_for_with_one_call() {
        let redis = FakeRedis::start(
            "*8\r\n:1\r\n:4\r\n:0\r\n:100000\r\n:0\r\n:0\r\n:50000\r\n:500000\r\n",
        )
        .await;
        let line = Line::start(&redis.settings(), Arc::default()).unwrap();
        let store = SharedStore::new(&line);
        while !line.is_up() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let ask = |key| Ask {
            key,
            quota: Quota::new(10, Duration::from_secs(1), 5),
            enforce: true,
        };

        let keys = ["{edgespan}:a:1", "{edgespan}:b:2"];
        let verdicts = store.ask(keys.into_iter().map(ask)).await.unwrap();

        assert_eq!(verdicts.len(), 2);
        assert!(verdicts[0].admitted && !verdicts[1].admitted);
        assert_eq!(verdicts[1].retry_after, Duration::from_millis(50));
        let calls = redis.commands("EVALSHA");
        assert_eq!(calls.len(), 1);
        let expected = ["2", keys[0], keys[1], "100000.000", "5", "1"];
        assert_eq!(calls[0][2..8], expected);
        assert_eq!(redis.commands("AUTH")[0][1..], ["hunter2"]);
        assert_eq!(redis.commands("SELECT")[0][1..], ["2"]);
    }
}
