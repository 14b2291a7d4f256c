//! The end: no new connections, requests in flight finish, then the process may leave.

use super::moment::{Moment, Reached};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// How often it is looked whether the last requests have noticed their end.
const NOTICE_EVERY: Duration = Duration::from_millis(2);
/// How long they may take.
const NOTICE_MAX: Duration = Duration::from_secs(1);

/// Shared by everything that has to end. A clone costs one count: every request has one.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    begun: Moment,
    over: Moment,
    connections: TaskTracker,
    requests: AtomicUsize,
}

impl Drain {
    /// No drain yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain. Idle connections close, busy ones after their answer.
    pub fn begin(&self) {
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

    /// Counts a request as in flight until the guard is dropped.
    pub fn request(&self) -> RequestInFlight {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        RequestInFlight(self.clone())
    }

    /// Requests in flight at this moment.
    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Waits for every connection, at most `limit`; what is still open then is cut off, and its
    /// requests end. False if something was.
    pub async fn finished(&self, limit: Duration) -> bool {
        let clean = tokio::time::timeout(limit, self.0.connections.wait()).await;
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

/// One request in flight. Dropping it gives the place back.
#[derive(Debug)]
pub struct RequestInFlight(Drain);

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}
