//! The watch over one connection: it closes what takes too long.
//!
//! hyper's own header deadline is also its keep-alive limit and does not see a client that stops
//! reading, so the two are kept here. One timer a connection, set again only when it fires or
//! when a nearer deadline appears: a busy connection never touches it.

use super::activity::{Activity, Doing};
use crate::clock::{self, LazyTimer};
use crate::listener::ListenerTimeouts;
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
    /// It got as old as it may, or had as many requests. A goodbye is due.
    Lifetime,
    /// And what was in flight then did not end in time.
    Grace,
}

impl Overdue {
    /// A short name that never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head => "header_timeout",
            Self::Idle => "idle_timeout",
            Self::Reading => "read_timeout",
            Self::Lifetime => "lifetime",
            Self::Grace => "lifetime_grace",
        }
    }
}

/// Until when a connection may live, whatever it does.
#[derive(Clone, Copy, Debug)]
enum Age {
    Unbounded,
    Living { until: Instant },
    Leaving { until: Instant },
}

/// Watches what a connection does, and for how long.
pub(super) struct Watch {
    activity: Arc<Activity>,
    header: Duration,
    idle: Duration,
    doing: Doing,
    requests_left: u64,
    writes: u32,
    since: Instant,
    age: Age,
    grace: Option<Duration>,
    timer: LazyTimer,
}

impl Watch {
    /// The head's deadline runs from now.
    pub(super) fn begin(activity: Arc<Activity>, timeouts: &ListenerTimeouts) -> Self {
        let since = clock::instant();
        let age = timeouts
            .lifetime
            .map_or(Age::Unbounded, |lifetime| Age::Living {
                until: since + lifetime,
            });
        Self {
            header: timeouts.header,
            idle: timeouts.idle,
            doing: Doing::ReadingHead,
            requests_left: activity.requests_left(),
            activity,
            writes: 0,
            since,
            age,
            grace: timeouts.grace,
            timer: LazyTimer::default(),
        }
    }

    /// To be polled after the connection, in the same task.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Overdue> {
        let (doing, writes) = (self.activity.doing(), self.activity.writes());
        // A client that reads slowly is found blocked every time, yet gets on; and one whose
        // requests are answered as soon as they come is found idle every time, yet asks.
        let requests_left = self.activity.requests_left();
        let gets_on = match doing {
            Doing::Blocked => writes != self.writes,
            Doing::Idle | Doing::ReadingHead => requests_left != self.requests_left,
            Doing::Serving => false,
        };
        self.writes = writes;
        self.requests_left = requests_left;
        if doing != self.doing || gets_on {
            self.doing = doing;
            if doing != Doing::Serving {
                self.begin_again();
            }
        }
        let by_doing = self
            .limit()
            .map(|(limit, overdue)| (self.since + limit, overdue));
        let Some((due, overdue)) = self.sooner(by_doing) else {
            return Poll::Pending;
        };
        if self.timer.has_passed(due, cx) {
            Poll::Ready(overdue)
        } else {
            Poll::Pending
        }
    }

    /// That deadline, or the end of the connection's life if it comes first.
    fn sooner(&self, by_doing: Option<(Instant, Overdue)>) -> Option<(Instant, Overdue)> {
        let by_age = match self.age {
            Age::Unbounded => return by_doing,
            Age::Living { until } => (until, Overdue::Lifetime),
            Age::Leaving { until } => (until, Overdue::Grace),
        };
        Some(
            by_doing
                .filter(|(due, _)| *due < by_age.0)
                .unwrap_or(by_age),
        )
    }

    /// Whether the connection has had as many requests as it may.
    pub(super) fn is_used_up(&self) -> bool {
        self.activity.is_used_up()
    }

    /// A goodbye was said: what is in flight has the grace from now on.
    pub(super) fn leave(&mut self) {
        self.age = match (self.age, self.grace) {
            (Age::Leaving { until }, _) => Age::Leaving { until },
            (Age::Unbounded | Age::Living { .. }, Some(grace)) => Age::Leaving {
                until: clock::instant() + grace,
            },
            (Age::Unbounded | Age::Living { .. }, None) => Age::Unbounded,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    fn begun(requests_max: Option<u64>) -> (Arc<Activity>, Watch) {
        let timeouts = ListenerTimeouts {
            idle: IDLE,
            ..ListenerTimeouts::default()
        };
        let activity = Activity::begin(requests_max);
        let watch = Watch::begin(Arc::clone(&activity), &timeouts);
        (activity, watch)
    }

    fn poll(watch: &mut Watch) -> Poll<Overdue> {
        watch.poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_answered_at_once_every_time_is_not_idle() {
        for requests_max in [None, Some(100)] {
            let (activity, mut watch) = begun(requests_max);
            for _ in 0..5 {
                activity.bytes_read();
                drop(activity.enter()); // the whole request, between two looks
                assert_eq!(poll(&mut watch), Poll::Pending);
                tokio::time::advance(IDLE - Duration::from_secs(1)).await;
                assert_eq!(poll(&mut watch), Poll::Pending);
            }
            tokio::time::advance(Duration::from_secs(2)).await;
            assert_eq!(poll(&mut watch), Poll::Ready(Overdue::Idle));
        }
    }
}
