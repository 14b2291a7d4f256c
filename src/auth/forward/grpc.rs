//! An authorizer that is asked over gRPC: what its answer means for the request.

use super::reading::{self, removals};
use super::settings::{ForwardSettings, OnFailure};
use super::{Asked, DecisionSpan, failed, keep};
use crate::auth::CacheSettings;
use crate::auth::cache::{Decided, Keep};
use crate::auth::ext_authz::{self, Allowed, NoReply, Reply};
use crate::auth::{DenialAnswer, HeaderChange, Reason, Verdict};
use crate::upstream::Cluster;
use http::HeaderMap;
use std::sync::Arc;
use tokio::time::Instant;

/// A question and whose it is.
pub(super) struct Asking<'a> {
    pub(super) policy: &'a Arc<str>,
    pub(super) settings: &'a ForwardSettings,
    pub(super) asked: &'a Asked<'a>,
    /// Until when it has to be decided.
    pub(super) due: Instant,
    /// What is remembered, if anything is.
    pub(super) cache: Option<&'a CacheSettings>,
}

/// Asks it about a request.
pub(super) async fn check(
    cluster: &Arc<Cluster>,
    asking: &Asking<'_>,
    span: &mut DecisionSpan<'_, '_>,
) -> Decided {
    let (settings, asked) = (asking.settings, asking.asked);
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
    match ext_authz::ask(cluster, settings, asked, asking.due, span).await {
        Ok(Reply::Allow(allowed)) => {
            let notes = ext_authz::notes(&allowed, settings);
            match granted(asking.policy, settings, asked, allowed) {
                Some(verdict) => Decided {
                    verdict,
                    keep: Keep::Stored { at_most: None },
                    notes,
                },
                None => {
                    let fault = "its answer names more than one client".to_owned();
                    failed(settings, rules, asked, (Reason::BadAnswer, fault))
                }
            }
        }
        Ok(Reply::Deny(response)) => {
            let keep = keep(asking.cache, &response);
            Decided::new(Verdict::Deny(reading::refusal(asked, response)), keep)
        }
        Ok(Reply::Failed(answer)) => {
            let fault = "it answered that it failed".to_owned();
            let mut failed = failed(settings, rules, asked, (Reason::Unavailable, fault));
            if let (Verdict::Deny(denial), Some(answer)) = (&mut failed.verdict, answer)
                && rules.on_failure == OnFailure::Closed
                && rules.failure_status.is_none()
            {
                denial.answer = DenialAnswer::Theirs(answer);
            }
            failed
        }
        Err(NoReply { reason, error }) => failed(settings, rules, asked, (reason, error)),
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
        if let HeaderChange::Set(name, value)
        | HeaderChange::Append(name, value)
        | HeaderChange::AddIfAbsent(name, value) = change
        {
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
