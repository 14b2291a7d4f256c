//! An external authorizer is asked, over HTTP or gRPC.
//!
//! `question` tells it of the request in one of three dialects, `reading` reads its answer. What
//! is neither a permission nor a refusal is a failure: by default it refuses, too.

mod fields;
mod grpc;
mod question;
mod reading;
mod settings;
#[cfg(test)]
mod tests;

pub use fields::FieldPattern;
pub use settings::{BodyRule, Dialect, ForwardRules, ForwardSettings, IdentityFields, OnFailure};

use super::cache::{Decided, DecisionCache, Keep, KeyFacts, StillWaiting};
use super::call::{self, Question};
use super::keyed::Digest;
use super::notes::{Note, Notes};
use super::{Asked, CacheSettings, DecisionSpan, Denial, DenialAnswer, Grant, Reason, Verdict};
use crate::telemetry::metrics::AuthCounts;
use crate::upstream::Cluster;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, Response, StatusCode};
use question::ToldFields;
use reading::Reading;
use std::sync::Arc;
use tokio::time::Instant;

/// Largest answer of an authorizer that is passed on, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An authorizer, ready to be asked.
pub(super) struct Forward {
    cluster: Arc<Cluster>,
    /// What it decided before; None: nothing is remembered.
    cache: Option<DecisionCache>,
    told: ToldFields,
}

impl Forward {
    /// The one of these settings that is this upstream.
    pub(super) fn new(
        settings: &ForwardSettings,
        cluster: Arc<Cluster>,
        counts: &Arc<AuthCounts>,
    ) -> Self {
        let cache = settings.cache.clone();
        Self {
            cluster,
            cache: cache.map(|cache| DecisionCache::new(cache, Arc::clone(counts))),
            told: ToldFields::of(settings),
        }
    }

    /// The upstream that it is.
    pub(super) const fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Asks it about a request, for the policy of this name, or remembers what it said. It is `now`
    /// when this is asked for.
    pub(super) async fn check(
        &self,
        policy: &Arc<str>,
        settings: &ForwardSettings,
        asked: &Asked<'_>,
        now: Instant,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        let rules = settings.rules(asked.route);
        // One bound for all of it: who waited for another request's answer has less time to ask.
        let due = now + rules.timeout;
        let Some(cache) = &self.cache else {
            // In a box, as below: not every policy asks somebody.
            let decided = Box::pin(self.ask(policy, settings, asked, due, span)).await;
            return span.decided(decided);
        };
        let origin = span.origin();
        let answered = {
            // In a box, and not before it is begun: it is large, and what is remembered needs no
            // room for it.
            let ask = async { Box::pin(self.ask(policy, settings, asked, due, &mut *span)).await };
            let question = self.asked_before(cache, settings, asked);
            cache.decide(question, (now, due), origin, ask).await
        };
        match answered {
            Ok(mut answered) => {
                if answered.is_of_another_request()
                    && let Verdict::Allow(grant) = &mut answered.verdict
                {
                    // It knew what another request had sent in place of an identity.
                    let own = reading::removals(settings, asked.headers);
                    grant.request.splice(..0, own);
                }
                span.answered(answered)
            }
            Err(StillWaiting) => {
                let late = "who asked before had no answer in time".to_owned();
                let failed = failed(settings, rules, asked, (Reason::Timeout, late));
                span.decided(failed)
            }
        }
    }

    async fn ask(
        &self,
        policy: &Arc<str>,
        settings: &ForwardSettings,
        asked: &Asked<'_>,
        due: Instant,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Decided {
        if settings.dialect == Dialect::Grpc {
            let asking = grpc::Asking {
                policy,
                settings,
                asked,
                due,
                cache: self.cache.as_ref().map(DecisionCache::settings),
            };
            return grpc::check(&self.cluster, &asking, span).await;
        }
        let rules = settings.rules(asked.route);
        let Some(told) = question::tell(settings, &self.told, rules, asked) else {
            let told = "it cannot be told of this request".to_owned();
            return Decided {
                keep: Keep::Own,
                ..failed(settings, rules, asked, (Reason::BadAnswer, told))
            };
        };
        if told.is_cut {
            if rules.body.is_some_and(|rule| rule.refuses_larger) {
                return Decided::of_one_request(Verdict::deny(Reason::BodyTooLarge));
            }
            if let Some(span) = span.span() {
                span.bool("edgespan.auth.body_partial", true);
            }
        }
        let mut first = Some(told.request);
        let mut request = || {
            let again = || Some(question::tell(settings, &self.told, rules, asked)?.request);
            first.take().or_else(again)
        };
        let question = Question {
            request: &mut request,
            host: told.host,
            due,
            answer_bytes_max: ANSWER_BYTES_MAX,
            retries: settings.retries,
            is_grpc: false,
        };
        let fault = match call::ask(&self.cluster, question, span).await {
            Ok(answer) => {
                let cache = self.cache.as_ref().map(DecisionCache::settings);
                let keep = keep(cache, &answer.response);
                let status = answer.response.status();
                match reading::read(policy, settings, rules, asked, answer.response) {
                    Reading::Allow(grant) => return Decided::new(Verdict::Allow(grant), keep),
                    Reading::Refuse(denial) => return Decided::new(Verdict::Deny(denial), keep),
                    Reading::Nothing(reason) => (reason, no_decision(status)),
                }
            }
            Err(error) => (call::reason_of(&error), error.to_string()),
        };
        failed(settings, rules, asked, fault)
    }

    /// What makes this request one question with others. None: it has a body that is told of, and what
    /// that says is in no key.
    fn asked_before(
        &self,
        cache: &DecisionCache,
        settings: &ForwardSettings,
        asked: &Asked<'_>,
    ) -> Option<Digest> {
        if asked.body.is_some_and(|body| !body.is_nothing()) {
            return None;
        }
        let describes = |name: &HeaderName| [CONTENT_TYPE, CONTENT_ENCODING].contains(name);
        cache.question(&KeyFacts {
            asked,
            is_told: &|name| match settings.dialect {
                // The length is told as the request's size, whatever else is.
                Dialect::Grpc => {
                    *name == CONTENT_LENGTH
                        || settings.request_headers.iter().any(|one| one.takes(name))
                }
                Dialect::AuthRequest | Dialect::Traefik | Dialect::Envoy => {
                    self.told.has(name) || (asked.body.is_some() && describes(name))
                }
            },
        })
    }
}

/// What may become of an answer. One that says "not now" is not for later.
fn keep<B>(cache: Option<&CacheSettings>, answer: &Response<B>) -> Keep {
    match cache {
        Some(_) if is_of_the_moment(answer.status()) => Keep::Shared,
        Some(cache) => Keep::by_answer(answer.headers(), cache),
        None => Keep::Own,
    }
}

/// Whether an answer of this status says "not now".
fn is_of_the_moment(status: StatusCode) -> bool {
    status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// Why an answer of this status decides nothing.
fn no_decision(status: StatusCode) -> String {
    if status.is_server_error() {
        format!("it answered {}", status.as_u16())
    } else {
        "its answer makes no sense".to_owned()
    }
}

/// What becomes of a request that nobody could decide about. If it may pass, then as nobody: what
/// its client says of itself is gone as with any other answer.
fn failed(
    settings: &ForwardSettings,
    rules: &ForwardRules,
    asked: &Asked<'_>,
    (reason, fault): (Reason, String),
) -> Decided {
    let mut notes = Notes::default();
    notes.text("edgespan.auth.error", &fault);
    let verdict = match rules.on_failure {
        OnFailure::Open => {
            notes.add("edgespan.auth.failed_open", Note::Truth(true));
            Verdict::Allow(Box::new(Grant {
                request: reading::removals(settings, asked.headers),
                undecided: Some(reason),
                ..Grant::default()
            }))
        }
        OnFailure::Closed => {
            let mut denial = Denial::own(reason);
            denial.fault = Some(fault.into());
            if let Some(status) = rules.failure_status {
                denial.answer = DenialAnswer::OwnWith(status);
            }
            Verdict::Deny(Box::new(denial))
        }
    };
    Decided {
        verdict,
        keep: Keep::Shared,
        notes,
    }
}
