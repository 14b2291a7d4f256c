//! What a pick reads: who is there and how much each gets, computed when something has changed.

use super::ring::Ring;
use super::schedule::turns;
use super::shares::shares;
use super::{Algorithm, BalanceSettings};
use crate::upstream::{Choice, Endpoint};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

/// One endpoint as balancing sees it.
#[derive(Clone)]
pub(in crate::upstream) struct Member {
    pub(in crate::upstream) endpoint: Arc<Endpoint>,
    /// As configured, or as its SRV record says; more than zero.
    pub(in crate::upstream) weight: f64,
    pub(in crate::upstream) zone: Option<Arc<str>>,
    /// Of its SRV record; the lowest number is asked first.
    pub(in crate::upstream) priority: u16,
    /// Where it comes from, as it is configured.
    pub(in crate::upstream) source: Arc<str>,
    /// What consistent hashing knows it by: the same in every process.
    pub(in crate::upstream) name: Arc<str>,
}

impl Member {
    pub(super) fn is_resolved(&self) -> bool {
        !self.endpoint.is_unresolved()
    }
}

/// Who is there.
pub(in crate::upstream) struct Membership {
    pub(in crate::upstream) members: Box<[Member]>,
    /// Of nobody unless the upstream hashes.
    ring: Ring,
}

impl Membership {
    pub(in crate::upstream) fn new(members: Box<[Member]>, settings: &BalanceSettings) -> Self {
        let ring = match settings.algorithm {
            Algorithm::Hash(_) => Ring::new(members.iter().map(|one| (&*one.name, one.weight))),
            Algorithm::RoundRobin | Algorithm::LeastRequest => Ring::default(),
        };
        Self { members, ring }
    }
}

/// Who gets how much, as of one generation of changes.
pub(in crate::upstream) struct View {
    pub(in crate::upstream) membership: Arc<Membership>,
    /// Weights in force, by member.
    pub(in crate::upstream) weights: Box<[f64]>,
    /// One round of turns of those that get anything.
    turns: Box<[u32]>,
    /// Whether availability is ignored because too few are available.
    pub(in crate::upstream) panic: bool,
    generation: u64,
    until: Option<Instant>,
}

/// What one pick goes by.
pub(in crate::upstream) struct Picking<'a> {
    pub(in crate::upstream) algorithm: &'a Algorithm,
    pub(in crate::upstream) choice: &'a Choice<'a>,
    /// Whose turn is next.
    pub(in crate::upstream) next: &'a AtomicUsize,
}

impl Picking<'_> {
    fn is_untried(&self, endpoint: &Arc<Endpoint>) -> bool {
        let tried = self.choice.tried;
        tried.is_empty() || !tried.iter().any(|one| Arc::ptr_eq(one, endpoint))
    }
}

impl View {
    /// As of `generation`, computed at `now`.
    pub(in crate::upstream) fn new(
        membership: Arc<Membership>,
        settings: &BalanceSettings,
        generation: u64,
        now: Instant,
    ) -> Self {
        let shares = shares(&membership.members, settings, now);
        Self {
            turns: turns(&shares.weights),
            weights: shares.weights,
            panic: shares.panic,
            until: shares.until,
            membership,
            generation,
        }
    }

    /// Whether it still says how things are. `now` is only asked during a slow start.
    pub(in crate::upstream) fn holds(&self, generation: u64, now: impl Fn() -> Instant) -> bool {
        self.generation == generation && self.until.is_none_or(|until| now() < until)
    }

    /// The endpoint for one attempt. None: nobody is left, or nobody may be asked.
    pub(in crate::upstream) fn pick(&self, picking: &Picking<'_>) -> Option<&Arc<Endpoint>> {
        let found = match (picking.algorithm, picking.choice.hash) {
            (Algorithm::Hash(_), Some(key)) => self.by_key(key, picking),
            (Algorithm::RoundRobin | Algorithm::Hash(_), _) => self.in_turn(picking),
            (Algorithm::LeastRequest, _) => self.less_busy(picking),
        };
        found.or_else(|| self.spare(picking))
    }

    fn endpoint(&self, member: u32) -> Option<&Arc<Endpoint>> {
        let one = self.membership.members.get(member as usize)?;
        Some(&one.endpoint)
    }

    fn in_turn(&self, picking: &Picking<'_>) -> Option<&Arc<Endpoint>> {
        // The turn goes on with each request, not with each attempt.
        let turn = if picking.choice.tried.is_empty() {
            picking.next.fetch_add(1, Ordering::Relaxed)
        } else {
            picking.next.load(Ordering::Relaxed)
        };
        self.round(turn)
            .filter_map(|member| self.endpoint(member))
            .find(|one| picking.is_untried(one))
    }

    /// Two at random, as likely as their weights say. The first of them wins a tie, so that an
    /// idle upstream is used as its weights say.
    fn less_busy(&self, picking: &Picking<'_>) -> Option<&Arc<Endpoint>> {
        let untried = |member: &u32| {
            self.endpoint(*member)
                .is_some_and(|one| picking.is_untried(one))
        };
        let first = self.round(fastrand::usize(..)).find(untried)?;
        let second = self
            .round(fastrand::usize(..))
            .find(|member| *member != first && untried(member));
        let load = |member: u32| {
            let busy = self.endpoint(member).map(|one| one.standing.in_flight());
            let weight = self.weights.get(member as usize).copied();
            busy.unwrap_or(usize::MAX) as f64 / weight.unwrap_or(1.0)
        };
        let less = second.filter(|second| load(*second) < load(first));
        self.endpoint(less.unwrap_or(first))
    }

    fn by_key(&self, key: u64, picking: &Picking<'_>) -> Option<&Arc<Endpoint>> {
        if picking.choice.tried.len() >= self.membership.members.len() {
            return None;
        }
        self.membership
            .ring
            .walk(key)
            .filter(|member| {
                self.weights
                    .get(*member as usize)
                    .is_some_and(|it| *it > 0.0)
            })
            .filter_map(|member| self.endpoint(member))
            .find(|one| picking.is_untried(one))
    }

    /// Where everybody who has a share was tried: whoever else is available, such as another zone.
    fn spare(&self, picking: &Picking<'_>) -> Option<&Arc<Endpoint>> {
        let members = self.membership.members.iter();
        members
            .zip(&self.weights)
            .filter(|(one, weight)| **weight <= 0.0 && one.is_resolved())
            .map(|(one, _)| &one.endpoint)
            .find(|one| one.standing.is_available() && picking.is_untried(one))
    }

    /// One round, begun with this turn.
    fn round(&self, turn: usize) -> impl Iterator<Item = u32> {
        let first = turn % self.turns.len().max(1);
        let (before, from) = self.turns.split_at_checked(first).unwrap_or_default();
        from.iter().chain(before).copied()
    }
}
