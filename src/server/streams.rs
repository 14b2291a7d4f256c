//! The tasks of HTTP/2 streams, each with an eye on whether its client takes the answer.
//!
//! A stream whose client gives no window back stops asking for its answer's body, so none of the
//! body's deadlines is looked at, while connection and upstream stay as they are.

use crate::clock::{self, LazyTimer};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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

thread_local! {
    /// What hyper is about to spawn on this thread: it makes a stream's future and spawns it in
    /// one go. The tunnels of upgrades are spawned by the tasks of their streams, perhaps at the
    /// same moment, and are nobody's answer.
    static NEXT: Cell<Option<Arc<Reading>>> = const { Cell::new(None) };
}

/// The next future that this thread spawns is watched by this.
pub(super) fn announce(reading: &Arc<Reading>) {
    NEXT.set(Some(Arc::clone(reading)));
}

/// Runs the streams of one connection. A client that takes nothing of an answer for longer than
/// the idle time loses it (RST_STREAM); the connection's other streams go on.
#[derive(Clone)]
pub(super) struct Streams {
    idle: Duration,
}

impl Streams {
    pub(super) const fn new(idle: Duration) -> Self {
        Self { idle }
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let Some(reading) = NEXT.take() else {
            tokio::spawn(stream);
            return;
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::Executor as _;
    use tokio::sync::oneshot;

    /// A future that never ends, and word of when it is dropped.
    fn endless() -> (
        impl Future<Output = ()> + Send + 'static,
        oneshot::Receiver<()>,
    ) {
        let (held, dropped) = oneshot::channel();
        let future = async move {
            let _held = held;
            std::future::pending().await
        };
        (future, dropped)
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_spawned_on_another_thread_does_not_take_a_streams_watch() {
        let streams = Streams::new(Duration::from_secs(10));
        let (tunnel, mut tunnel_ended) = endless();
        let (stream, stream_ended) = endless();
        let reading = Arc::<Reading>::default();
        reading.handed_over();

        announce(&reading);
        let (elsewhere, runtime) = (streams.clone(), tokio::runtime::Handle::current());
        let spawning = std::thread::spawn(move || {
            let _inside = runtime.enter();
            elsewhere.execute(tunnel);
        });
        spawning.join().unwrap();
        streams.execute(stream);

        assert!(stream_ended.await.is_err()); // its client took nothing
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(
            tunnel_ended
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
        );
    }
}
