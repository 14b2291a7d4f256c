//! An authorizer that is asked over gRPC: what its answer means for the request.

use super::reading::{self, removals};
use super::settings::{ForwardSettings, OnFailure};
use super::{Asked, DecisionSpan, failed, is_of_the_moment};
use crate::auth::cache::{Decided, Keep};
use crate::auth::ext_authz::{self, Allowed, NoReply, Reply};
use crate::auth::{DenialAnswer, HeaderChange, Reason, Verdict};
use crate::upstream::Cluster;
use http::HeaderMap;
use std::sync::Arc;

/// Asks it about a request, for the policy of this name.
pub(super) async fn check(
    cluster: &Arc<Cluster>,
    policy: &Arc<str>,
    settings: &ForwardSettings,
    asked: &Asked<'_>,
    span: &mut DecisionSpan<'_, '_>,
) -> Decided {
    let rules = settings.rules(asked.route);
    if let (Some(rule), Some(body)) = (rules.body, asked.body)
        && body.first(rule.bytes_max).1
    {
        if rule.refuses_larger {
            return Decided::of_one_request(Verdict::deny(Reason::BodyTooLarge));
        }
        if let Some(span) = span.span() {
            span.bool("edgespan.auth.body_partial", true);
        }
    }
    let verdict = match ext_authz::ask(cluster, settings, asked, span).await {
        Ok(Reply::Allow(allowed)) => match granted(policy, settings, asked, allowed) {
            Some(verdict) => {
                let keep = Keep::Stored { at_most: None };
                return Decided { verdict, keep };
            }
            None => {
                let fault = "its answer names more than one client".to_owned();
                failed(settings, rules, asked, (Reason::BadAnswer, fault), span)
            }
        },
        Ok(Reply::Deny(response)) => {
            let keep = if is_of_the_moment(response.status()) {
                Keep::Shared
            } else {
                Keep::Stored { at_most: None }
            };
            let verdict = Verdict::Deny(reading::refusal(asked, response));
            return Decided { verdict, keep };
        }
        Ok(Reply::Failed(answer)) => {
            let mut verdict = {
                let fault = "it answered that it failed".to_owned();
                failed(settings, rules, asked, (Reason::Unavailable, fault), span)
            };
            if let (Verdict::Deny(denial), Some(answer)) = (&mut verdict, answer)
                && rules.on_failure == OnFailure::Closed
                && rules.failure_status.is_none()
            {
                denial.answer = DenialAnswer::Theirs(answer);
            }
            verdict
        }
        Err(NoReply { reason, error }) => failed(settings, rules, asked, (reason, error), span),
    };
    Decided {
        verdict,
        keep: Keep::Shared,
    }
}

/// The permission, with who the client is. None: the answer names more than one.
fn granted(
    policy: &Arc<str>,
    settings: &ForwardSettings,
    asked: &Asked<'_>,
    allowed: Allowed,
) -> Option<Verdict> {
    let mut told = HeaderMap::new();
    for change in &allowed.grant.request {
        if let HeaderChange::Set(name, value) | HeaderChange::Append(name, value) = change {
            told.append(name.clone(), value.clone());
        }
    }
    let identity = reading::identity(policy, &settings.identity, &told)?;
    let mut grant = allowed.grant;
    // First what a client said of itself goes, then comes what the authorizer says.
    let mut request = removals(settings, asked.headers);
    request.append(&mut grant.request);
    grant.request = request;
    grant.identity = Some(Arc::new(identity));
    Some(Verdict::Allow(Box::new(grant)))
}
