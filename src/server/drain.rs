//! The end: no new connections, requests in flight finish, then the process may leave.

use super::moment::{Moment, Reached};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// How often it is looked whether the last requests have noticed their end.
const NOTICE_EVERY: Duration = Duration::from_millis(2);
/// How long before the end WebSockets are told.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// How long they may take.
const NOTICE_MAX: Duration = Duration::from_secs(1);

/// Shared by everything that has to end. A clone costs one count: every request has one.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    leaving: Moment,
    begun: Moment,
    ending: Moment,
    over: Moment,
    connections: TaskTracker,
    requests: Mutex<Vec<Arc<AtomicUsize>>>,
}

impl Drain {
    /// No drain yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says goodbye: each HTTP/1 answer from now on closes its connection, HTTP/2 connections get
    /// their GOAWAY. Idle HTTP/1 connections stay for a last request: who closes them now could
    /// meet a request that is on its way.
    pub fn leave(&self) {
        self.0.leaving.reach();
    }

    /// Whether goodbye was said.
    pub fn is_leaving(&self) -> bool {
        self.0.leaving.is_reached()
    }

    /// Resolves when goodbye is said. For one task.
    pub fn leaving(&self) -> Reached {
        self.0.leaving.reached()
    }

    /// Resolves when no connection is open any more. Only once nothing is accepted.
    pub async fn emptied(&self) {
        self.0.connections.close();
        self.0.connections.wait().await;
    }

    /// Begins to drain. Idle connections close, busy ones after their answer.
    pub fn begin(&self) {
        self.0.leaving.reach();
        self.0.begun.reach();
        self.0.connections.close();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.begun.is_reached()
    }

    /// Resolves when it begins. For one task.
    pub fn begun(&self) -> Reached {
        self.0.begun.reached()
    }

    /// Resolves shortly before the drain's end: what would stay open as long as it may, a
    /// WebSocket, says goodbye now. For one task.
    pub fn ending(&self) -> Reached {
        self.0.ending.reached()
    }

    /// Runs a connection's task; the drain waits for it, and [`Self::finished`] ends it.
    pub fn spawn<F>(&self, connection: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut over = self.0.over.reached();
        // In a box: an async block that moves it into place would make room for it twice.
        let mut connection = Box::pin(connection);
        self.0.connections.spawn(async move {
            let ended = poll_fn(|cx| match Pin::new(&mut over).poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => connection.as_mut().poll(cx),
            });
            ended.await;
            // Dropping it ends its spans, so they can still be flushed.
            drop(connection);
        });
    }

    /// A count for one more listener, whose requests the drain waits for.
    pub fn count(&self) -> RequestCount {
        let count = Arc::default();
        self.counts().push(Arc::clone(&count));
        RequestCount(count)
    }

    fn counts(&self) -> MutexGuard<'_, Vec<Arc<AtomicUsize>>> {
        self.0
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests in flight at this moment.
    pub fn requests(&self) -> usize {
        let counts = self.counts();
        counts.iter().map(|one| one.load(Ordering::Relaxed)).sum()
    }

    /// Whether it has begun and nothing is open any more.
    pub fn is_over(&self) -> bool {
        self.has_begun() && self.0.connections.is_empty() && self.requests() == 0
    }

    /// Waits for every connection, at most `limit`; what is still open then is cut off, and its
    /// requests end. False if something was.
    pub async fn finished(&self, limit: Duration) -> bool {
        let goodbye = GOODBYE_MAX.min(limit / 4);
        let before = limit.saturating_sub(goodbye);
        let mut clean = tokio::time::timeout(before, self.0.connections.wait()).await;
        if clean.is_err() {
            self.0.ending.reach();
            clean = tokio::time::timeout(goodbye, self.0.connections.wait()).await;
        }
        self.0.over.reach();
        self.0.connections.wait().await;
        // Streams of HTTP/2 have tasks of their own, which notice a moment later.
        let gone = async {
            while self.requests() > 0 {
                tokio::time::sleep(NOTICE_EVERY).await;
            }
        };
        drop(tokio::time::timeout(NOTICE_MAX, gone).await);
        clean.is_ok()
    }
}

/// Counts the requests in flight of one listener.
#[derive(Clone, Debug)]
pub struct RequestCount(Arc<AtomicUsize>);

impl RequestCount {
    /// Counts a request until the guard is dropped. False if there were `most` already: then it
    /// is to be refused.
    pub fn enter(&self, most: usize) -> (RequestInFlight, bool) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        (RequestInFlight(Arc::clone(&self.0)), before < most)
    }
}

/// One request in flight. Dropping it gives the place back.
#[derive(Debug)]
pub struct RequestInFlight(Arc<AtomicUsize>);

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
