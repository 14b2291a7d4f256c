//! Who logged in, was refused, renewed a session or left: told as a log event, as a span
//! `sso.audit` under the request's own, and to a webhook where the file names one. Refusals are
//! those of every policy, whether it is one of logins or not.
//!
//! Nothing of it makes a request wait, and nothing says who somebody is: a subject is a keyed
//! digest, the same for the same subject, unless the file asks for the plain one. Tokens, codes,
//! cookies and claims are never part of it.

mod allowance;
mod event;
mod facts;
mod post;
mod signature;

pub use event::{AuditEvent, AuditKind, AuditResult, LogoutKind};
pub use facts::LoginFacts;

use super::Recorder;
use super::seal::{SealKey, Sealer};
use crate::clock;
use crate::secret::Secret;
use crate::telemetry::metrics::AuditCounts;
use crate::trace::{hex, ids};
use allowance::Allowance;
use event::Told;
use post::Post;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How events are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// Keys of digests, the newest first; empty: one that is made at the start.
    pub keys: Vec<SealKey>,
    /// Whether subjects are told as they are.
    pub plain_subject: bool,
    /// The claim that says what kind of user somebody is, by its path.
    pub user_type: Option<Box<[Box<str>]>>,
    /// Who else is told.
    pub webhook: Option<WebhookSettings>,
}

/// Who is told, beside the log and the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where events are posted.
    pub url: Url,
    /// What signs them (HMAC-SHA256).
    pub secret: Secret,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Events that wait at most; one more is counted and left out.
    pub events_max: usize,
}

/// Who tells.
pub struct Audit {
    settings: AuditSettings,
    sealer: Arc<Sealer>,
    counts: Arc<AuditCounts>,
    post: Option<Post>,
    /// Refusals of somebody, and of nobody that is known.
    refusals: [Allowance; 2],
}

impl Audit {
    /// Makes it. Digests of subjects are the same wherever `sealer` has the same newest key. Has to
    /// run inside the runtime.
    pub fn new(settings: AuditSettings, sealer: Arc<Sealer>, counts: Arc<AuditCounts>) -> Self {
        let webhook = settings.webhook.clone();
        let post = webhook.map(|webhook| Post::start(&webhook, Arc::clone(&counts)));
        Self {
            settings,
            sealer,
            counts,
            post,
            refusals: Default::default(),
        }
    }

    /// Whether it was made of these, so that a reload may keep it. Without a `sealer` of logins it
    /// has one of its own.
    pub fn is_of(&self, settings: &AuditSettings, sealer: Option<&Arc<Sealer>>) -> bool {
        let same_sealer = sealer.is_none_or(|sealer| Arc::ptr_eq(&self.sealer, sealer));
        self.settings == *settings && same_sealer
    }

    /// Tells what happened, everywhere. `recorder` is that of the request it happened in. Of
    /// refusals, which anybody can cause as often as he likes, so many in a second; others are
    /// counted.
    pub fn tell(&self, event: &AuditEvent<'_>, recorder: Option<&mut Recorder<'_>>) {
        let [of_somebody, of_nobody] = &self.refusals;
        let allowance = match event.kind {
            AuditKind::Refusal if event.subject.is_some() => Some(of_somebody),
            AuditKind::Refusal => Some(of_nobody),
            AuditKind::Login | AuditKind::Refresh | AuditKind::Logout => None,
        };
        if allowance.is_some_and(|allowance| !allowance.admits(clock::wall())) {
            self.counts.withheld();
            return;
        }
        self.counts.event(event.kind.name(), event.result.name());
        let subject = event.subject.map(|subject| self.subject(subject));
        let session = event.session.map(|session| self.digest(session));
        let told = Told {
            event,
            id: &random_id(),
            subject: subject.as_deref(),
            session: session.as_deref(),
            trace: recorder.and_then(|recorder| event.record(recorder)),
            at: clock::wall(),
        };
        told.log();
        if let Some(post) = &self.post {
            post.put(told.json());
        }
    }

    /// Sends what waits for the webhook, at most for so long; what is left is counted.
    pub async fn close(&self, limit: Duration) {
        if let Some(post) = &self.post {
            post.close(limit).await;
        }
    }

    fn subject(&self, subject: &str) -> String {
        if self.settings.plain_subject {
            return subject.to_owned();
        }
        self.digest(subject)
    }

    fn digest(&self, text: &str) -> String {
        hex::text(&self.sealer.digest(text))
    }
}

/// The name of one event, by which a receiver knows one that comes twice.
fn random_id() -> String {
    ids::trace_id().to_string()
}

#[cfg(test)]
mod tests;
