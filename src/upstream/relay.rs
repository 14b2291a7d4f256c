//! A waker that stays while the task behind it changes.
//!
//! A pooled connection serves one task after the other. With the tasks' own wakers every layer
//! below would note a new one for each request; this one they know already.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Passes a wake-up on to whoever uses the connection, if somebody does.
#[derive(Debug, Default)]
pub(super) struct Relay(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    task: Option<Waker>,
    muted: bool,
    /// Whether somebody was not woken because of `muted`.
    missed: bool,
}

impl Relay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wake-ups go to this task from now on.
    pub(super) fn lead_to(&self, task: &Waker) {
        let mut state = self.state();
        match &mut state.task {
            Some(known) => known.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }

    /// Wake-ups go nowhere from now on.
    pub(super) fn lead_nowhere(&self) {
        let task = self.state().task.take();
        // Outside the lock: the last waker of a task may drop the task, and that us.
        drop(task);
    }

    /// Keeps wake-ups back until [`Self::unmute`].
    pub(super) fn mute(&self) {
        let mut state = self.state();
        state.muted = true;
        state.missed = false;
    }

    /// Passes them on again; one that was kept back meanwhile only if it is still `wanted`.
    pub(super) fn unmute(&self, wanted: bool) {
        let mut state = self.state();
        state.muted = false;
        let late = (wanted && state.missed)
            .then(|| state.task.clone())
            .flatten();
        drop(state);
        if let Some(task) = late {
            task.wake();
        }
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        if state.muted {
            state.missed = true;
            return;
        }
        let task = state.task.clone();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Task {
        fn woken(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn whoever_uses_the_connection_is_woken_and_nobody_else() {
        let (first, second) = (Arc::new(Task::default()), Arc::new(Task::default()));
        let relay = Arc::new(Relay::default());
        let waker = Waker::from(Arc::clone(&relay));

        waker.wake_by_ref();
        relay.lead_to(&Waker::from(Arc::clone(&first)));
        waker.wake_by_ref();
        relay.lead_to(&Waker::from(Arc::clone(&second)));
        waker.wake_by_ref();
        waker.wake_by_ref();
        relay.lead_nowhere();
        waker.wake_by_ref();

        assert_eq!((first.woken(), second.woken()), (1, 2));
    }

    #[test]
    fn a_wake_up_that_was_kept_back_comes_late_but_comes_if_it_is_wanted() {
        let task = Arc::new(Task::default());
        let relay = Arc::new(Relay::default());
        let waker = Waker::from(Arc::clone(&relay));
        relay.lead_to(&Waker::from(Arc::clone(&task)));

        relay.mute();
        waker.wake_by_ref();
        assert_eq!(task.woken(), 0);
        relay.unmute(false);
        assert_eq!(task.woken(), 0);

        relay.mute();
        relay.unmute(true);
        assert_eq!(task.woken(), 0, "nothing was kept back");

        relay.mute();
        waker.wake_by_ref();
        relay.unmute(true);
        assert_eq!(task.woken(), 1);
    }
}
