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

use super::call::{self, Question};
use super::{Asked, DecisionSpan, Denial, DenialAnswer, Grant, Reason, Verdict};
use crate::upstream::Cluster;
use reading::Reading;
use std::sync::Arc;

/// Largest answer of an authorizer that is passed on, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An authorizer, ready to be asked.
pub(super) struct Forward {
    pub(super) cluster: Arc<Cluster>,
}

impl Forward {
    /// Asks it about a request, for the policy of this name.
    pub(super) async fn check(
        &self,
        policy: &Arc<str>,
        settings: &ForwardSettings,
        asked: &Asked<'_>,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        if settings.dialect == Dialect::Grpc {
            return grpc::check(&self.cluster, policy, settings, asked, span).await;
        }
        let rules = settings.rules(asked.route);
        let Some(told) = question::tell(settings, rules, asked) else {
            return failed(settings, rules, asked, Reason::BadAnswer, span);
        };
        if told.is_cut {
            if rules.body.is_some_and(|rule| rule.refuses_larger) {
                return Verdict::deny(Reason::BodyTooLarge);
            }
            if let Some(span) = span.span() {
                span.bool("edgespan.auth.body_partial", true);
            }
        }
        let question = Question {
            request: told.request,
            host: told.host,
            timeout: rules.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
            retries: settings.retries,
            is_grpc: false,
        };
        match call::ask(&self.cluster, &question, span).await {
            Ok(answer) => match reading::read(policy, settings, rules, asked, answer.response) {
                Reading::Allow(grant) => Verdict::Allow(grant),
                Reading::Refuse(denial) => Verdict::Deny(denial),
                Reading::Nothing(reason) => failed(settings, rules, asked, reason, span),
            },
            Err(error) => {
                if let Some(span) = span.span() {
                    span.str("edgespan.auth.error", &error.to_string());
                }
                failed(settings, rules, asked, call::reason_of(&error), span)
            }
        }
    }
}

/// What becomes of a request that nobody could decide about. If it may pass, then as nobody: what
/// its client says of itself is gone as with any other answer.
pub(super) fn failed(
    settings: &ForwardSettings,
    rules: &ForwardRules,
    asked: &Asked<'_>,
    reason: Reason,
    span: &mut DecisionSpan<'_, '_>,
) -> Verdict {
    match rules.on_failure {
        OnFailure::Open => {
            if let Some(span) = span.span() {
                span.bool("edgespan.auth.failed_open", true);
                span.str("edgespan.auth.reason", reason.name());
            }
            Verdict::Allow(Box::new(Grant {
                request: reading::removals(settings, asked.headers),
                ..Grant::default()
            }))
        }
        OnFailure::Closed => {
            let mut denial = Denial::own(reason);
            if let Some(status) = rules.failure_status {
                denial.answer = DenialAnswer::OwnWith(status);
            }
            Verdict::Deny(Box::new(denial))
        }
    }
}
