//! What policies remember, and how often that saved a question.

use super::exposition::{Exposition, Family, Kind};
use super::series::{SeriesTable, hash_labels};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Policies come from the configuration; over reloads more of them may pass by than it holds.
const POLICIES_MAX: usize = 1_024;

/// Where a decision came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthCacheOutcome {
    /// It was remembered.
    Hit,
    /// It was asked for, and others may have it.
    Miss,
    /// Another request was asking the same.
    Shared,
    /// It was asked for, and is nobody else's.
    Bypass,
}

const OUTCOMES: [AuthCacheOutcome; 4] = [
    AuthCacheOutcome::Hit,
    AuthCacheOutcome::Miss,
    AuthCacheOutcome::Shared,
    AuthCacheOutcome::Bypass,
];

impl AuthCacheOutcome {
    /// As label and span have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Shared => "shared",
            Self::Bypass => "bypass",
        }
    }
}

/// The numbers of one policy.
#[derive(Debug)]
pub struct AuthCacheCounts {
    policy: Arc<str>,
    outcomes: [AtomicU64; OUTCOMES.len()],
    gave_up: AtomicU64,
}

impl AuthCacheCounts {
    /// Of no page: for a policy past the bound of series, and for tests.
    pub fn unlisted(policy: &Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            policy: Arc::clone(policy),
            outcomes: Default::default(),
            gave_up: AtomicU64::new(0),
        })
    }

    /// One decision.
    pub fn count(&self, outcome: AuthCacheOutcome) {
        if let Some(count) = self.outcomes.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A decision that was still good was given up, because there was no place left.
    pub fn gave_up(&self) {
        self.gave_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Decisions with this outcome so far.
    pub fn of(&self, outcome: AuthCacheOutcome) -> u64 {
        let count = self.outcomes.get(outcome as usize);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Decisions given up so far.
    pub fn given_up(&self) -> u64 {
        self.gave_up.load(Ordering::Relaxed)
    }
}

/// The numbers of all policies that remember.
pub(super) struct AuthCacheMetrics {
    policies: SeriesTable<Arc<AuthCacheCounts>>,
}

impl AuthCacheMetrics {
    pub(super) fn new() -> Self {
        Self {
            policies: SeriesTable::new(POLICIES_MAX),
        }
    }

    pub(super) fn policy(&self, name: &Arc<str>) -> Arc<AuthCacheCounts> {
        let place = self.policies.find_or_insert(
            hash_labels(&**name),
            |held| *held.policy == **name,
            || AuthCacheCounts::unlisted(name),
        );
        place.map_or_else(|| AuthCacheCounts::unlisted(name), Arc::clone)
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_auth_cache_decisions",
            kind: Kind::Counter,
            help: "Decisions of policies that remember them, by where they came from.",
        });
        for counts in self.policies.iter() {
            for outcome in OUTCOMES {
                let labels = [("policy", &*counts.policy), ("outcome", outcome.name())];
                page.sample(&labels, counts.of(outcome));
            }
        }
        page.family(Family {
            name: "edgespan_auth_cache_given_up",
            kind: Kind::Counter,
            help: "Decisions that were still good and given up, because the table was full.",
        });
        for counts in self.policies.iter() {
            page.sample(&[("policy", &counts.policy)], counts.given_up());
        }
    }
}
