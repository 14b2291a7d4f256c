//! The Redis that replicas share: their limits, and who is logged in.
//!
//! One connection, on which the calls of all requests follow each other. A task of its own makes it,
//! looks after it and makes the next one: while there is none, requests do not wait but do at once
//! what they do without Redis. So a Redis that is gone or hangs costs a few requests the time-out,
//! not each one.
//!
//! Knows neither limits nor sessions: who asks says what, how long that may take, and whether the
//! answer makes sense.

mod connect;
#[cfg(test)]
pub(crate) mod fake;
mod lock;
mod settings;
mod things;

#[cfg(test)]
mod tests;

pub use lock::{Lock, Locking};
pub use settings::{RedisSettings, RedisTls};
pub use things::Write;

use crate::telemetry::metrics::{StoreCounts, StoreFault};
use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, Script, ScriptInvocation, Value};
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::warn;

/// Requests that wait for Redis at a time; one more does without it.
const WAITING_MAX: usize = 4_096;
/// Requests in a row without an answer of use, after which the connection is given up: Redis hangs,
/// or has become one that may only be read.
const FAULTS_MAX: u32 = 3;
/// Scripts that a new connection is told.
const SCRIPTS_MAX: usize = 16;

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
    Client(#[source] RedisError),
}

/// What is asked.
#[derive(Clone, Copy)]
pub enum Call<'a> {
    /// One command.
    Command(&'a Cmd),
    /// Several, one behind the other; the answer is all of theirs.
    Pipeline(&'a Pipeline),
    /// A script, by its digest; whole where Redis does not know it.
    Script(&'a ScriptInvocation<'a>),
}

/// The connection to one Redis. Dropping it ends it.
pub struct Line {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

/// What requests and the keeper share.
struct Shared {
    settings: RedisSettings,
    /// What every connection is told first.
    scripts: Mutex<Vec<Script>>,
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

impl Drop for Line {
    fn drop(&mut self) {
        self.keeper.abort();
        self.shared.use_connection(None);
    }
}

/// One place among those who wait. Dropping it gives the place back, on every way out.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Line {
    /// Begins to connect. Has to run inside the runtime.
    ///
    /// # Errors
    /// When the files of its TLS cannot be used.
    pub fn start(
        settings: &RedisSettings,
        counts: Arc<StoreCounts>,
    ) -> Result<Arc<Self>, StoreError> {
        let client = connect::client(settings)?;
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            scripts: Mutex::default(),
            connection: ArcSwapOption::empty(),
            waiting: AtomicUsize::new(0),
            faults: AtomicU32::new(0),
            answered: AtomicBool::new(false),
            owner: AtomicU64::new(0),
            trouble: Notify::new(),
            counts,
        });
        let keeper = tokio::spawn(connect::keep(Arc::clone(&shared), client)).abort_handle();
        Ok(Arc::new(Self { shared, keeper }))
    }

    /// Every connection from now on is told this script before it is used, so that no request has
    /// to. One that is not told is told by the first request that needs it.
    pub fn teach(&self, script: &Script) {
        let mut scripts = lock(&self.shared.scripts);
        let is_known = scripts
            .iter()
            .any(|known| known.get_hash() == script.get_hash());
        if !is_known && scripts.len() < SCRIPTS_MAX {
            scripts.push(script.clone());
        }
    }

    /// Requests come from here on: it tells metrics how it stands.
    pub fn come_into_force(&self) {
        let shared = &self.shared;
        if shared.owner.load(Ordering::Relaxed) == 0 {
            shared.owner.store(shared.counts.claim(), Ordering::Relaxed);
        }
        shared.tell();
    }

    /// What it was made from.
    pub fn settings(&self) -> &RedisSettings {
        &self.shared.settings
    }

    /// Whether Redis can be asked, as far as is known.
    pub fn is_up(&self) -> bool {
        self.shared.connection.load().is_some()
    }

    /// Asks, and waits for no longer than `patience`. `read` makes something of the answer; None
    /// says that it is none.
    ///
    /// # Errors
    /// There was no answer of use. It is counted.
    pub async fn call<T>(
        &self,
        call: Call<'_>,
        patience: Duration,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, StoreFault> {
        let answered = self.shared.call(call, patience, read).await;
        if let Err(fault) = &answered {
            self.shared.counts.failed(*fault);
        }
        answered
    }
}

impl Shared {
    async fn call<T>(
        &self,
        call: Call<'_>,
        patience: Duration,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, StoreFault> {
        let Some(connection) = self.connection.load_full() else {
            return Err(StoreFault::Down);
        };
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Waiting(&self.waiting);
        if before >= WAITING_MAX {
            return Err(StoreFault::Busy);
        }
        // A handle on the one connection, whose every call wants it mutable.
        let mut handle = MultiplexedConnection::clone(&connection);
        self.counts.asked();
        let fault = match timeout(patience, send(call, &mut handle)).await {
            Ok(Ok(value)) => match read(value) {
                Some(answer) => {
                    self.faults.store(0, Ordering::Relaxed);
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(answer);
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

async fn send(call: Call<'_>, handle: &mut MultiplexedConnection) -> Result<Value, RedisError> {
    match call {
        Call::Command(command) => command.query_async(handle).await,
        Call::Pipeline(pipeline) => pipeline.query_async(handle).await,
        Call::Script(script) => script.invoke_async(handle).await,
    }
}

/// Whoever panicked with it left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
