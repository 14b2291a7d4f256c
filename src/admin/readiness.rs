//! Whether this process takes requests: what `/ready` tells a load balancer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Shared by who knows and who asks. A state is never left backwards: once draining, a process
/// does not become ready again.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReadinessState {
    /// Listeners are not open yet, or keys are waited for.
    Starting,
    /// Requests are taken.
    Ready,
    /// Requests in flight are finished, new ones should go elsewhere.
    Draining,
}

impl Readiness {
    /// Starting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listeners are open, and what is needed from elsewhere is there, or late.
    pub fn ready(&self) {
        self.0
            .fetch_max(ReadinessState::Ready as u8, Ordering::Relaxed);
    }

    /// The end has begun.
    pub fn draining(&self) {
        self.0
            .fetch_max(ReadinessState::Draining as u8, Ordering::Relaxed);
    }

    /// Where it stands.
    pub fn state(&self) -> ReadinessState {
        match self.0.load(Ordering::Relaxed) {
            0 => ReadinessState::Starting,
            1 => ReadinessState::Ready,
            _ => ReadinessState::Draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_process_never_becomes_ready_again() {
        let readiness = Readiness::new();
        assert_eq!(readiness.state(), ReadinessState::Starting);
        readiness.ready();
        assert_eq!(readiness.state(), ReadinessState::Ready);
        readiness.draining();
        readiness.ready();
        assert_eq!(readiness.state(), ReadinessState::Draining);
    }
}
