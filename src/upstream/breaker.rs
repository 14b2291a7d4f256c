//! The circuit breaker of an upstream: how much of each kind may be under way at a time. What is
//! over a bound is refused at once, because a queue would only make a slow upstream slower.

use super::UpstreamLimits;
use super::budget::RetryBudget;
use super::retry::RetryPolicy;
use crate::telemetry::metrics::{AttemptCounts, Circuit, RetryOutcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One bound: how many are inside, and how many may be.
#[derive(Debug)]
pub(super) struct Gate {
    inside: AtomicUsize,
    max: usize,
    circuit: Circuit,
    counts: Arc<AttemptCounts>,
}

/// One place behind a bound. Dropping it gives the place back, on every way out.
#[derive(Debug)]
pub struct Admission(Arc<Gate>);

impl Drop for Admission {
    fn drop(&mut self) {
        let before = self.0.inside.fetch_sub(1, Ordering::Relaxed);
        if before == self.0.max {
            self.0.counts.set_circuit(self.0.circuit, false);
        }
    }
}

impl Gate {
    fn new(max: usize, circuit: Circuit, counts: &Arc<AttemptCounts>) -> Arc<Self> {
        Arc::new(Self {
            inside: AtomicUsize::new(0),
            max,
            circuit,
            counts: Arc::clone(counts),
        })
    }

    /// A place, unless all are taken.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Admission> {
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        let admission = Admission(Arc::clone(self));
        if before + 1 == self.max {
            self.counts.set_circuit(self.circuit, true);
        }
        (before < self.max).then_some(admission)
    }

    fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }
}

/// The bounds of one upstream.
#[derive(Debug)]
pub(super) struct Breaker {
    requests: Arc<Gate>,
    /// Requests that wait for a connection.
    pub(super) pending: Arc<Gate>,
    retries: Arc<Gate>,
    budget: RetryBudget,
    pub(super) counts: Arc<AttemptCounts>,
}

impl Breaker {
    pub(super) fn new(limits: &UpstreamLimits, counts: Arc<AttemptCounts>) -> Self {
        Self {
            requests: Gate::new(limits.requests_max, Circuit::Requests, &counts),
            pending: Gate::new(limits.pending_max, Circuit::Pending, &counts),
            retries: Gate::new(limits.retries_max, Circuit::Retries, &counts),
            budget: RetryBudget::new(),
            counts,
        }
    }

    /// A place for one more request.
    pub(super) fn request(&self) -> Option<Admission> {
        self.requests.enter()
    }

    /// Requests in flight.
    pub(super) fn requests(&self) -> usize {
        self.requests.inside()
    }

    /// A request that may be retried has come.
    pub(super) fn deposit(&self) {
        self.budget.deposit();
    }

    /// A place for one more retry or hedge, within the budget of `policy`.
    ///
    /// # Errors
    /// Which bound is reached; it has been counted.
    pub(super) fn retry(&self, policy: &RetryPolicy) -> Result<Admission, RetryOutcome> {
        let admission = self.retries.enter().ok_or(RetryOutcome::OverLimit);
        // The place comes first: a retry that gets none takes nothing out of the budget.
        let admission = admission.and_then(|admission| {
            let within = self.budget.withdraw(policy.budget);
            within.then_some(admission).ok_or(RetryOutcome::OverBudget)
        });
        if let Err(outcome) = &admission {
            self.counts.retry(*outcome);
        }
        admission
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    fn breaker(limits: UpstreamLimits) -> Breaker {
        let metrics = Metrics::new();
        Breaker::new(&limits, metrics.attempts(&Arc::from("app")))
    }

    #[tokio::test]
    async fn a_bound_lets_in_as_many_as_it_says_and_tells_when_it_is_reached() {
        let breaker = breaker(UpstreamLimits {
            requests_max: 2,
            ..UpstreamLimits::default()
        });
        let open = |breaker: &Breaker| breaker.counts.circuit(Circuit::Requests);

        let first = breaker.request();
        assert!(first.is_some() && !open(&breaker));
        let second = breaker.request();
        assert!(second.is_some() && open(&breaker));
        assert!(breaker.request().is_none());
        assert!(open(&breaker), "who was refused has changed nothing");

        drop(first);
        assert!(!open(&breaker));
        assert_eq!(breaker.requests(), 1);
        assert!(breaker.request().is_some());
    }

    #[tokio::test]
    async fn a_retry_needs_a_place_and_a_budget() {
        let breaker = breaker(UpstreamLimits {
            retries_max: 1,
            ..UpstreamLimits::default()
        });
        let policy = RetryPolicy {
            budget: 0.0,
            ..RetryPolicy::default()
        };

        let held = breaker.retry(&policy).unwrap();
        assert_eq!(breaker.retry(&policy).unwrap_err(), RetryOutcome::OverLimit);
        drop(held);

        let mut last = Ok(());
        for _ in 0..30 {
            last = breaker.retry(&policy).map(drop);
        }
        assert_eq!(
            last,
            Err(RetryOutcome::OverBudget),
            "the floor is 30, one was taken before"
        );
    }
}
