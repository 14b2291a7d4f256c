//! The tasks of HTTP/2 streams, each with an eye on whether its client takes the answer.
//!
//! A stream whose client gives no window back stops asking for its answer's body, so none of the
//! body's deadlines is looked at, while connection and upstream stay as they are.

use crate::clock::{self, LazyTimer};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How far one client has got with its answer.
#[derive(Debug, Default)]
pub(super) struct Reading {
    unread: AtomicBool,
    frames: AtomicU32,
}

impl Reading {
    /// The client can take more.
    pub(super) fn asked(&self) {
        self.unread.store(false, Ordering::Relaxed);
    }

    /// It got a frame, and has to ask for the next one.
    pub(super) fn handed_over(&self) {
        self.unread.store(true, Ordering::Relaxed);
        self.frames.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs the streams of one connection. A client that takes nothing of an answer for longer than
/// the idle time loses it (RST_STREAM); the connection's other streams go on.
#[derive(Clone)]
pub(super) struct Streams {
    /// What hyper is about to spawn: it makes a stream's future and spawns it in one go.
    next: Arc<Mutex<Option<Arc<Reading>>>>,
    idle: Duration,
}

impl Streams {
    pub(super) fn new(idle: Duration) -> Self {
        Self {
            next: Arc::default(),
            idle,
        }
    }

    /// The next future that is spawned is watched by this.
    pub(super) fn announce(&self, reading: &Arc<Reading>) {
        *self.next() = Some(Arc::clone(reading));
    }

    fn next(&self) -> MutexGuard<'_, Option<Arc<Reading>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let reading = self.next().take().unwrap_or_default();
        let mut watch = Watch {
            reading,
            idle: self.idle,
            frames: 0,
            since: None,
            timer: LazyTimer::default(),
        };
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            poll_fn(|cx| match stream.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => watch.poll(cx),
            })
            .await;
        });
    }
}

struct Watch {
    reading: Arc<Reading>,
    idle: Duration,
    frames: u32,
    since: Option<Instant>,
    timer: LazyTimer,
}

impl Watch {
    /// Ready when the client has left its answer lying for too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.reading.unread.load(Ordering::Relaxed) {
            self.since = None;
            return Poll::Pending;
        }
        let frames = self.reading.frames.load(Ordering::Relaxed);
        if frames != self.frames {
            self.frames = frames;
            self.since = None;
        }
        let since = *self.since.get_or_insert_with(clock::instant);
        if self.timer.has_passed(since + self.idle, cx) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
