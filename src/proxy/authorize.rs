//! Who may pass: the question to `auth`, and what its answer means here.
//!
//! Comes after the rate limits, which protect it, and before anything of the request leaves.

use super::body::Body;
use super::context::RequestContext;
use super::cors;
use super::entitle;
use super::error::ProxyError;
use super::gate::Gated;
use super::held;
use crate::auth::{Asked, Denial, DenialAnswer, Grant, HeaderChange, Recorder};
use crate::message::forwarded;
use crate::message::held::HeldBody;
use http::Response;
use http::request::Parts;
use std::sync::Arc;

/// Lets the request pass, with what was proved of its client; or not.
pub(super) async fn authorize(
    context: &mut RequestContext,
    gated: Gated,
) -> Result<Gated, ProxyError> {
    if context
        .route
        .as_ref()
        .is_none_or(|route| route.auth.is_none() && route.plan.allow.is_none())
    {
        return Ok(gated);
    }
    // In a box: most requests never wait here, and all would carry the room for it.
    Box::pin(decide(context, gated)).await
}

async fn decide(context: &mut RequestContext, mut gated: Gated) -> Result<Gated, ProxyError> {
    let held = held::hold(context, &mut gated).await?;
    let upgrades = match &gated {
        Gated::Forward(onward) => onward.upgrade.is_some(),
        Gated::Decide(asking) => asking.upgrades,
        Gated::Guarded(_) | Gated::Answer(_) => false,
    };
    let parts = match &mut gated {
        Gated::Forward(onward) => &mut onward.parts,
        Gated::Guarded(guarded) => &mut guarded.parts,
        Gated::Decide(asking) => &mut asking.parts,
        Gated::Answer(_) => return Ok(gated),
    };
    match ask(context, parts, upgrades, held.as_ref()).await {
        Ok(grant) => {
            apply(context, parts, *grant)?;
            Ok(match gated {
                Gated::Guarded(guarded) => Gated::Answer(guarded.response),
                gated @ (Gated::Forward(_) | Gated::Decide(_) | Gated::Answer(_)) => gated,
            })
        }
        Err(denial) => refuse(context, denial).map(Gated::Answer),
    }
}

async fn ask(
    context: &mut RequestContext,
    parts: &Parts,
    upgrades: bool,
    body: Option<&HeldBody>,
) -> Result<Box<Grant>, Box<Denial>> {
    let (live, conn) = (Arc::clone(&context.live), Arc::clone(&context.conn));
    let Some(route) = context.route.clone() else {
        return Ok(Box::default());
    };
    let handed_over = context.watch.elapsed();
    context.hand_over(handed_over);
    let branch = context.branch.clone();
    let target = context.target.clone();
    let host = context.host.clone();
    let decides = context.decision.is_some();
    let asked = Asked {
        method: &parts.method,
        scheme: context.scheme,
        host: &host,
        port: context.server_port,
        target: &target,
        version: context.version,
        headers: &parts.headers,
        client: context.client,
        peer: conn.ends.peer,
        // With a decision it is the host's, who is not who is asked about.
        certificate: conn.identity().filter(|_| !decides),
        route: &route.plan.name,
        listener: &conn.listener.name,
        upgrades,
        is_preflight: cors::preflight_method(&parts.method, &parts.headers).is_some(),
        body,
    };
    let flags = branch
        .as_ref()
        .map_or(&route.trace.flags, |branch| &branch.flags);
    let head = context.head.clone();
    let mut recorder = Recorder {
        settings: &live.trace,
        propagators: &live.propagators,
        head: head.as_ref(),
        server_id: context.server_id,
        watch: context.watch,
        flow: route.plan.flow.as_ref().map(|flow| flow.name.as_ref()),
        flags,
        spans: context.spans(),
    };
    let outcome = match &route.auth {
        Some(requirement) => requirement.check(&asked, &mut recorder).await,
        None => Ok(Box::default()),
    };
    context.take_back(context.watch.elapsed());
    let (outcome, error) = entitle::allowed(&route.plan, &asked, outcome?);
    if let Some(error) = error {
        context.note("edgespan.auth.allow.error", error.name());
    }
    outcome
}

/// What a grant changes of the request, and what is kept of it for the answer.
fn apply(context: &mut RequestContext, parts: &mut Parts, grant: Grant) -> Result<(), ProxyError> {
    for change in &grant.request {
        match change {
            HeaderChange::Set(name, value) => {
                forwarded::assert_field(&mut parts.headers, name, Some(value));
            }
            HeaderChange::Append(name, value) => {
                parts.headers.append(name.clone(), value.clone());
            }
            HeaderChange::Remove(name) => {
                forwarded::assert_field(&mut parts.headers, name, None);
            }
        }
    }
    context.note("edgespan.auth.decision", "allow");
    entitle::assert_signed(context, &mut parts.headers, grant.identity.as_deref())?;
    context.granted = Some(Box::new(grant));
    Ok(())
}

fn refuse(context: &mut RequestContext, denial: Box<Denial>) -> Result<Response<Body>, ProxyError> {
    context.note("edgespan.auth.decision", denial.name());
    context.note("edgespan.auth.reason", denial.reason.name());
    match denial.answer {
        DenialAnswer::Theirs(response) => Ok(response.map(Body::from)),
        DenialAnswer::Own(challenges) => Err(ProxyError::Denied {
            reason: denial.reason,
            challenges,
            status: None,
        }),
        DenialAnswer::OwnWith(status) => Err(ProxyError::Denied {
            reason: denial.reason,
            challenges: Vec::new(),
            status: Some(status),
        }),
    }
}
