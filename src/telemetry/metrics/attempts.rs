//! Retries, hedges and circuit breakers of upstreams.

use super::exposition::{Exposition, Family, Kind};
use super::series::SeriesTable;
use super::tally::Tally;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Upstreams come from the configuration; over reloads more may pass by than it holds at a time.
const UPSTREAMS_MAX: usize = 1_024;

/// What became of retrying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOutcome {
    /// An attempt after the first was made.
    Attempted,
    /// A request that was retried got a good answer.
    Succeeded,
    /// A request was retried as often as allowed and got none.
    Exhausted,
    /// A retry was not made, because the budget was used up.
    OverBudget,
    /// A retry was not made, because `limits.retries` were in flight.
    OverLimit,
}

/// What became of attempts beside a slow one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeOutcome {
    /// One was made.
    Attempted,
    /// It answered first.
    Won,
    /// Another one answered first.
    Lost,
}

/// The bounds of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Requests in flight.
    Requests,
    /// Requests that wait for a connection.
    Pending,
    /// Retries in flight.
    Retries,
}

const RETRIES: [(RetryOutcome, &str); 5] = [
    (RetryOutcome::Attempted, "attempted"),
    (RetryOutcome::Succeeded, "succeeded"),
    (RetryOutcome::Exhausted, "exhausted"),
    (RetryOutcome::OverBudget, "over_budget"),
    (RetryOutcome::OverLimit, "over_limit"),
];
const HEDGES: [(HedgeOutcome, &str); 3] = [
    (HedgeOutcome::Attempted, "attempted"),
    (HedgeOutcome::Won, "won"),
    (HedgeOutcome::Lost, "lost"),
];
const CIRCUITS: [(Circuit, &str); 3] = [
    (Circuit::Requests, "requests"),
    (Circuit::Pending, "pending"),
    (Circuit::Retries, "retries"),
];

/// The numbers of one upstream.
#[derive(Debug, Default)]
pub struct AttemptCounts {
    upstream: Box<str>,
    retries: Tally<{ RETRIES.len() }>,
    hedges: Tally<{ HEDGES.len() }>,
    circuits: [AtomicBool; CIRCUITS.len()],
}

impl AttemptCounts {
    /// Counts what became of a retry.
    pub fn retry(&self, outcome: RetryOutcome) {
        self.retries.count(outcome as usize);
    }

    /// Counts what became of a hedge.
    pub fn hedge(&self, outcome: HedgeOutcome) {
        self.hedges.count(outcome as usize);
    }

    /// Whether a bound is reached from now on.
    pub fn set_circuit(&self, circuit: Circuit, open: bool) {
        if let Some(state) = self.circuits.get(circuit as usize) {
            state.store(open, Ordering::Relaxed);
        }
    }

    /// Whether a bound is reached.
    pub fn circuit(&self, circuit: Circuit) -> bool {
        let state = self.circuits.get(circuit as usize);
        state.is_some_and(|state| state.load(Ordering::Relaxed))
    }
}

/// Those of all upstreams.
pub(super) struct AttemptMetrics(SeriesTable<Arc<AttemptCounts>>);

impl AttemptMetrics {
    pub(super) fn new() -> Self {
        Self(SeriesTable::new(UPSTREAMS_MAX))
    }

    /// The numbers of an upstream; past the bound some that nobody sees.
    pub(super) fn of(&self, upstream: &str) -> Arc<AttemptCounts> {
        let made = || {
            Arc::new(AttemptCounts {
                upstream: upstream.into(),
                ..AttemptCounts::default()
            })
        };
        let is = |held: &AttemptCounts| *held.upstream == *upstream;
        self.0.named(upstream, is, made)
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_upstream_retries",
            kind: Kind::Counter,
            help: "Attempts after the first, and what became of requests that had some.",
        });
        for counts in self.0.iter() {
            for (outcome, name) in RETRIES {
                let labels = [("upstream", &*counts.upstream), ("outcome", name)];
                page.sample(&labels, counts.retries.of(outcome as usize));
            }
        }
        page.family(Family {
            name: "edgespan_upstream_hedges",
            kind: Kind::Counter,
            help: "Attempts beside a slow one, and which answered first.",
        });
        for counts in self.0.iter() {
            for (outcome, name) in HEDGES {
                let labels = [("upstream", &*counts.upstream), ("outcome", name)];
                page.sample(&labels, counts.hedges.of(outcome as usize));
            }
        }
        page.family(Family {
            name: "edgespan_upstream_circuit_open",
            kind: Kind::Gauge,
            help: "1 while a limit of the upstream is reached.",
        });
        for counts in self.0.iter() {
            for (circuit, limit) in CIRCUITS {
                let labels = [("upstream", &*counts.upstream), ("limit", limit)];
                page.sample(&labels, u8::from(counts.circuit(circuit)));
            }
        }
    }
}
