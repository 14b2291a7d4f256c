//! The watch over one connection: it closes what takes too long.
//!
//! hyper's own header deadline is also its keep-alive limit and does not see a client that stops
//! reading, so the two are kept here. One timer a connection, set again only when it fires or
//! when a nearer deadline appears: a busy connection never touches it.

use super::activity::{Activity, Doing};
use crate::clock::{self, LazyTimer};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// A connection did one thing for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// A request head was not complete in time.
    Head,
    /// Nothing was asked for too long.
    Idle,
    /// The client did not read its answer.
    Reading,
}

/// Watches what a connection does, and for how long.
pub(super) struct Watch {
    activity: Arc<Activity>,
    header: Duration,
    idle: Duration,
    doing: Doing,
    writes: u32,
    since: Instant,
    timer: LazyTimer,
}

impl Watch {
    /// The head's deadline runs from now.
    pub(super) fn begin(activity: Arc<Activity>, header: Duration, idle: Duration) -> Self {
        let since = clock::instant();
        Self {
            activity,
            header,
            idle,
            doing: Doing::ReadingHead,
            writes: 0,
            since,
            timer: LazyTimer::default(),
        }
    }

    /// To be polled after the connection, in the same task.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Overdue> {
        let (doing, writes) = (self.activity.doing(), self.activity.writes());
        // A client that reads slowly is found blocked every time, yet gets on.
        let gets_on = doing == Doing::Blocked && writes != self.writes;
        self.writes = writes;
        if doing != self.doing || gets_on {
            self.doing = doing;
            if doing != Doing::Serving {
                self.begin_again();
            }
        }
        let Some((limit, overdue)) = self.limit() else {
            return Poll::Pending;
        };
        if self.timer.has_passed(self.since + limit, cx) {
            Poll::Ready(overdue)
        } else {
            Poll::Pending
        }
    }

    /// The deadline runs from now.
    pub(super) fn begin_again(&mut self) {
        self.since = clock::instant();
    }

    fn limit(&self) -> Option<(Duration, Overdue)> {
        match self.doing {
            Doing::ReadingHead => Some((self.header, Overdue::Head)),
            Doing::Idle => Some((self.idle, Overdue::Idle)),
            Doing::Blocked => Some((self.idle, Overdue::Reading)),
            Doing::Serving => None,
        }
    }
}
