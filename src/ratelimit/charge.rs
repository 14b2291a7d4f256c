//! One request at all its limits: every limit that refuses has to agree, or none is charged.
//!
//! Buckets of this process are asked first, in the order of the configuration; then all those in
//! Redis with one call. A request that is refused gives back what it took before. A limit that
//! only records takes part, but its refusal counts for nothing.

use super::gcra::Verdict;
use super::key::{self, KeyFacts};
use super::rule::Rule;
use super::settings::{OnStoreFailure, RateLimitStore};
use super::shared::{Ask, SharedStore};
use super::table::KeyHash;
use crate::telemetry::metrics::{RateLimitOutcome, StoreFault};
use std::sync::Arc;
use tokio::time::Instant;

/// The buckets of one request.
pub struct Charges {
    entries: Vec<Entry>,
    store: Option<Arc<SharedStore>>,
    fault: Option<StoreFault>,
    /// What was settled before, by limits that nothing had to be proved for.
    earlier: Option<Box<Self>>,
}

struct Entry {
    rule: Arc<Rule>,
    local: Option<KeyHash>,
    shared: Option<String>,
    verdict: Option<Verdict>,
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There were too many.
    Limited,
    /// The limit could not be asked, and is to refuse then.
    Unknown(StoreFault),
}

/// What a limit said.
#[derive(Clone, Copy)]
pub struct Decision<'a> {
    /// Which limit.
    pub rule: &'a Rule,
    /// What it said.
    pub verdict: Verdict,
}

impl Charges {
    pub(super) fn of<'a>(
        rules: impl Iterator<Item = &'a Arc<Rule>>,
        facts: &KeyFacts<'_>,
        store: Option<&Arc<SharedStore>>,
    ) -> Option<Box<Self>> {
        let mut entries = Vec::new();
        for rule in rules {
            let (local, shared) = match rule.settings().store {
                RateLimitStore::Local => (rule.local_key(facts), None),
                RateLimitStore::Redis { on_failure } => {
                    let prefix = store.map_or("", |store| &store.settings().prefix);
                    let fallback = on_failure == OnStoreFailure::Local;
                    (
                        fallback.then(|| rule.local_key(facts)).flatten(),
                        key::shared(rule.settings(), facts, prefix),
                    )
                }
            };
            if local.is_some() || shared.is_some() {
                entries.push(Entry {
                    rule: Arc::clone(rule),
                    local,
                    shared,
                    verdict: None,
                });
            }
        }
        (!entries.is_empty()).then(|| {
            let asks = entries.iter().any(|entry| entry.shared.is_some());
            Box::new(Self {
                entries,
                store: store.filter(|_| asks).map(Arc::clone),
                fault: None,
                earlier: None,
            })
        })
    }

    /// Puts what was settled before beside it. That stays as it is, and is told of, too.
    #[must_use]
    pub fn after(mut self: Box<Self>, earlier: Option<Box<Self>>) -> Box<Self> {
        self.earlier = earlier;
        self
    }

    /// Asks the limits of this process.
    ///
    /// # Errors
    /// When one refuses. Nothing is charged then.
    pub fn charge_local(&mut self, now: Instant) -> Result<(), Refused> {
        self.charge_here(|entry| entry.shared.is_none(), now)?;
        if !self.asks_store() {
            self.count_passed();
        }
        Ok(())
    }

    /// Whether limits are left that only Redis can tell.
    pub fn asks_store(&self) -> bool {
        self.entries.iter().any(|entry| entry.shared.is_some())
    }

    /// Asks the limits that are kept in Redis.
    ///
    /// # Errors
    /// When one refuses, or could not be asked and is to refuse then. Nothing is charged then.
    pub async fn charge_shared(&mut self, now: Instant) -> Result<(), Refused> {
        let asked = match &self.store {
            Some(store) => {
                let entries = self.entries.iter();
                let asks = entries.filter_map(|entry| {
                    Some(Ask {
                        key: entry.shared.as_deref()?,
                        quota: entry.rule.settings().quota,
                        enforce: entry.rule.settings().enforce,
                    })
                });
                store.ask(asks).await
            }
            None => Err(StoreFault::Down),
        };
        match asked {
            Ok(verdicts) => {
                let entries = self.entries.iter_mut();
                let shared = entries.filter(|entry| entry.shared.is_some());
                for (entry, verdict) in shared.zip(verdicts) {
                    entry.verdict = Some(verdict);
                }
                self.settle()?;
            }
            Err(fault) => self.without_store(fault, now)?,
        }
        self.count_passed();
        Ok(())
    }

    /// What the limits in Redis come to without it.
    fn without_store(&mut self, fault: StoreFault, now: Instant) -> Result<(), Refused> {
        self.fault = Some(fault);
        self.charge_here(|entry| entry.shared.is_some() && entry.local.is_some(), now)?;
        let closed = |entry: &&Entry| entry.fails_closed();
        let mut closed = self.entries.iter().filter(closed).peekable();
        if closed.peek().is_none() {
            return Ok(());
        }
        for entry in closed {
            entry.rule.counts().count(RateLimitOutcome::FailedClosed);
        }
        self.refund(|_| true);
        Err(Refused::Unknown(fault))
    }

    fn charge_here(&mut self, which: fn(&Entry) -> bool, now: Instant) -> Result<(), Refused> {
        for entry in self.entries.iter_mut().filter(|entry| which(entry)) {
            if let Some(key) = entry.local {
                entry.verdict = entry.rule.charge(key, now);
            }
            if entry.refuses() {
                break;
            }
        }
        self.settle()
    }

    /// If one refuses, everything is given back.
    fn settle(&self) -> Result<(), Refused> {
        let Some(refusing) = self.entries.iter().find(|entry| entry.refuses()) else {
            return Ok(());
        };
        refusing.rule.counts().count(RateLimitOutcome::Refused);
        self.refund(|entry| !entry.refuses());
        Err(Refused::Limited)
    }

    /// Counts what each limit said of a request that passes all of them.
    fn count_passed(&self) {
        for entry in &self.entries {
            entry.rule.counts().count(match entry.verdict {
                Some(verdict) if verdict.admitted => RateLimitOutcome::Allowed,
                Some(_) => RateLimitOutcome::WouldRefuse,
                None => RateLimitOutcome::FailedOpen,
            });
        }
    }

    /// Gives back what was taken in this process; in Redis nothing was, if anybody refused.
    fn refund(&self, which: fn(&Entry) -> bool) {
        for entry in self.entries.iter().filter(|entry| which(entry)) {
            // A key that is only for the case that Redis fails was not charged if it did not.
            let here = entry.shared.is_none() || self.fault.is_some();
            let taken = entry.verdict.is_some_and(|verdict| verdict.admitted);
            if let (Some(key), true, true) = (entry.local, here, taken) {
                entry.rule.refund(key);
            }
        }
    }

    /// Why Redis could not be asked, if it could not.
    pub fn fault(&self) -> Option<StoreFault> {
        let earlier = self.earlier.as_ref();
        self.fault.or_else(|| earlier.and_then(|one| one.fault))
    }

    /// The limit that says most of this request: the one that refuses, else one that would, else
    /// the one with the least left.
    pub fn decision(&self) -> Option<Decision<'_>> {
        self.decisions().min_by_key(|decision| {
            let enforced = decision.rule.settings().enforce;
            let rank = match (decision.verdict.admitted, enforced) {
                (false, true) => 0,
                (false, false) => 1,
                (true, _) => 2,
            };
            (rank, decision.verdict.remaining)
        })
    }

    /// The limit that the client is told of: the one that refuses, else the one with the least
    /// left, of those that can refuse.
    pub fn told(&self) -> Option<Decision<'_>> {
        let enforced = self
            .decisions()
            .filter(|decision| decision.rule.settings().enforce);
        enforced.min_by_key(|decision| (decision.verdict.admitted, decision.verdict.remaining))
    }

    fn decisions(&self) -> impl Iterator<Item = Decision<'_>> {
        let earlier = self.earlier.iter().flat_map(|one| &one.entries);
        self.entries.iter().chain(earlier).filter_map(|entry| {
            Some(Decision {
                rule: &entry.rule,
                verdict: entry.verdict?,
            })
        })
    }
}

impl Entry {
    fn refuses(&self) -> bool {
        let refused = self.verdict.is_some_and(|verdict| !verdict.admitted);
        refused && self.rule.settings().enforce
    }

    /// Whether it refuses because Redis could not be asked.
    fn fails_closed(&self) -> bool {
        let settings = self.rule.settings();
        let closed = RateLimitStore::Redis {
            on_failure: OnStoreFailure::Closed,
        };
        settings.enforce && self.shared.is_some() && settings.store == closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::ratelimit::RateLimits;
    use crate::ratelimit::gcra::Quota;
    use crate::ratelimit::settings::{LimitHeaders, MissingKey, RateLimitSettings};
    use crate::shared::{Line, RedisSettings};
    use crate::telemetry::metrics::Metrics;
    use http::HeaderMap;
    use std::time::Duration;

    fn limit(name: &str, store: RateLimitStore) -> RateLimitSettings {
        RateLimitSettings {
            name: Arc::from(name),
            quota: Quota::new(1, Duration::from_secs(60), 2),
            key: Vec::new(),
            missing: MissingKey::Share,
            ipv6_prefix: 64,
            store,
            keys_max: 16,
            enforce: true,
            preflights: true,
            headers: LimitHeaders::Off,
        }
    }

    /// A Redis that nobody reaches.
    fn gone() -> RedisSettings {
        RedisSettings {
            host: Arc::from("127.0.0.1"),
            port: 9,
            database: 0,
            tls: None,
            username: None,
            password: None,
            timeout: Duration::from_millis(10),
            prefix: Arc::from("{edgespan}:"),
        }
    }

    /// What these limits counted of one request, each allowed, refused, failed open and closed.
    async fn counted(limits: &[RateLimitSettings]) -> (Result<(), Refused>, Vec<[u64; 4]>) {
        let metrics = Metrics::new();
        let names = limits.iter().map(|one| Arc::clone(&one.name));
        let redis = Line::start(&gone(), metrics.redis()).unwrap();
        let live = RateLimits::new(limits, Some(&redis), &metrics, None);
        let rules = live.named(&names.collect::<Vec<_>>());
        let facts = KeyFacts {
            client: "10.0.0.1".parse().unwrap(),
            headers: &HeaderMap::new(),
            route: None,
            listener: "web",
            is_preflight: false,
            known: None,
        };
        let mut charges = live.begin(&rules, &facts).unwrap();
        let now = clock::instant();
        let mut charged = charges.charge_local(now);
        if charged.is_ok() && charges.asks_store() {
            charged = charges.charge_shared(now).await;
        }
        let of = |rule: &Arc<Rule>| {
            [
                RateLimitOutcome::Allowed,
                RateLimitOutcome::Refused,
                RateLimitOutcome::FailedOpen,
                RateLimitOutcome::FailedClosed,
            ]
            .map(|outcome| rule.counts().of(outcome))
        };
        (charged, rules.iter().map(of).collect())
    }

    const fn redis(on_failure: OnStoreFailure) -> RateLimitStore {
        RateLimitStore::Redis { on_failure }
    }

    #[tokio::test]
    async fn a_request_that_passes_is_counted_at_each_limit() {
        let limits = [
            limit("here", RateLimitStore::Local),
            limit("open", redis(OnStoreFailure::Open)),
            limit("fallback", redis(OnStoreFailure::Local)),
        ];

        let (charged, counts) = counted(&limits).await;

        assert_eq!(charged, Ok(()));
        assert_eq!(counts, [[1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]);
    }

    #[tokio::test]
    async fn what_one_limit_refuses_no_other_counts_as_allowed() {
        let limits = [
            limit("here", RateLimitStore::Local),
            limit("open", redis(OnStoreFailure::Open)),
            limit("closed", redis(OnStoreFailure::Closed)),
            limit("fallback", redis(OnStoreFailure::Local)),
        ];

        let (charged, counts) = counted(&limits).await;

        assert_eq!(charged, Err(Refused::Unknown(StoreFault::Down)));
        assert_eq!(counts, [[0; 4], [0; 4], [0, 0, 0, 1], [0; 4]]);
    }
}
