//! The Redis that replicas share their limits in.
//!
//! One connection, on which the calls of all requests follow each other. A task of its own makes it,
//! looks after it and makes the next one: while there is none, requests do not wait but do at once
//! what their limit does without Redis. So a Redis that is gone or hangs costs a few requests the
//! time-out, not each one.

mod connect;
mod script;

#[cfg(test)]
mod tests;

use super::gcra::{Quota, Verdict};
use super::settings::RedisSettings;
use crate::telemetry::metrics::{StoreCounts, StoreFault};
use arc_swap::ArcSwapOption;
use redis::Script;
use redis::aio::MultiplexedConnection;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::warn;

/// Requests that wait for Redis at a time; one more does without it.
const WAITING_MAX: usize = 4_096;
/// Requests in a row without an answer of use, after which the connection is given up: Redis hangs,
/// or has become one that may only be read.
const FAULTS_MAX: u32 = 3;

/// Why a shared store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of its TLS cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The library refuses.
    #[error("the connection to Redis cannot be set up")]
    Client(#[source] redis::RedisError),
}

/// One bucket to ask for.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) key: &'a str,
    pub(super) quota: Quota,
    pub(super) enforce: bool,
}

/// The shared store. Dropping it ends its connection.
pub struct SharedStore {
    line: Arc<Line>,
    keeper: AbortHandle,
}

/// What requests and the keeper share.
struct Line {
    settings: RedisSettings,
    script: Script,
    /// None while Redis cannot be asked.
    connection: ArcSwapOption<MultiplexedConnection>,
    waiting: AtomicUsize,
    /// Requests in a row that got no answer of use.
    faults: AtomicU32,
    /// Whether this connection was of use to anybody.
    answered: AtomicBool,
    /// What it tells metrics by; zero until it is in force.
    owner: AtomicU64,
    /// Told when the connection is of no use any more.
    trouble: Notify,
    counts: Arc<StoreCounts>,
}

impl Drop for SharedStore {
    fn drop(&mut self) {
        self.keeper.abort();
        self.line.use_connection(None);
    }
}

/// One place among those who wait. Dropping it gives the place back, on every way out.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SharedStore {
    /// Begins to connect. Has to run inside the runtime.
    pub(super) fn start(
        settings: &RedisSettings,
        counts: Arc<StoreCounts>,
    ) -> Result<Arc<Self>, StoreError> {
        let client = connect::client(settings)?;
        let line = Arc::new(Line {
            settings: settings.clone(),
            script: script::script(),
            connection: ArcSwapOption::empty(),
            waiting: AtomicUsize::new(0),
            faults: AtomicU32::new(0),
            answered: AtomicBool::new(false),
            owner: AtomicU64::new(0),
            trouble: Notify::new(),
            counts,
        });
        let keeper = tokio::spawn(connect::keep(Arc::clone(&line), client)).abort_handle();
        Ok(Arc::new(Self { line, keeper }))
    }

    /// Requests come from here on: it tells metrics how it stands.
    pub(super) fn come_into_force(&self) {
        let line = &self.line;
        if line.owner.load(Ordering::Relaxed) == 0 {
            line.owner.store(line.counts.claim(), Ordering::Relaxed);
        }
        line.tell();
    }

    /// What it was made from.
    pub fn settings(&self) -> &RedisSettings {
        &self.line.settings
    }

    /// Asks for all buckets with one call, within the time-out.
    pub(super) async fn ask<'a>(
        &self,
        asks: impl Iterator<Item = Ask<'a>>,
    ) -> Result<Vec<Verdict>, StoreFault> {
        let asked = self.line.ask(asks).await;
        if let Err(fault) = &asked {
            self.line.counts.failed(*fault);
        }
        asked
    }
}

impl Line {
    async fn ask<'a>(
        &self,
        asks: impl Iterator<Item = Ask<'a>>,
    ) -> Result<Vec<Verdict>, StoreFault> {
        let Some(connection) = self.connection.load_full() else {
            return Err(StoreFault::Down);
        };
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Waiting(&self.waiting);
        if before >= WAITING_MAX {
            return Err(StoreFault::Busy);
        }
        let (call, count) = script::invocation(&self.script, asks);
        // A handle on the one connection, whose every call wants it mutable.
        let mut handle = MultiplexedConnection::clone(&connection);
        self.counts.asked();
        let answered = timeout(
            self.settings.timeout,
            call.invoke_async::<Vec<i64>>(&mut handle),
        );
        let fault = match answered.await {
            Ok(Ok(numbers)) => match script::verdicts(&numbers, count) {
                Some(verdicts) => {
                    self.faults.store(0, Ordering::Relaxed);
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(verdicts);
                }
                None => StoreFault::Reply,
            },
            Ok(Err(error)) if error.is_io_error() => StoreFault::Connection,
            Ok(Err(error)) => {
                warn!(error = &error as &dyn Error, "Redis refuses");
                StoreFault::Reply
            }
            Err(_elapsed) => StoreFault::Timeout,
        };
        let in_a_row = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
        if fault == StoreFault::Connection || in_a_row >= FAULTS_MAX {
            self.give_up(&connection);
        }
        Err(fault)
    }

    /// No request uses this connection from now on. One that has taken its place stays.
    fn give_up(&self, connection: &Arc<MultiplexedConnection>) {
        let now = self.connection.load();
        if now.as_ref().is_some_and(|now| Arc::ptr_eq(now, connection)) {
            self.connection.compare_and_swap(&*now, None);
            self.tell();
            self.trouble.notify_one();
        }
    }
    /// Requests use this connection from now on, or none.
    fn use_connection(&self, connection: Option<MultiplexedConnection>) {
        self.connection.store(connection.map(Arc::new));
        self.tell();
    }

    /// Tells metrics how it stands, whoever else does so at the same moment.
    fn tell(&self) {
        let is_up = || self.connection.load().is_some();
        loop {
            let up = is_up();
            let owner = self.owner.load(Ordering::Relaxed);
            self.counts.set_up(owner, up);
            if is_up() == up {
                return;
            }
        }
    }
}
