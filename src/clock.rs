//! The only place that reads a clock.
//!
//! A request reads the wall clock once and measures from there on the monotonic clock, so that a
//! clock that is set back never makes a span end before it starts.

use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::{Instant, Sleep};

/// Nanoseconds since the Unix epoch, as OTLP counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From nanoseconds since the Unix epoch.
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_unix_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This much later, ending at the last moment that 64 bits can tell (the year 2554).
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The wall clock, now. Zero if the machine believes it is before 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn wall() -> Timestamp {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

/// The monotonic clock, now.
pub fn instant() -> Instant {
    Instant::now()
}

/// One reading of the wall clock, and the monotonic clock from there on.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    wall: Timestamp,
    started: Instant,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self {
            wall: wall(),
            started: instant(),
        }
    }

    /// When it was started.
    pub const fn started(&self) -> Timestamp {
        self.wall
    }

    /// The monotonic instant at which it was started.
    pub const fn started_instant(&self) -> Instant {
        self.started
    }

    /// The moment now, never before the start.
    pub fn now(&self) -> Timestamp {
        self.wall.plus(self.elapsed())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A timer that is set seldom: it is armed for the first deadline asked for, and set again only
/// when it fires too early or when a nearer deadline comes. One that serves request after request
/// on a busy connection is hardly ever touched.
#[derive(Debug, Default)]
pub struct LazyTimer(Option<Pin<Box<Sleep>>>);

impl LazyTimer {
    /// Whether `due` has passed. If not, the task is woken when it does (or a little before).
    pub fn has_passed(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if due < sleep.deadline() {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if instant() >= due {
                return true;
            }
            sleep.as_mut().reset(due);
        }
        false
    }
}
