//! Proof by a token: a JWT that an issuer signed, or an opaque one that it is asked about.
//!
//! What was verified is remembered by a keyed digest of the token, for as long as it is valid and
//! no longer than the issuer's keys are believed without asking; each policy has a memory of its
//! own, since each expects other audiences. What is required of a client beside is looked at behind
//! that memory, for each route anew.

pub(super) mod challenge;
mod introspect;
mod place;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

pub use settings::{Introspection, JwtIssuer, JwtSettings, TokenPlace};

use super::cache::{CacheSettings, Decided, DecisionCache, Keep};
use super::keyed::Digest;
use super::notes::Notes;
use super::provider::{Provider, ProviderError, Providers};
use super::require::Require;
use super::{Asked, DecisionSpan, Denial, DenialAnswer, Reason, Verdict};
use crate::telemetry::metrics::AuthCounts;
use http::HeaderValue;
use place::{Carried, can_be_one, carried, token};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The attribute that says why a token proves nothing.
const ERROR: &str = "edgespan.auth.token.error";
/// Longest time that anything is remembered.
const REMEMBERED_MAX: Duration = Duration::from_hours(24);

/// What verifies the tokens of a policy. Remembers what it verified.
pub struct Tokens {
    /// In the order of the settings. None: nobody knows that issuer, and its tokens prove nothing.
    issuers: Vec<Option<Arc<Provider>>>,
    verified: DecisionCache,
    /// What a client without a token is told.
    missing: HeaderValue,
}

/// What is to be verified, and for whom.
#[derive(Clone, Copy)]
struct Asking<'a> {
    policy: &'a Arc<str>,
    settings: &'a JwtSettings,
    token: &'a str,
}

impl Tokens {
    /// Makes it for the policy of this name, which requires this beside; its issuers are among
    /// `providers`.
    pub fn new(
        (policy, require): (&str, Option<&Require>),
        settings: &JwtSettings,
        providers: &Providers,
        counts: Arc<AuthCounts>,
    ) -> Self {
        let issuers = settings.issuers.iter();
        let scopes = require.and_then(Require::scope_text);
        Self {
            issuers: issuers
                .map(|issuer| providers.find(&issuer.provider))
                .collect(),
            verified: DecisionCache::new(
                CacheSettings {
                    ttl: REMEMBERED_MAX,
                    negative_ttl: Some(REMEMBERED_MAX),
                    key: None,
                    entries_max: settings.entries,
                },
                counts,
            ),
            missing: challenge::bearer(policy, &[("scope", &scopes.unwrap_or_default())]),
        }
    }

    /// Whether it verifies by these issuers, so that a reload may keep it.
    pub fn is_of(&self, settings: &JwtSettings, providers: &Providers) -> bool {
        let wanted = settings.issuers.iter();
        let mut wanted = wanted.map(|issuer| providers.find(&issuer.provider));
        let is_same = |own: &Option<Arc<Provider>>| match (own, wanted.next().flatten()) {
            (Some(own), Some(wanted)) => Arc::ptr_eq(own, &wanted),
            (own, wanted) => own.is_none() && wanted.is_none(),
        };
        self.issuers.len() == settings.issuers.len() && self.issuers.iter().all(is_same)
    }

    /// Decides about a request by its token. It is `now` when this is asked for.
    pub(super) async fn check(
        &self,
        policy: &Arc<str>,
        settings: &JwtSettings,
        asked: &Asked<'_>,
        now: Instant,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        let text = match carried(&settings.from, asked.headers, asked.target.query()) {
            Carried::Nothing => return Verdict::Abstain(self.unproved()),
            Carried::Several => {
                let refused = refused("several", challenge::several(policy));
                return span.decided(Decided::of_one_request(refused.0).with(refused.1));
            }
            Carried::Text(text) => text,
        };
        let question = self.question(&text);
        let known = question.and_then(|question| self.verified.remembered(&question, now));
        // What is remembered is of a text that was looked at then.
        let verdict = if let Some(answered) = known {
            span.answered(answered)
        } else if let Some(token) = token(&text) {
            let asking = Asking {
                policy,
                settings,
                token,
            };
            // In a box: a token that was verified before needs no room for this.
            Box::pin(self.ask(asking, question, now, span)).await
        } else {
            let error = challenge::invalid(policy, "the token cannot be read");
            let refused = refused("malformed", error);
            return span.decided(Decided::of_one_request(refused.0).with(refused.1));
        };
        verify::bound_to_its_holder(verdict, policy, asked, span)
    }

    /// What makes this text one with others. None: it is longer than tokens are, or there is no key.
    fn question(&self, text: &[u8]) -> Option<Digest> {
        can_be_one(text).then(|| self.verified.parts(&[text]))?
    }

    /// Verifies a token, or has it from whoever does just now.
    async fn ask(
        &self,
        asking: Asking<'_>,
        question: Option<Digest>,
        now: Instant,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        let due = now + patience(asking.settings);
        let origin = span.origin();
        let answered = {
            // Pinned here and lent: it is large, and would have room in every future that it
            // moves through.
            let ask = std::pin::pin!(self.verify(asking, &mut *span));
            let decide = self.verified.decide(question, (now, due), origin, ask);
            decide.await
        };
        match answered {
            Ok(answered) => span.answered(answered),
            Err(_) => Verdict::deny(Reason::Timeout),
        }
    }

    /// A request that carries no token.
    fn unproved(&self) -> Box<Denial> {
        let answer = DenialAnswer::Own(vec![self.missing.clone()]);
        Box::new(Denial::new(Reason::NoCredential, answer))
    }
}

/// How long somebody waits for another request that shows the same token: its issuer may be asked
/// for keys, and then about the token.
fn patience(settings: &JwtSettings) -> Duration {
    let timeouts = settings.issuers.iter().map(|one| one.provider.timeout);
    timeouts.max().unwrap_or_default() * 2
}

/// A token that proves nothing, and why, for spans and for the client.
fn refused(why: &'static str, challenge: HeaderValue) -> (Verdict, Notes) {
    (Verdict::Deny(bad(challenge)), noted(why))
}

fn bad(challenge: HeaderValue) -> Box<Denial> {
    let answer = DenialAnswer::Own(vec![challenge]);
    Box::new(Denial::new(Reason::BadCredential, answer))
}

fn noted(why: &'static str) -> Notes {
    let mut notes = Notes::default();
    notes.text(ERROR, why);
    notes
}

impl Decided {
    fn with(self, notes: Notes) -> Self {
        Self { notes, ..self }
    }

    /// Those that show the same token now get it, nobody later.
    fn of_token((verdict, notes): (Verdict, Notes)) -> Self {
        Self::new(verdict, Keep::Shared).with(notes)
    }

    /// Nobody could say anything of the token.
    fn unknown(error: &ProviderError) -> Self {
        let reason = match error {
            ProviderError::Unavailable(_) | ProviderError::NoEndpoint(_) => Reason::Unavailable,
            ProviderError::BadAnswer(_) | ProviderError::Refused(_) => Reason::BadAnswer,
        };
        let denial = Denial {
            fault: Some(Arc::from(error.to_string())),
            ..Denial::own(reason)
        };
        Self::of_token((Verdict::Deny(Box::new(denial)), noted("unknown")))
    }
}
