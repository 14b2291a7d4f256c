//! Limits at work: what they are and what they remember.

use super::charge::Charges;
use super::gcra::Verdict;
use super::key::{self, KeyFacts};
use super::settings::{OnStoreFailure, RateLimitSettings, RateLimitStore};
use super::shared::SharedStore;
use super::table::{KeyHash, Table};
use crate::clock;
use crate::shared::Line;
use crate::telemetry::metrics::{Metrics, RateLimitCounts};
use std::hash::RandomState;
use std::sync::Arc;
use tokio::time::Instant;

/// One limit at work.
pub struct Rule {
    settings: RateLimitSettings,
    /// Its buckets in this process. None where only Redis has them.
    table: Option<Table>,
    secret: RandomState,
    counts: Arc<RateLimitCounts>,
}

impl Rule {
    fn new(settings: RateLimitSettings, metrics: &Metrics) -> Self {
        let local = match settings.store {
            RateLimitStore::Local => true,
            RateLimitStore::Redis { on_failure } => on_failure == OnStoreFailure::Local,
        };
        Self {
            table: local.then(|| Table::new(settings.keys_max, clock::instant())),
            secret: RandomState::new(),
            counts: metrics.rate_limit(&settings.name),
            settings,
        }
    }

    /// What it was made from.
    pub const fn settings(&self) -> &RateLimitSettings {
        &self.settings
    }

    /// What it counted.
    pub fn counts(&self) -> &RateLimitCounts {
        &self.counts
    }

    pub(super) fn local_key(&self, facts: &KeyFacts<'_>) -> Option<KeyHash> {
        key::local(&self.settings, facts, &self.secret)
    }

    /// Takes one request from a bucket of this process. None: there are none.
    pub(super) fn charge(&self, key: KeyHash, now: Instant) -> Option<Verdict> {
        let charged = self.table.as_ref()?.charge(key, &self.settings.quota, now);
        if charged.forgot {
            self.counts.forgot();
        }
        Some(charged.verdict)
    }

    pub(super) fn refund(&self, key: KeyHash) {
        if let Some(table) = &self.table {
            table.refund(key, &self.settings.quota);
        }
    }
}

/// Limits by name, with those of listeners and the store that they share.
#[derive(Default)]
pub struct RateLimits {
    rules: Vec<Arc<Rule>>,
    /// Limits of every request that comes in by a listener. Mostly empty.
    listeners: Vec<(Arc<str>, Vec<Arc<Rule>>)>,
    store: Option<Arc<SharedStore>>,
}

impl RateLimits {
    /// Limits of a plan. Those that `before` has in the same words go on as they are, with what
    /// they remember. `redis` is what they share, where the file has one.
    pub fn new(
        settings: &[RateLimitSettings],
        redis: Option<&Arc<Line>>,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Self {
        let rule = |settings: &RateLimitSettings| {
            let known = before.and_then(|before| before.rule(&settings.name));
            known.filter(|rule| rule.settings == *settings).map_or_else(
                || Arc::new(Rule::new(settings.clone(), metrics)),
                Arc::clone,
            )
        };
        Self {
            rules: settings.iter().map(rule).collect(),
            listeners: Vec::new(),
            store: redis.map(SharedStore::new),
        }
    }

    /// Applies limits to everything that comes in by a listener. Names that no limit has are
    /// passed over; the configuration knows none.
    pub fn apply_to_listener(&mut self, listener: &Arc<str>, names: &[Arc<str>]) {
        if !names.is_empty() {
            let rules = self.named(names);
            self.listeners.push((Arc::clone(listener), rules));
        }
    }

    /// Limits by their names.
    pub fn named(&self, names: &[Arc<str>]) -> Vec<Arc<Rule>> {
        let found = names.iter().filter_map(|name| self.rule(name));
        found.map(Arc::clone).collect()
    }

    fn rule(&self, name: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| *rule.settings.name == *name)
    }

    /// The buckets of one request: those of its listener, then those of its route, each limit
    /// once. None, at the price of two looks, where nothing limits it.
    pub fn begin(&self, route: &[Arc<Rule>], facts: &KeyFacts<'_>) -> Option<Box<Charges>> {
        if route.is_empty() && self.listeners.is_empty() {
            return None;
        }
        let of_listener = self
            .listeners
            .iter()
            .find(|(name, _)| **name == *facts.listener)
            .map_or(&[][..], |(_, rules)| rules);
        if route.is_empty() && of_listener.is_empty() {
            return None;
        }
        let fresh = route
            .iter()
            .filter(|rule| !of_listener.iter().any(|other| Arc::ptr_eq(other, rule)));
        Charges::of(of_listener.iter().chain(fresh), facts, self.store.as_ref())
    }

    /// The buckets of a request at limits that go by who its client is.
    pub fn begin_known(&self, route: &[Arc<Rule>], facts: &KeyFacts<'_>) -> Option<Box<Charges>> {
        Charges::of(route.iter(), facts, self.store.as_ref())
    }
}
