//! What was told of logins, and how the webhook does that is told of it.

use super::exposition::{Exposition, Family, Kind};
use super::series::{SeriesTable, hash_labels};
use super::tally::Tally;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events and results are words in the source.
const EVENTS_MAX: usize = 64;

/// What became of an event that was for the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// It was taken.
    Delivered,
    /// The webhook does not want it.
    Refused,
    /// It was tried for as long as events are tried.
    Failed,
    /// The queue was full, or the process ended.
    Dropped,
}

const OUTCOMES: [(WebhookOutcome, &str); 4] = [
    (WebhookOutcome::Delivered, "delivered"),
    (WebhookOutcome::Refused, "refused"),
    (WebhookOutcome::Failed, "failed"),
    (WebhookOutcome::Dropped, "dropped"),
];

/// The numbers of the audit.
pub struct AuditCounts {
    events: SeriesTable<((&'static str, &'static str), AtomicU64)>,
    traces: SeriesTable<(&'static str, AtomicU64)>,
    withheld: AtomicU64,
    webhook: Tally<{ OUTCOMES.len() }>,
    waiting: AtomicU64,
}

impl AuditCounts {
    pub(super) fn new() -> Self {
        Self {
            events: SeriesTable::new(EVENTS_MAX),
            traces: SeriesTable::new(EVENTS_MAX),
            withheld: AtomicU64::new(0),
            webhook: Tally::default(),
            waiting: AtomicU64::new(0),
        }
    }

    /// An event was told: two words of the source.
    pub fn event(&self, event: &'static str, result: &'static str) {
        let key = (event, result);
        let made = || (key, AtomicU64::new(0));
        let place = self
            .events
            .find_or_insert(hash_labels(key), |held| held.0 == key, made);
        if let Some((_, count)) = place {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A refusal was not told, because as many as may be were in that second.
    pub fn withheld(&self) {
        self.withheld.fetch_add(1, Ordering::Relaxed);
    }

    /// Refusals that were not told so far.
    pub fn all_withheld(&self) -> u64 {
        self.withheld.load(Ordering::Relaxed)
    }

    /// The trace of a refused request came back, or did not: a word in the source.
    pub(super) fn trace(&self, outcome: &'static str) {
        let made = || (outcome, AtomicU64::new(0));
        let place =
            self.traces
                .find_or_insert(hash_labels(outcome), |held| held.0 == outcome, made);
        if let Some((_, count)) = place {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As many more events wait for the webhook or are on their way to it.
    pub fn waits(&self, more: u64) {
        self.waiting.fetch_add(more, Ordering::Relaxed);
    }

    /// An event that waited has come to an end.
    pub fn gone(&self, outcome: WebhookOutcome) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.webhook(outcome);
    }

    /// All that still wait are dropped; how many.
    pub fn all_gone(&self) -> u64 {
        let left = self.waiting.swap(0, Ordering::Relaxed);
        self.webhook.add(WebhookOutcome::Dropped as usize, left);
        left
    }

    /// An event came to an end without having waited.
    pub fn webhook(&self, outcome: WebhookOutcome) {
        self.webhook.count(outcome as usize);
    }

    /// Events of the webhook with this outcome so far.
    pub fn outcome(&self, outcome: WebhookOutcome) -> u64 {
        self.webhook.of(outcome as usize)
    }

    /// Events that wait for the webhook or are on their way to it.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        if self.traces.iter().next().is_some() {
            page.family(Family {
                name: "edgespan_login_traces",
                kind: Kind::Counter,
                help: "Callbacks and repeated requests, by what became of the refused request's trace.",
            });
            for (outcome, count) in self.traces.iter() {
                page.sample(&[("outcome", *outcome)], count.load(Ordering::Relaxed));
            }
        }
        if self.events.iter().next().is_none() {
            return;
        }
        page.family(Family {
            name: "edgespan_audit_events",
            kind: Kind::Counter,
            help: "Logins, refusals, renewals and logouts, by what came of them.",
        });
        for ((event, result), count) in self.events.iter() {
            let labels = [("event", *event), ("result", *result)];
            page.sample(&labels, count.load(Ordering::Relaxed));
        }
        page.family(Family {
            name: "edgespan_audit_events_withheld",
            kind: Kind::Counter,
            help: "Refusals that were not told, because too many came in one second.",
        });
        page.sample(&[], self.all_withheld());
        page.family(Family {
            name: "edgespan_audit_webhook_events",
            kind: Kind::Counter,
            help: "Audit events for the webhook, by what became of them.",
        });
        for (outcome, name) in OUTCOMES {
            page.sample(&[("outcome", name)], self.outcome(outcome));
        }
        page.family(Family {
            name: "edgespan_audit_webhook_waiting",
            kind: Kind::Gauge,
            help: "Audit events that wait for the webhook or are on their way to it.",
        });
        page.sample(&[], self.waiting());
    }
}
