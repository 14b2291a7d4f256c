//! How often a client may ask: the question to `ratelimit`, and what its answer means here.
//!
//! Comes between gate and forward, whatever the gate came to: also a request without a route is one
//! more of its listener's. Nobody has been asked anything yet. Limits that go by who the client is
//! come after `authorize`.

use super::body::Body;
use super::context::RequestContext;
use super::error::ProxyError;
use super::forward::forward;
use super::gate::Onward;
use crate::clock;
use crate::ratelimit::{KeyFacts, Known, Refused};
use crate::trace::span::OpenSpan;
use http::{HeaderMap, Response};
use std::sync::Arc;
use tokio::time::Instant;

/// `ratelimit.algorithm`; there is one.
const ALGORITHM: &str = "gcra";

/// Notes whose buckets the request takes from, while its headers are at hand.
pub(super) fn begin(context: &mut RequestContext, headers: &HeaderMap) {
    let limits = context.route.as_ref().map_or(&[][..], |one| &one.limits);
    context.charges = context.live.limits.begin(limits, &facts(context, headers));
}

fn facts<'a>(context: &'a RequestContext, headers: &'a HeaderMap) -> KeyFacts<'a> {
    let route = context.route.as_ref();
    let identity = context.identity();
    KeyFacts {
        client: context.client,
        headers,
        route: route.map(|route| &*route.plan.name),
        listener: &context.conn.listener.name,
        is_preflight: context.is_preflight,
        known: identity.and_then(|identity| {
            let (policy, subject) = identity.known_as()?;
            Some(Known {
                policy,
                subject,
                api_key: identity.api_key(),
            })
        }),
    }
}

/// Lets the request pass, or not.
pub(super) async fn limit(context: &mut RequestContext) -> Result<(), ProxyError> {
    if context.charges.is_none() {
        return Ok(());
    }
    let now = context.watch.started_instant();
    // In a box: most requests never wait here, and all would carry the room for it.
    Box::pin(charge(context, now)).await
}

/// The same for limits that go by who the client is, once that is decided. What the first ones
/// took is not given back: they protect whoever decides.
pub(super) async fn limit_known(
    context: &mut RequestContext,
    headers: &HeaderMap,
) -> Result<(), ProxyError> {
    let limits = match &context.route {
        Some(route) if !route.identity_limits.is_empty() => &route.identity_limits,
        Some(_) | None => return Ok(()),
    };
    let facts = facts(context, headers);
    let Some(charges) = context.live.limits.begin_known(limits, &facts) else {
        return Ok(());
    };
    context.charges = Some(charges.after(context.charges.take()));
    // In a box: most routes have no such limit.
    Box::pin(charge(context, clock::instant())).await
}

async fn charge(context: &mut RequestContext, now: Instant) -> Result<(), ProxyError> {
    let Some(charges) = &mut context.charges else {
        return Ok(());
    };
    let mut charged = charges.charge_local(now);
    if charged.is_ok() && charges.asks_store() {
        let handed_over = context.watch.elapsed();
        charged = charges.charge_shared(now).await;
        context.hand_over(handed_over);
        context.take_back(context.watch.elapsed());
    }
    let told = context.charges.as_ref().and_then(|one| one.decision());
    match (charged, told) {
        (Ok(()), _) => Ok(()),
        (Err(Refused::Limited), Some(decision)) => {
            // At least one: a client that comes back at once would be refused again.
            let wait = decision.verdict.retry_after.as_secs_f64().ceil().max(1.0);
            Err(ProxyError::RateLimited {
                rule: Arc::clone(&decision.rule.settings().name),
                retry_after: clamp(wait),
            })
        }
        (Err(Refused::Unknown(fault)), _) => Err(ProxyError::RateLimitUnknown {
            fault: fault.name(),
        }),
        (Err(Refused::Limited), None) => Err(ProxyError::RateLimitUnknown { fault: "none" }),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float saturates, which is what is wanted"
)]
const fn clamp(seconds: f64) -> u32 {
    seconds as u32
}

/// Goes on to the upstream, if it can take one more by its own finding.
pub(super) async fn within(
    context: &mut RequestContext,
    onward: Box<Onward>,
) -> Result<Response<Body>, ProxyError> {
    let Some(limit) = onward.cluster.adaptive() else {
        return forward(context, onward).await;
    };
    let Some(place) = limit.enter(clock::instant()) else {
        context.upstream = Some(Arc::clone(&onward.cluster.settings().name));
        return Err(ProxyError::Overloaded { what: "adaptive" });
    };
    context.adaptive = Some(Box::new(place));
    let outcome = forward(context, onward).await;
    let Some(place) = context.adaptive.take() else {
        return outcome;
    };
    match &outcome {
        Ok(response) if !response.status().is_server_error() => place.answered(clock::instant()),
        Err(ProxyError::Timeout { .. }) => place.answered(clock::instant()),
        // As if the client had left when its time was over.
        Err(ProxyError::OutOfTime { .. }) => drop(place),
        // What fails at once would make the upstream look quick.
        Ok(_) | Err(_) => place.failed(),
    }
    outcome
}

/// What the SERVER span says of it, in the end: limits may have been asked twice.
pub(super) fn record(context: &mut RequestContext) {
    let (Some(charges), Some(span)) = (&context.charges, &mut context.server) else {
        return;
    };
    if let Some(fault) = charges.fault() {
        span.str("edgespan.ratelimit.store.error", fault.name());
    }
    let Some(decision) = charges.decision() else {
        return;
    };
    let settings = decision.rule.settings();
    span.bool("ratelimit.allowed", decision.verdict.admitted);
    span.int("ratelimit.limit", settings.quota.burst().into());
    span.int("ratelimit.remaining", decision.verdict.remaining.into());
    span.str("ratelimit.algorithm", ALGORITHM);
    span.str("ratelimit.rule", &settings.name);
    if !settings.enforce {
        note_shadow(span);
    }
}

fn note_shadow(span: &mut OpenSpan) {
    span.bool("edgespan.ratelimit.enforced", false);
}
