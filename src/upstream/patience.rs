//! How long the head of an answer may take.

use crate::clock::{self, LazyTimer};
use crate::message::request_body::BodyProgress;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The deadline of an answer's head. It does not run while an upload gets on or its client is
/// waited for: a long upload has the deadlines of its body instead. An upstream that takes nothing
/// of it has no more time than one that does not answer.
pub(super) struct HeadPatience {
    due: Instant,
    first_byte: Duration,
    sending: Option<Arc<BodyProgress>>,
    sent_bytes: u64,
    exchange_due: Option<Instant>,
}

impl HeadPatience {
    /// `first_byte` from `now`, and never past `exchange_due`.
    pub(super) fn new(
        now: Instant,
        first_byte: Duration,
        sending: Option<Arc<BodyProgress>>,
        exchange_due: Option<Instant>,
    ) -> Self {
        let due = now + first_byte;
        let due = exchange_due.map_or(due, |last| last.min(due));
        Self {
            due,
            first_byte,
            sending,
            sent_bytes: 0,
            exchange_due,
        }
    }

    /// Whether the time since the deadline was set was the client's.
    fn is_uploading(&mut self) -> bool {
        let Some(body) = self.sending.as_ref().filter(|body| !body.is_done()) else {
            return false;
        };
        let before = std::mem::replace(&mut self.sent_bytes, body.bytes());
        body.is_awaited() || self.sent_bytes != before
    }

    /// Whether it is over; if not, the task is woken when it may be.
    pub(super) fn is_over(&mut self, timer: &mut LazyTimer, cx: &mut Context<'_>) -> bool {
        while timer.has_passed(self.due, cx) {
            let now = clock::instant();
            let at_its_end = self.exchange_due.is_some_and(|last| last <= now);
            if at_its_end || !self.is_uploading() {
                return true;
            }
            let due = now + self.first_byte;
            self.due = self.exchange_due.map_or(due, |last| last.min(due));
        }
        false
    }

    /// Waits for an answer with a timer of its own; None when patience is over first.
    pub(super) async fn bound<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        let mut timer = LazyTimer::default();
        let mut answer = pin!(answer);
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
            Poll::Pending if self.is_over(&mut timer, cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}
