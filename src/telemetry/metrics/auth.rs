//! What policies decided, how long that took, and how their caches do.

use super::exposition::{Exposition, Family, Kind};
use super::histogram::{Bounds, ExemplarIds, Histogram};
use super::series::{SeriesTable, hash_labels};
use super::tally::Tally;
use crate::clock::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Policies come from the configuration; over reloads more of them may pass by than it holds.
const POLICIES_MAX: usize = 1_024;
/// Decisions and reasons are words in the source.
const DECISIONS_MAX: usize = 64;

const MICROS: u64 = 1_000;
const MILLIS: u64 = 1_000_000;

/// A decision that asks nobody takes microseconds, a password tens of milliseconds, an authorizer
/// as long as it may.
const DECISION_BOUNDS: Bounds = &[
    2 * MICROS,
    10 * MICROS,
    50 * MICROS,
    100 * MICROS,
    500 * MICROS,
    MILLIS,
    5 * MILLIS,
    10 * MILLIS,
    25 * MILLIS,
    50 * MILLIS,
    100 * MILLIS,
    250 * MILLIS,
    500 * MILLIS,
    1_000 * MILLIS,
    5_000 * MILLIS,
];

/// What a cache of decisions did for one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthCacheOutcome {
    /// It knew the answer.
    Hit,
    /// The authorizer was asked.
    Miss,
    /// The same was being asked already, and that answer served.
    Shared,
    /// The question or its answer may not be kept.
    Bypass,
    /// An answer was forgotten before its time, because there was no room left.
    Evicted,
}

const CACHE_OUTCOMES: [AuthCacheOutcome; 5] = [
    AuthCacheOutcome::Hit,
    AuthCacheOutcome::Miss,
    AuthCacheOutcome::Shared,
    AuthCacheOutcome::Bypass,
    AuthCacheOutcome::Evicted,
];

impl AuthCacheOutcome {
    /// As the label has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Shared => "shared",
            Self::Bypass => "bypass",
            Self::Evicted => "evicted",
        }
    }
}

/// What one policy decided, as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct AuthObservation {
    /// `allow`, `deny`, `abstain` or `cancelled`.
    pub decision: &'static str,
    /// Why it does not allow: a word in the source, or nothing.
    pub reason: &'static str,
    /// False if it only records.
    pub enforced: bool,
    /// How long it took, calls to others included.
    pub duration: Duration,
    /// When it was decided.
    pub ended: Timestamp,
    /// Its span, if that is recorded.
    pub exemplar: Option<ExemplarIds>,
}

/// The numbers of one policy.
pub struct AuthCounts {
    policy: Arc<str>,
    decisions: SeriesTable<Decided>,
    duration: Histogram,
    cache: Tally<{ CACHE_OUTCOMES.len() }>,
}

struct Decided {
    decision: &'static str,
    reason: &'static str,
    enforced: bool,
    count: AtomicU64,
}

impl AuthCounts {
    /// Of no page: for a policy past the bound of series, and for tests.
    pub fn unlisted(policy: &Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            policy: Arc::clone(policy),
            decisions: SeriesTable::new(DECISIONS_MAX),
            duration: Histogram::new(DECISION_BOUNDS),
            cache: Tally::default(),
        })
    }

    /// One decision.
    pub fn decided(&self, seen: &AuthObservation) {
        let AuthObservation {
            decision,
            reason,
            enforced,
            ..
        } = *seen;
        let place = self.decisions.find_or_insert(
            hash_labels((decision, reason, enforced)),
            |held| (held.decision, held.reason, held.enforced) == (decision, reason, enforced),
            || Decided {
                decision,
                reason,
                enforced,
                count: AtomicU64::new(0),
            },
        );
        if let Some(place) = place {
            place.count.fetch_add(1, Ordering::Relaxed);
        }
        self.duration
            .observe(seen.duration, seen.ended, seen.exemplar);
    }

    /// One question to its cache.
    pub fn cached(&self, outcome: AuthCacheOutcome) {
        self.cache.count(outcome as usize);
    }

    /// Questions to its cache with this outcome so far.
    pub fn cache(&self, outcome: AuthCacheOutcome) -> u64 {
        self.cache.of(outcome as usize)
    }
}

/// The numbers of all policies.
pub(super) struct AuthMetrics {
    policies: SeriesTable<Arc<AuthCounts>>,
    stripped: AtomicU64,
    unfit: AtomicU64,
}

impl AuthMetrics {
    pub(super) fn new() -> Self {
        Self {
            policies: SeriesTable::new(POLICIES_MAX),
            stripped: AtomicU64::new(0),
            unfit: AtomicU64::new(0),
        }
    }

    pub(super) fn policy(&self, name: &Arc<str>) -> Arc<AuthCounts> {
        let is = |held: &AuthCounts| *held.policy == **name;
        self.policies.named(name, is, || AuthCounts::unlisted(name))
    }

    pub(super) fn stripped(&self) {
        self.stripped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unfit(&self, fields: usize) {
        self.unfit.fetch_add(fields as u64, Ordering::Relaxed);
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_auth_decisions",
            kind: Kind::Counter,
            help: "Decisions of each policy. Those that are not enforced refuse nobody.",
        });
        for counts in self.policies.iter() {
            for one in counts.decisions.iter() {
                let labels = [
                    ("policy", &*counts.policy),
                    ("decision", one.decision),
                    ("reason", one.reason),
                    ("enforced", if one.enforced { "true" } else { "false" }),
                ];
                page.sample(&labels, one.count.load(Ordering::Relaxed));
            }
        }
        page.family(Family {
            name: "edgespan_auth_decision_duration_seconds",
            kind: Kind::Histogram,
            help: "Time that a policy's decision took, calls to others included.",
        });
        for counts in self.policies.iter() {
            page.histogram(&[("policy", &counts.policy)], &counts.duration.snapshot());
        }
        page.family(Family {
            name: "edgespan_auth_cache",
            kind: Kind::Counter,
            help: "Questions to a policy's cache of decisions, by what it did for them.",
        });
        for counts in self
            .policies
            .iter()
            .filter(|counts| !counts.cache.is_empty())
        {
            for outcome in CACHE_OUTCOMES {
                let labels = [("policy", &*counts.policy), ("outcome", outcome.name())];
                page.sample(&labels, counts.cache(outcome));
            }
        }
        page.family(Family {
            name: "edgespan_identity_stripped",
            kind: Kind::Counter,
            help: "Requests whose client sent header fields that only edgespan writes.",
        });
        page.sample(&[], self.stripped.load(Ordering::Relaxed));
        page.family(Family {
            name: "edgespan_identity_unfit",
            kind: Kind::Counter,
            help: "Identity header fields left out, because no field can hold their value.",
        });
        page.sample(&[], self.unfit.load(Ordering::Relaxed));
    }
}
