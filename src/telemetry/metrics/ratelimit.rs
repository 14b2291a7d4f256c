//! What rate limits did, and how the Redis that they share is doing.

use super::exposition::{Exposition, Family, Kind};
use super::series::SeriesTable;
use super::tally::Tally;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Limits come from the configuration; over reloads more of them may pass by than it holds.
const RULES_MAX: usize = 1_024;

/// What became of a request at one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitOutcome {
    /// It fitted.
    Allowed,
    /// It did not, and was refused.
    Refused,
    /// It did not, and passed, because the limit only records.
    WouldRefuse,
    /// The store could not be asked, and it passed.
    FailedOpen,
    /// The store could not be asked, and it was refused.
    FailedClosed,
}

/// Why the shared store could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// There is no connection: the last one failed, and the next one is being tried.
    Down,
    /// It did not answer in time.
    Timeout,
    /// Too many requests wait for it already.
    Busy,
    /// The connection broke.
    Connection,
    /// It answered with an error or with something else than was asked for.
    Reply,
}

const OUTCOMES: [RateLimitOutcome; 5] = [
    RateLimitOutcome::Allowed,
    RateLimitOutcome::Refused,
    RateLimitOutcome::WouldRefuse,
    RateLimitOutcome::FailedOpen,
    RateLimitOutcome::FailedClosed,
];

const FAULTS: [StoreFault; 5] = [
    StoreFault::Down,
    StoreFault::Timeout,
    StoreFault::Busy,
    StoreFault::Connection,
    StoreFault::Reply,
];

impl RateLimitOutcome {
    /// As the label has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::WouldRefuse => "would_refuse",
            Self::FailedOpen => "failed_open",
            Self::FailedClosed => "failed_closed",
        }
    }
}

impl StoreFault {
    /// As label and span have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Connection => "connection_error",
            Self::Reply => "bad_reply",
        }
    }
}

/// The numbers of one limit.
#[derive(Debug)]
pub struct RateLimitCounts {
    rule: Arc<str>,
    outcomes: Tally<{ OUTCOMES.len() }>,
    forgotten: AtomicU64,
}

impl RateLimitCounts {
    /// Of no page: for a limit past the bound of series, and for tests.
    pub fn unlisted(rule: &Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            rule: Arc::clone(rule),
            outcomes: Tally::default(),
            forgotten: AtomicU64::new(0),
        })
    }

    /// One request.
    pub fn count(&self, outcome: RateLimitOutcome) {
        self.outcomes.count(outcome as usize);
    }

    /// A key that owed something was forgotten, because there was no place left.
    pub fn forgot(&self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests with this outcome so far.
    pub fn of(&self, outcome: RateLimitOutcome) -> u64 {
        self.outcomes.of(outcome as usize)
    }

    /// Keys forgotten so far.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }
}

/// The numbers of the shared store.
#[derive(Debug, Default)]
pub struct StoreCounts {
    /// Which store tells whether it is up, counted from one; zero where there is none.
    owner: AtomicU64,
    up: AtomicBool,
    asked: AtomicU64,
    faults: Tally<{ FAULTS.len() }>,
}

impl StoreCounts {
    /// From here on another store tells whether it is up: the one that gets this number.
    pub fn claim(&self) -> u64 {
        self.owner.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Requests can be sent from now on, or cannot any more. The store that a reload replaced
    /// comes late with that, and does not count.
    pub fn set_up(&self, owner: u64, up: bool) {
        if owner != 0 && owner == self.owner.load(Ordering::Relaxed) {
            self.up.store(up, Ordering::Relaxed);
        }
    }

    /// Whether requests can be sent.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// One call was sent.
    pub fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// One call got no answer.
    pub fn failed(&self, fault: StoreFault) {
        self.faults.count(fault as usize);
    }

    /// Calls that got no answer for this reason, so far.
    pub fn faults(&self, fault: StoreFault) -> u64 {
        self.faults.of(fault as usize)
    }
}

/// The numbers of all limits.
pub(super) struct RateLimitMetrics {
    rules: SeriesTable<Arc<RateLimitCounts>>,
    store: Arc<StoreCounts>,
}

impl RateLimitMetrics {
    pub(super) fn new() -> Self {
        Self {
            rules: SeriesTable::new(RULES_MAX),
            store: Arc::default(),
        }
    }

    pub(super) fn rule(&self, name: &Arc<str>) -> Arc<RateLimitCounts> {
        let is = |held: &RateLimitCounts| *held.rule == **name;
        self.rules
            .named(name, is, || RateLimitCounts::unlisted(name))
    }

    pub(super) fn store(&self) -> Arc<StoreCounts> {
        Arc::clone(&self.store)
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_ratelimit_requests",
            kind: Kind::Counter,
            help: "Requests at each rate limit, by what became of them.",
        });
        for counts in self.rules.iter() {
            for outcome in OUTCOMES {
                let labels = [("rule", &*counts.rule), ("outcome", outcome.name())];
                page.sample(&labels, counts.of(outcome));
            }
        }
        page.family(Family {
            name: "edgespan_ratelimit_keys_forgotten",
            kind: Kind::Counter,
            help: "Keys that owed something and were forgotten, because a limit's table was full.",
        });
        for counts in self.rules.iter() {
            page.sample(&[("rule", &counts.rule)], counts.forgotten());
        }
        if self.store.owner.load(Ordering::Relaxed) != 0 {
            self.render_store(page);
        }
    }

    fn render_store(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_ratelimit_store_up",
            kind: Kind::Gauge,
            help: "Whether the Redis that limits and sessions share can be asked.",
        });
        page.sample(&[], u64::from(self.store.is_up()));
        page.family(Family {
            name: "edgespan_ratelimit_store_calls",
            kind: Kind::Counter,
            help: "Calls sent to the Redis that limits and sessions share.",
        });
        page.sample(&[], self.store.asked.load(Ordering::Relaxed));
        page.family(Family {
            name: "edgespan_ratelimit_store_failures",
            kind: Kind::Counter,
            help: "Calls that the Redis which limits and sessions share did not answer.",
        });
        for fault in FAULTS {
            page.sample(&[("error_type", fault.name())], self.store.faults(fault));
        }
    }
}
