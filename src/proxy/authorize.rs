//! Who may pass: the question to `auth`, and what its answer means here.
//!
//! Comes after the rate limits, which protect it, and before anything of the request leaves.

use super::body::Body;
use super::context::RequestContext;
use super::entitle;
use super::error::ProxyError;
use super::gate::Gated;
use super::held;
use super::limit::limit_known;
use super::login;
use super::query;
use crate::auth::{
    Asked, Denial, DenialAnswer, Grant, HeaderChange, Reason, Recorder, Requirement, Ruling,
};
use crate::message::held::HeldBody;
use crate::message::{cookie, forwarded};
use http::Response;
use http::header::SET_COOKIE;
use http::request::Parts;
use std::sync::Arc;
use std::time::Duration;

/// What was decided of who may pass, as the access log has it.
#[derive(Clone, Copy)]
pub(super) struct Decided {
    pub(super) decision: &'static str,
    pub(super) reason: Option<&'static str>,
}

/// Lets the request pass, with what was proved of its client; or not.
pub(super) async fn authorize(
    context: &mut RequestContext,
    mut gated: Gated,
) -> Result<Gated, ProxyError> {
    if context
        .route
        .as_ref()
        .is_none_or(|route| route.auth.is_none() && route.plan.allow.is_none())
    {
        take_cookies_out(context, &mut gated);
        return Ok(gated);
    }
    // In a box: most requests never wait here, and all would carry the room for it.
    Box::pin(decide(context, gated)).await
}

/// Cookies of logins go to no origin, whether its route asks who a client is or not.
fn take_cookies_out(context: &RequestContext, gated: &mut Gated) {
    match gated {
        Gated::Forward(onward) => take_login_out(context, &mut onward.parts),
        Gated::Decide(asking) => take_login_out(context, &mut asking.parts),
        Gated::Guarded(_) | Gated::Answer(_) | Gated::Arrival(_) | Gated::Login(_) => {}
    }
}

fn take_login_out(context: &RequestContext, parts: &mut Parts) {
    if let Some(logins) = &context.live.logins {
        logins.take_out(&mut parts.headers);
        if context.decision.is_some() {
            cookie::join(&mut parts.headers);
        }
    }
}

async fn decide(context: &mut RequestContext, mut gated: Gated) -> Result<Gated, ProxyError> {
    let held = held::hold(context, &mut gated).await?;
    let upgrades = match &gated {
        Gated::Forward(onward) => onward.upgrade.is_some(),
        Gated::Decide(asking) => asking.upgrades,
        Gated::Guarded(_) | Gated::Answer(_) | Gated::Arrival(_) | Gated::Login(_) => false,
    };
    let parts = match &mut gated {
        Gated::Forward(onward) => &mut onward.parts,
        Gated::Guarded(guarded) => &mut guarded.parts,
        Gated::Decide(asking) => &mut asking.parts,
        Gated::Answer(_) | Gated::Arrival(_) | Gated::Login(_) => return Ok(gated),
    };
    let Some(ruling) = ask(context, parts, upgrades, held.as_ref()).await else {
        return Ok(gated);
    };
    let Ruling { outcome, policy } = ruling;
    let outcome = match outcome {
        Ok(grant) => Ok(grant),
        Err(denial) => {
            // In a box: who is let in needs no room for it.
            let logged_in = log_in(context, parts, upgrades, denial, policy.as_deref());
            match Box::pin(logged_in).await {
                Ok(denial) => Err(denial),
                Err(begun) => return Ok(Gated::Answer(begun)),
            }
        }
    };
    let ruling = Ruling { outcome, policy };
    note(context, &ruling);
    match ruling.outcome {
        Ok(mut grant) => {
            if let Some(cookie) = login::carry::spent(context) {
                grant.answer.push((SET_COOKIE, cookie));
            }
            apply(context, parts, grant)?;
            take_login_out(context, parts);
            limit_known(context, &parts.headers).await?;
            Ok(match gated {
                Gated::Guarded(guarded) => Gated::Answer(Box::new(guarded.response)),
                gated @ (Gated::Forward(_)
                | Gated::Decide(_)
                | Gated::Answer(_)
                | Gated::Arrival(_)
                | Gated::Login(_)) => gated,
            })
        }
        Err(denial) => {
            if let (Reason::Forbidden | Reason::NotAllowed, DenialAnswer::Own(_), Some(policy)) =
                (denial.reason, &denial.answer, &ruling.policy)
            {
                context.denied = Box::pin(login::denied(context, parts, upgrades, policy)).await;
            }
            let refused = refuse(*denial, ruling.policy);
            refused.map(|response| Gated::Answer(Box::new(response)))
        }
    }
}

/// Where a login would help a request that was refused, one begins, or is told of; else it is the
/// refusal as it was.
async fn log_in(
    context: &mut RequestContext,
    parts: &Parts,
    upgrades: bool,
    denial: Box<Denial>,
    policy: Option<&str>,
) -> Result<Box<Denial>, Box<Response<Body>>> {
    let mut denial = *denial;
    context.cookies = std::mem::take(&mut denial.cookies);
    let (reason, whose) = (denial.reason, denial.whose.take());
    let refused = (reason, whose.as_deref());
    let DenialAnswer::Login { offers, challenges } = denial.answer else {
        login::told::refusal(context, policy, refused);
        return Ok(Box::new(denial));
    };
    let response = login::refused(context, parts, upgrades, offers, challenges).await;
    let is_sent_on = response.status().is_redirection();
    if !is_sent_on {
        login::told::refusal(context, policy, refused);
    }
    let decided = Decided {
        decision: if is_sent_on { "redirect" } else { "deny" },
        reason: Some(reason.name()),
    };
    tell(context, decided, policy);
    Err(Box::new(response))
}

/// None: its route requires nothing.
async fn ask(
    context: &mut RequestContext,
    parts: &Parts,
    upgrades: bool,
    body: Option<&HeldBody>,
) -> Option<Ruling> {
    let (live, conn) = (Arc::clone(&context.live), Arc::clone(&context.conn));
    let route = context.route.clone()?;
    let requirement = route.auth.as_ref();
    // What is decided here is our own work; what others are asked for is not.
    let waits = requirement.is_some_and(Requirement::waits);
    let now = match requirement {
        Some(_) => context.watch.elapsed(),
        None => Duration::ZERO,
    };
    if waits {
        context.hand_over(now);
    }
    let branch = context.branch.clone();
    let target = context.target.clone();
    // A proxy before us may tell of another host, in words that its client chose.
    let own = context.routed_host.clone();
    let (host, port) = own.unwrap_or_else(|| (context.host.clone(), context.server_port));
    let decides = context.decision.is_some();
    let asked = Asked {
        method: &parts.method,
        scheme: context.scheme,
        host: &host,
        port,
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
        is_preflight: context.is_preflight,
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
        read: now,
        flow: route.plan.flow.as_ref().map(|flow| flow.name.as_ref()),
        flags,
        spans: context.spans(),
    };
    let mut ruling = match requirement {
        Some(requirement) => requirement.check(&asked, &mut recorder).await,
        None => Ruling::unasked(),
    };
    let now = recorder.read;
    if waits {
        context.take_back(now);
    }
    if let Ok(grant) = ruling.outcome {
        let (outcome, error) = entitle::allowed(&route.plan, &asked, grant);
        if let Some(error) = error {
            context.note("edgespan.auth.allow.error", error.name());
        }
        ruling.outcome = outcome;
    }
    Some(ruling)
}

/// What the SERVER span says of it.
fn note(context: &mut RequestContext, ruling: &Ruling) {
    let decided = match &ruling.outcome {
        Ok(grant) => Decided {
            decision: "allow",
            reason: grant.undecided.map(Reason::name),
        },
        Err(denial) => Decided {
            decision: denial.name(),
            reason: Some(denial.reason.name()),
        },
    };
    tell(context, decided, ruling.policy.as_deref());
}

fn tell(context: &mut RequestContext, decided: Decided, policy: Option<&str>) {
    context.note("edgespan.auth.decision", decided.decision);
    if let Some(reason) = decided.reason {
        context.note("edgespan.auth.reason", reason);
    }
    if let Some(policy) = policy {
        context.note("edgespan.auth.policy", policy);
    }
    context.decided = Some(decided);
}

/// What a grant changes of the request, and what is kept of it for the answer.
fn apply(
    context: &mut RequestContext,
    parts: &mut Parts,
    grant: Box<Grant>,
) -> Result<(), ProxyError> {
    query::edit(&mut parts.uri, &grant.query_set, &grant.query_remove).map_err(|_| {
        ProxyError::Rewrite {
            reason: "a policy made the query too long",
        }
    })?;
    for change in &grant.request {
        match change {
            HeaderChange::Set(name, value) => {
                forwarded::assert_field(&mut parts.headers, name, Some(value));
            }
            HeaderChange::Append(name, value) => {
                parts.headers.append(name.clone(), value.clone());
            }
            HeaderChange::AddIfAbsent(name, value) => {
                if !parts.headers.contains_key(name) {
                    parts.headers.insert(name.clone(), value.clone());
                }
            }
            HeaderChange::SetIfPresent(name, value) => {
                if parts.headers.contains_key(name) {
                    forwarded::assert_field(&mut parts.headers, name, Some(value));
                }
            }
            HeaderChange::Remove(name) => {
                forwarded::assert_field(&mut parts.headers, name, None);
            }
        }
    }
    for name in &grant.cookies_remove {
        cookie::remove(&mut parts.headers, name);
    }
    entitle::say_who(context, &mut parts.headers, grant.identity.as_deref());
    entitle::assert_signed(context, &mut parts.headers, grant.identity.as_deref())?;
    context.granted = Some(grant);
    Ok(())
}

fn refuse(denial: Denial, policy: Option<Arc<str>>) -> Result<Response<Body>, ProxyError> {
    let (challenges, status) = match denial.answer {
        DenialAnswer::Theirs(response) => return Ok(response.map(Body::from)),
        DenialAnswer::Own(challenges) => (challenges, None),
        DenialAnswer::OwnWith(status) => (Vec::new(), Some(status)),
        // Begun before, where it can be.
        DenialAnswer::Login { challenges, .. } => (challenges, None),
    };
    Err(ProxyError::Denied {
        policy,
        fault: denial.fault,
        reason: denial.reason,
        challenges,
        status,
    })
}
