//! Decisions that are remembered, and one question at a time for equal requests.
//!
//! A cache belongs to one policy with its settings: other settings, another cache. What it keeps
//! has a bound in number and in size, and runs out by the monotonic clock, whatever becomes of the
//! wall clock. Nobody waits for a lock longer than a look into a table takes.

mod freshness;
mod key;
mod table;

pub(super) use key::KeyFacts;

use super::keyed::{Digest, Front, Keyed};
use super::notes::Notes;
use super::{AnswerChange, DenialAnswer, Grant, HeaderChange, Verdict};
use crate::clock;
use crate::telemetry::metrics::{AuthCacheOutcome, AuthCounts};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanId, TraceId};
use std::collections::HashMap;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::Table;
use tokio::sync::watch;
use tokio::time::Instant;

/// Largest decision that is kept, in bytes: what it changes, and a denial's head and body. With
/// the default bound that is 80 MB at the very worst.
const DECISION_BYTES_MAX: usize = 8 << 10;

/// From so many decisions on the table is cut in parts, each with a lock of its own.
const SHARDED_FROM: usize = 1_024;
const SHARDS: usize = 16;

/// What is remembered of a policy's decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// How long a permission is.
    pub ttl: Duration,
    /// How long a refusal is; None: not at all.
    pub negative_ttl: Option<Duration>,
    /// What makes two requests one question; None: everything that the authorizer gets. The route
    /// always counts.
    pub key: Option<Vec<CacheKeyPart>>,
    /// How many, at least one. At the bound one that nobody asked for lately is given up.
    pub entries_max: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            negative_ttl: Some(Duration::from_secs(1)),
            key: None,
            entries_max: 10_000,
        }
    }
}

/// A part of what makes two requests one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheKeyPart {
    /// The method.
    Method,
    /// Scheme, host and port.
    Host,
    /// The path, without the query.
    Path,
    /// The query.
    Query,
    /// The client's address.
    Address,
    /// Every field of this name.
    Header(HeaderName),
    /// Every cookie of this name.
    Cookie(Box<str>),
}

/// What may become of a decision beyond the request that it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is remembered, as long as the settings say or this shorter time.
    Stored { at_most: Option<Duration> },
    /// Those that wait for it get it, nobody later: a failure.
    Shared,
    /// Nobody else gets it.
    Own,
}

/// A decision, fresh from whoever decides.
pub(super) struct Decided {
    pub(super) verdict: Verdict,
    pub(super) keep: Keep,
    /// What it says on spans.
    pub(super) notes: Notes,
}

impl Decided {
    /// One that nobody else gets.
    pub(super) fn of_one_request(verdict: Verdict) -> Self {
        Self::new(verdict, Keep::Own)
    }

    /// One that says nothing more on spans.
    pub(super) fn new(verdict: Verdict, keep: Keep) -> Self {
        Self {
            verdict,
            keep,
            notes: Notes::default(),
        }
    }
}

/// The span under which a decision was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
}

/// A decision and where it came from.
pub(super) struct Answered {
    pub(super) verdict: Verdict,
    /// What it says on spans.
    pub(super) notes: Arc<Notes>,
    pub(super) outcome: AuthCacheOutcome,
    /// The span under which it was made, if that was another request's.
    pub(super) origin: Option<Origin>,
}

impl Answered {
    /// Whether it was decided about another request that asked the same.
    pub(super) const fn is_of_another_request(&self) -> bool {
        matches!(
            self.outcome,
            AuthCacheOutcome::Hit | AuthCacheOutcome::Shared
        )
    }
}

/// Whoever asked the same before has no answer yet, and there is no more time to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StillWaiting;

#[derive(Clone)]
struct Kept {
    verdict: Arc<Verdict>,
    notes: Arc<Notes>,
    origin: Option<Origin>,
}

/// What those that wait for a decision are told. Nothing at all if its request was given up.
type Told = Option<Result<Kept, AskYourself>>;

/// The decision is another request's alone.
#[derive(Clone, Copy)]
struct AskYourself;

struct Shard {
    table: Table<Kept>,
    /// Questions that are being asked. Each has a request that asks it, so there are never more of
    /// them than requests in flight.
    asked: HashMap<Digest, watch::Receiver<Told>, BuildHasherDefault<Front>>,
}

enum Look {
    Hit(Kept),
    Ask(watch::Sender<Told>),
    Wait(watch::Receiver<Told>),
}

/// What a policy remembers.
pub(super) struct DecisionCache {
    settings: CacheSettings,
    keyed: Option<Keyed>,
    first: Mutex<Shard>,
    others: Box<[Mutex<Shard>]>,
    counts: Arc<AuthCounts>,
}

impl DecisionCache {
    pub(super) fn new(settings: CacheSettings, counts: Arc<AuthCounts>) -> Self {
        let shards = if settings.entries_max < SHARDED_FROM {
            1
        } else {
            SHARDS
        };
        let shard = || {
            Mutex::new(Shard {
                table: Table::new(settings.entries_max / shards),
                asked: HashMap::default(),
            })
        };
        Self {
            first: shard(),
            others: (1..shards).map(|_| shard()).collect(),
            keyed: Keyed::new(),
            settings,
            counts,
        }
    }

    pub(super) const fn settings(&self) -> &CacheSettings {
        &self.settings
    }

    /// What makes this question one with others. None: it is asked each time.
    pub(super) fn question(&self, facts: &KeyFacts<'_>) -> Option<Digest> {
        let keyed = self.keyed.as_ref()?;
        keyed.question(self.settings.key.as_deref(), facts)
    }

    /// What makes these parts one with equal ones. None: it is asked each time.
    pub(super) fn parts(&self, parts: &[&[u8]]) -> Option<Digest> {
        self.keyed.as_ref()?.parts(parts)
    }

    /// Tells what was decided before, waits for whoever is asking the same, or asks. `origin` is
    /// the span of the request that asks here; `ask` is only begun if nobody else knows. `now` is
    /// the caller's clock, which it has read anyway.
    ///
    /// # Errors
    /// Somebody else was asking until `due`.
    pub(super) async fn decide(
        &self,
        question: Option<Digest>,
        (mut now, due): (Instant, Instant),
        origin: Option<Origin>,
        ask: impl Future<Output = Decided>,
    ) -> Result<Answered, StillWaiting> {
        let Some(question) = question else {
            return Ok(self.bypassed(ask.await));
        };
        loop {
            match self.look(&question, now) {
                Look::Hit(kept) => return Ok(self.again(&kept, AuthCacheOutcome::Hit)),
                Look::Ask(tell) => {
                    let asking = Asking {
                        cache: self,
                        question,
                        tell,
                    };
                    let decided = ask.await;
                    return Ok(asking.tell(decided, origin));
                }
                Look::Wait(told) => {
                    match heard(told, due).await? {
                        Some(Ok(kept)) => return Ok(self.again(&kept, AuthCacheOutcome::Shared)),
                        Some(Err(AskYourself)) => {
                            return Ok(self.bypassed(ask.await));
                        }
                        // Its client left: one of those that waited asks now.
                        None => now = clock::instant(),
                    }
                }
            }
        }
    }

    /// Tells what was decided before; None: it has to be asked for with [`Self::decide`].
    pub(super) fn remembered(&self, question: &Digest, now: Instant) -> Option<Answered> {
        let kept = self.shard(question).table.get(question, now)?.clone();
        Some(self.again(&kept, AuthCacheOutcome::Hit))
    }

    fn look(&self, question: &Digest, now: Instant) -> Look {
        let mut shard = self.shard(question);
        if let Some(kept) = shard.table.get(question, now) {
            return Look::Hit(kept.clone());
        }
        if let Some(told) = shard.asked.get(question) {
            return Look::Wait(told.clone());
        }
        let (tell, told) = watch::channel(None);
        shard.asked.insert(*question, told);
        Look::Ask(tell)
    }

    fn shard(&self, question: &Digest) -> MutexGuard<'_, Shard> {
        let at = usize::from(question.last()) % (self.others.len() + 1);
        let other = at.checked_sub(1).and_then(|at| self.others.get(at));
        // A thread that panicked has left the table as it is between two steps.
        let shard = other.unwrap_or(&self.first).lock();
        shard.unwrap_or_else(PoisonError::into_inner)
    }

    fn again(&self, kept: &Kept, outcome: AuthCacheOutcome) -> Answered {
        Answered {
            origin: kept.origin,
            ..self.fresh(kept, outcome)
        }
    }

    fn bypassed(&self, decided: Decided) -> Answered {
        let Decided { verdict, notes, .. } = decided;
        self.counts.cached(AuthCacheOutcome::Bypass);
        Answered {
            verdict,
            notes: Arc::new(notes),
            outcome: AuthCacheOutcome::Bypass,
            origin: None,
        }
    }

    /// As the request gets it under whose span it was made.
    fn fresh(&self, kept: &Kept, outcome: AuthCacheOutcome) -> Answered {
        self.counts.cached(outcome);
        Answered {
            verdict: Verdict::clone(&kept.verdict),
            notes: Arc::clone(&kept.notes),
            outcome,
            origin: None,
        }
    }

    /// How long a decision is kept; None: nobody later gets it.
    fn lifetime(&self, kept: &Kept, at_most: Option<Duration>) -> Option<Duration> {
        let own = match &*kept.verdict {
            Verdict::Allow(_) => self.settings.ttl,
            Verdict::Deny(_) | Verdict::Abstain(_) => self.settings.negative_ttl?,
        };
        let fits = bytes(&kept.verdict) + kept.notes.bytes() <= DECISION_BYTES_MAX;
        fits.then(|| at_most.map_or(own, |most| most.min(own)))
    }
}

/// Waits for what those that wait are told.
async fn heard(mut told: watch::Receiver<Told>, due: Instant) -> Result<Told, StillWaiting> {
    let answer = tokio::time::timeout_at(due, told.wait_for(Option::is_some));
    let answer = answer.await.map_err(|_| StillWaiting)?;
    Ok(answer.ok().and_then(|told| told.clone()))
}

/// A question on its way. Given up without an answer, it leaves the place to another request.
struct Asking<'a> {
    cache: &'a DecisionCache,
    question: Digest,
    tell: watch::Sender<Told>,
}

impl Asking<'_> {
    fn tell(self, decided: Decided, origin: Option<Origin>) -> Answered {
        let keep = if is_of_one_client(&decided.verdict) {
            Keep::Own
        } else {
            decided.keep
        };
        let kept = Kept {
            verdict: Arc::new(decided.verdict),
            notes: Arc::new(decided.notes),
            origin,
        };
        let answered = self.cache.fresh(&kept, AuthCacheOutcome::Miss);
        if let Keep::Own = keep {
            self.tell.send_replace(Some(Err(AskYourself)));
            return answered;
        }
        if let Keep::Stored { at_most } = keep
            && let Some(lifetime) = self.cache.lifetime(&kept, at_most)
        {
            let now = clock::instant();
            let mut shard = self.cache.shard(&self.question);
            let gave_up = shard
                .table
                .put(self.question, kept.clone(), now + lifetime, now);
            drop(shard);
            if gave_up {
                self.cache.counts.cached(AuthCacheOutcome::Evicted);
            }
        }
        self.tell.send_replace(Some(Ok(kept)));
        answered
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        // Before the sender goes: whoever waits finds the answer in the table, or asks.
        self.cache
            .shard(&self.question)
            .asked
            .remove(&self.question);
    }
}

/// Whether it gives the client a cookie, which is a secret between two.
fn is_of_one_client(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Allow(grant) => {
            let changed = grant.answer_changes.iter().map(|change| change.field().0);
            let mut fields = grant.answer.iter().map(|(name, _)| name).chain(changed);
            fields.any(|name| *name == SET_COOKIE)
        }
        Verdict::Deny(denial) | Verdict::Abstain(denial) => match &denial.answer {
            DenialAnswer::Own(_) | DenialAnswer::OwnWith(_) | DenialAnswer::Login { .. } => false,
            DenialAnswer::Theirs(answer) => answer.headers().contains_key(SET_COOKIE),
        },
    }
}

/// About how many bytes a decision takes.
fn bytes(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Allow(grant) => of_grant(grant),
        Verdict::Deny(denial) | Verdict::Abstain(denial) => match &denial.answer {
            DenialAnswer::OwnWith(_) | DenialAnswer::Login { .. } => 0,
            DenialAnswer::Own(challenges) => challenges.iter().map(|one| one.len()).sum(),
            DenialAnswer::Theirs(answer) => of_fields(answer.headers()) + answer.body().len(),
        },
    }
}

fn of_fields(headers: &HeaderMap) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    headers.iter().map(field).sum()
}

fn of_grant(grant: &Grant) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let change = |change: &HeaderChange| match change {
        HeaderChange::Set(name, value)
        | HeaderChange::Append(name, value)
        | HeaderChange::AddIfAbsent(name, value)
        | HeaderChange::SetIfPresent(name, value) => field((name, value)),
        HeaderChange::Remove(name) => name.as_str().len(),
    };
    let changes: usize = grant.request.iter().map(change).sum();
    let set = grant.query_set.iter();
    let set: usize = set.map(|(name, value)| name.len() + value.len()).sum();
    let removed = grant.query_remove.iter().chain(&grant.cookies_remove);
    let removed: usize = removed.map(|name| name.len()).sum();
    let changed = grant.answer_changes.iter().map(AnswerChange::field);
    let answer = grant.answer.iter().map(|(name, value)| (name, value));
    let answer: usize = answer.chain(changed).map(field).sum();
    let identity = grant.identity.as_ref().map_or(0, |identity| {
        let groups: usize = identity.groups.iter().map(|group| group.len()).sum();
        let subject = identity.subject.as_ref().map_or(0, |subject| subject.len());
        subject + groups + identity.claims.iter().map(claim).sum::<usize>()
    });
    changes + set + removed + answer + identity
}

fn claim((name, value): (&String, &serde_json::Value)) -> usize {
    name.len() + value.to_string().len()
}

#[cfg(test)]
pub(super) mod tests;
