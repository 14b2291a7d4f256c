//! Calls to those who issue tokens, and how fresh their keys are.

use super::exposition::{Exposition, Family, Kind};
use super::histogram::{Bounds, ExemplarIds, Histogram};
use super::series::SeriesTable;
use super::tally::Tally;
use crate::clock::{self, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Issuers come from the configuration; over reloads more of them may pass by than it holds.
const ISSUERS_MAX: usize = 256;

const MILLIS: u64 = 1_000_000;

/// A provider in the same data centre takes milliseconds, one across the world a second.
const CALL_BOUNDS: Bounds = &[
    MILLIS,
    5 * MILLIS,
    10 * MILLIS,
    25 * MILLIS,
    50 * MILLIS,
    100 * MILLIS,
    250 * MILLIS,
    500 * MILLIS,
    1_000 * MILLIS,
    2_500 * MILLIS,
    5_000 * MILLIS,
    10_000 * MILLIS,
];

/// What a provider is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderCall {
    /// What it says of itself.
    Discovery,
    /// Its keys.
    Jwks,
    /// Tokens for a code.
    Token,
    /// Tokens for a refresh token.
    Refresh,
    /// Who logged in.
    Userinfo,
    /// A place for a request for authorization.
    Par,
    /// Whether a token is valid.
    Introspection,
    /// That it takes a token back.
    Revocation,
}

impl ProviderCall {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Discovery,
        Self::Jwks,
        Self::Token,
        Self::Refresh,
        Self::Userinfo,
        Self::Par,
        Self::Introspection,
        Self::Revocation,
    ];

    /// As label and span have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::Token => "token",
            Self::Refresh => "refresh",
            Self::Userinfo => "userinfo",
            Self::Par => "par",
            Self::Introspection => "introspection",
            Self::Revocation => "revocation",
        }
    }
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderOutcome {
    /// An answer of use.
    Ok,
    /// It says no.
    Refused,
    /// Its answer makes no sense.
    BadAnswer,
    /// It could not be asked, or not in time.
    Unavailable,
    /// Whoever wanted it had left.
    Cancelled,
}

const OUTCOMES: [ProviderOutcome; 5] = [
    ProviderOutcome::Ok,
    ProviderOutcome::Refused,
    ProviderOutcome::BadAnswer,
    ProviderOutcome::Unavailable,
    ProviderOutcome::Cancelled,
];

impl ProviderOutcome {
    /// As the label has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::BadAnswer => "bad_answer",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What became of a token whose key was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMiss {
    /// Its issuer was asked for its keys.
    Fetched,
    /// It was being asked already, and that answer served.
    Shared,
    /// It had been asked a moment ago, and was not again.
    Resting,
}

const MISSES: [KeyMiss; 3] = [KeyMiss::Fetched, KeyMiss::Shared, KeyMiss::Resting];

impl KeyMiss {
    /// As the label has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Shared => "shared",
            Self::Resting => "resting",
        }
    }
}

/// One call, as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct ProviderObservation {
    /// Which.
    pub call: ProviderCall,
    /// What came of it.
    pub outcome: ProviderOutcome,
    /// From the first packet to the last byte.
    pub duration: Duration,
    /// The request that waited for it, if its span is recorded.
    pub exemplar: Option<ExemplarIds>,
}

/// The numbers of one issuer.
pub struct ProviderCounts {
    issuer: Arc<str>,
    calls: [CallCounts; ProviderCall::ALL.len()],
    misses: Tally<{ MISSES.len() }>,
    up: AtomicBool,
    /// When its keys came, in nanoseconds since the epoch; zero: never.
    keys_since: AtomicU64,
    keys: AtomicU64,
    /// How many of the configuration in force are this issuer.
    in_force: AtomicU64,
}

struct CallCounts {
    outcomes: Tally<{ OUTCOMES.len() }>,
    duration: Histogram,
}

impl CallCounts {
    fn new() -> Self {
        Self {
            outcomes: Tally::default(),
            duration: Histogram::new(CALL_BOUNDS),
        }
    }

    fn was_made(&self) -> bool {
        !self.outcomes.is_empty()
    }
}

impl ProviderCounts {
    /// Of no page: for an issuer past the bound of series, and for tests.
    pub fn unlisted(issuer: &Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            issuer: Arc::clone(issuer),
            calls: std::array::from_fn(|_| CallCounts::new()),
            misses: Tally::default(),
            up: AtomicBool::new(false),
            keys_since: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            in_force: AtomicU64::new(0),
        })
    }

    /// One call has ended.
    pub fn called(&self, seen: &ProviderObservation) {
        let Some(counts) = self.calls.get(seen.call as usize) else {
            return;
        };
        counts.outcomes.count(seen.outcome as usize);
        let ended = clock::wall();
        counts.duration.observe(seen.duration, ended, seen.exemplar);
        match seen.outcome {
            ProviderOutcome::Cancelled => {}
            ProviderOutcome::Unavailable => self.up.store(false, Ordering::Relaxed),
            ProviderOutcome::Ok | ProviderOutcome::Refused | ProviderOutcome::BadAnswer => {
                self.up.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Calls of this kind with this outcome so far.
    pub fn calls(&self, call: ProviderCall, outcome: ProviderOutcome) -> u64 {
        let counts = self.calls.get(call as usize);
        counts.map_or(0, |counts| counts.outcomes.of(outcome as usize))
    }

    /// A token came whose key is not known.
    pub fn missed(&self, miss: KeyMiss) {
        self.misses.count(miss as usize);
    }

    /// Tokens whose key was not known, and of which this became, so far.
    pub fn misses(&self, miss: KeyMiss) -> u64 {
        self.misses.of(miss as usize)
    }

    /// This many keys came at this moment.
    pub fn keys_came(&self, count: usize, at: Timestamp) {
        self.keys.store(count as u64, Ordering::Relaxed);
        self.keys_since.store(at.as_unix_nanos(), Ordering::Relaxed);
    }

    /// The configuration has one more of this issuer, or one less.
    pub fn comes_into_force(&self) {
        self.in_force.fetch_add(1, Ordering::Relaxed);
    }

    /// The configuration has one less of this issuer.
    pub fn goes_out_of_force(&self) {
        self.in_force.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_in_force(&self) -> bool {
        self.in_force.load(Ordering::Relaxed) > 0
    }

    fn keys_age(&self) -> Option<Duration> {
        let since = self.keys_since.load(Ordering::Relaxed);
        (since > 0).then(|| clock::wall().since(Timestamp::from_unix_nanos(since)))
    }
}

/// The numbers of all issuers.
pub(super) struct ProviderMetrics {
    issuers: SeriesTable<Arc<ProviderCounts>>,
}

impl ProviderMetrics {
    pub(super) fn new() -> Self {
        Self {
            issuers: SeriesTable::new(ISSUERS_MAX),
        }
    }

    pub(super) fn issuer(&self, issuer: &Arc<str>) -> Arc<ProviderCounts> {
        let is = |held: &ProviderCounts| *held.issuer == **issuer;
        self.issuers
            .named(issuer, is, || ProviderCounts::unlisted(issuer))
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        if self.issuers.iter().next().is_none() {
            return;
        }
        self.render_calls(page);
        self.render_standing(page);
        page.family(Family {
            name: "edgespan_provider_key_misses",
            kind: Kind::Counter,
            help: "Tokens whose key was not known, by whether their issuer was asked for it.",
        });
        for counts in self.issuers.iter() {
            for miss in MISSES {
                let labels = [("issuer", &*counts.issuer), ("outcome", miss.name())];
                page.sample(&labels, counts.misses(miss));
            }
        }
    }

    fn render_calls(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_provider_calls",
            kind: Kind::Counter,
            help: "Calls to issuers of tokens, by what was asked and what came of it.",
        });
        for counts in self.issuers.iter() {
            for (call, made) in ProviderCall::ALL.into_iter().zip(&counts.calls) {
                if !made.was_made() {
                    continue;
                }
                for outcome in OUTCOMES {
                    let labels = [
                        ("issuer", &*counts.issuer),
                        ("call", call.name()),
                        ("outcome", outcome.name()),
                    ];
                    page.sample(&labels, made.outcomes.of(outcome as usize));
                }
            }
        }
        page.family(Family {
            name: "edgespan_provider_call_duration_seconds",
            kind: Kind::Histogram,
            help: "Time that a call to an issuer of tokens took.",
        });
        for counts in self.issuers.iter() {
            for (call, made) in ProviderCall::ALL.into_iter().zip(&counts.calls) {
                if made.was_made() {
                    let labels = [("issuer", &*counts.issuer), ("call", call.name())];
                    page.histogram(&labels, &made.duration.snapshot());
                }
            }
        }
    }

    fn render_standing(&self, page: &mut Exposition) {
        let in_force = || self.issuers.iter().filter(|counts| counts.is_in_force());
        page.family(Family {
            name: "edgespan_provider_up",
            kind: Kind::Gauge,
            help: "Whether an issuer of tokens answered when it was asked last.",
        });
        for counts in in_force() {
            let labels = [("issuer", &*counts.issuer)];
            page.sample(&labels, u64::from(counts.up.load(Ordering::Relaxed)));
        }
        page.family(Family {
            name: "edgespan_provider_keys",
            kind: Kind::Gauge,
            help: "Keys of an issuer that verify tokens.",
        });
        for counts in in_force() {
            let labels = [("issuer", &*counts.issuer)];
            page.sample(&labels, counts.keys.load(Ordering::Relaxed));
        }
        page.family(Family {
            name: "edgespan_provider_keys_age_seconds",
            kind: Kind::Gauge,
            help: "Time since an issuer's keys came. Absent: they never did.",
        });
        for counts in in_force() {
            if let Some(age) = counts.keys_age() {
                page.sample(&[("issuer", &counts.issuer)], age.as_secs_f64());
            }
        }
    }
}
