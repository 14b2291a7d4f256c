//! Something that happens once, and that every connection waits for beside its work.
//!
//! A connection asks at every turn whether the drain has begun. A cancellation token answers that
//! under two locks; here it is one load, and the token is asked once, to leave a waker with it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Something that happens once. Clones are the same moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    reached: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Moment {
    /// Now it is.
    pub(super) fn reach(&self) {
        self.reached.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it has been.
    pub(super) fn is_reached(&self) -> bool {
        self.reached.load(Ordering::Acquire)
    }

    /// Resolves when it comes. To be polled by one task only: that is the one it wakes.
    pub(super) fn reached(&self) -> Reached {
        Reached {
            moment: self.clone(),
            waiting: None,
        }
    }
}

/// Waits for a moment, see `Moment::reached`.
#[derive(Debug)]
pub struct Reached {
    moment: Moment,
    waiting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.moment.is_reached() {
            return Poll::Ready(());
        }
        if self.waiting.is_some() {
            return Poll::Pending;
        }
        let waiting = Box::pin(self.moment.token.clone().cancelled_owned());
        self.waiting.insert(waiting).as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_and_who_comes_late_does_not_wait() {
        let moment = Moment::default();
        let waiting = tokio::spawn(moment.reached());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());

        moment.reach();

        waiting.await.unwrap();
        moment.reached().await;
        assert!(moment.is_reached());
    }
}
