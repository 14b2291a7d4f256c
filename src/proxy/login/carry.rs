//! The trace through a login: what of a refused request's context goes along, and how it comes
//! back.
//!
//! The refused request's context lies sealed with the login that begins. The callback's SERVER span
//! goes on with it; with the session the browser gets a ticket, by which the request that it
//! repeats goes on with it, too. Both stand under the refused request's SERVER span. Whoever brings
//! a trace of its own keeps that, and is tied to the other by a link.

use super::Asking;
use crate::auth::oidc::ticket::{
    FLOW_CARRIED_BYTES_MAX, Ticket, new_id, session_mark, target_mark,
};
use crate::auth::oidc::{Flow, Redeemed};
use crate::auth::session::Session;
use crate::proxy::context::RequestContext;
use crate::proxy::{asked, decide};
use crate::trace::carried::Carried;
use crate::trace::context::{Inbound, TraceState};
use crate::trace::rum;
use crate::trace::span::OpenSpan;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Incoming;

/// The context of a request that is refused for now, to be kept with the login that begins.
pub(super) fn taken(context: &mut RequestContext, headers: &HeaderMap) -> Option<Carried> {
    let head = context.head.as_ref()?;
    let query = context.target.query();
    let carried = Carried::of(head, context.server_id, query, headers);
    let (carried, is_whole) = carried.within(FLOW_CARRIED_BYTES_MAX);
    note_room(context, is_whole);
    // A path of ours has said so already.
    if context.login.is_none()
        && let Some(session) = &carried.rum_session
    {
        context.note(rum::KEY, session);
    }
    Some(carried)
}

/// Says that a part of the context found no room.
pub(super) fn note_room(context: &mut RequestContext, is_whole: bool) {
    if !is_whole {
        context.live.metrics.login_trace("partial");
        context.note("edgespan.login.carried", "partial");
    }
}

/// Before anything else of a request is read, if it brings a ticket: the context comes back. What
/// it is asked for is read here as it will be read again, so that a ticket is used for its target
/// and for nothing else.
pub(in crate::proxy) async fn take_back(
    context: &mut RequestContext,
    incoming: &mut Request<Incoming>,
) {
    let mut head = Request::new(());
    *head.method_mut() = incoming.method().clone();
    *head.uri_mut() = incoming.uri().clone();
    *head.version_mut() = incoming.version();
    *head.headers_mut() = incoming.headers().clone();
    let target = if context.conn.listener.decision.is_some() {
        decide::asked_about(context, head)
    } else {
        asked::address(context, head)
    };
    if let Some(target) = target {
        take_back_for(context, incoming.headers_mut(), &target, false).await;
    }
}

/// The same for a request of which the target is known. `has_trace` is whether it has a trace
/// beside what its headers say.
pub(in crate::proxy) async fn take_back_for(
    context: &mut RequestContext,
    headers: &mut HeaderMap,
    target: &str,
    has_trace: bool,
) {
    let Some(logins) = context.live.logins.clone() else {
        return;
    };
    let now = context.watch.now();
    context.hand_over(context.watch.elapsed());
    let secure = target.starts_with("https:");
    let redeemed = logins.take_ticket(headers, target, secure, now).await;
    context.take_back(context.watch.elapsed());
    let Some(redeemed) = redeemed else { return };
    let inbound = context.live.propagators.extract(headers);
    let has_trace = has_trace || inbound.is_some_and(|inbound| inbound.parent().is_some());
    if let Ok(ticket) = &redeemed.ticket
        && !has_trace
    {
        ticket.carried.write_baggage(headers);
    }
    context.repeated = Some(Box::new(redeemed));
}

/// What a request goes on from: the login that it completes, or the one before it.
fn carried(context: &RequestContext) -> Option<&Carried> {
    if let Some(login) = &context.login {
        let flow = login.flow.as_ref().filter(|_| login.is_fresh)?;
        return flow.carried.as_ref();
    }
    let ticket = context.repeated.as_ref()?.ticket.as_ref().ok()?;
    Some(&ticket.carried)
}

/// The context that the SERVER span of a request goes on from: its own, or that of the login that
/// it completes.
pub(in crate::proxy) fn joined(
    context: &RequestContext,
    inbound: Option<Inbound>,
) -> Option<Inbound> {
    if inbound
        .as_ref()
        .is_some_and(|inbound| inbound.parent().is_some())
    {
        return inbound;
    }
    match carried(context) {
        Some(carried) => Some(Inbound::Parent(carried.parent())),
        None => inbound,
    }
}

/// What the SERVER span of such a request says from its begin.
pub(in crate::proxy) fn tell(context: &mut RequestContext, parts: &Parts) {
    if context.login.is_none() && context.repeated.is_none() {
        return;
    }
    let Some(mut span) = context.server.take() else {
        return;
    };
    let outcome = link(context, &mut span);
    if let Some(outcome) = outcome {
        span.str("edgespan.login.trace", outcome);
        context.live.metrics.login_trace(outcome);
    }
    if context.login.is_some() {
        let given = carried(context).and_then(|carried| carried.rum_session.clone());
        let given = given.or_else(|| rum::session(parts.uri.query(), &parts.headers));
        if let Some(session) = given {
            span.str(rum::KEY, &session);
        }
    }
    context.server = Some(span);
}

/// Ties the span to the one that it comes after; the word for how. A callback is tied to the
/// refused request even where it stands under it.
fn link(context: &RequestContext, span: &mut OpenSpan) -> Option<&'static str> {
    let Some(carried) = carried(context) else {
        let repeated = context.repeated.as_ref()?;
        return repeated.ticket.as_ref().err().map(|why| why.name());
    };
    let ids = span.ids();
    let has_joined = (ids.trace_id, ids.parent) == (carried.trace_id, Some(carried.span_id));
    let ticket = context.repeated.as_ref();
    let ticket = ticket.and_then(|repeated| repeated.ticket.as_ref().ok());
    match ticket.filter(|_| has_joined) {
        Some(ticket) => {
            if let Some((trace, callback)) = ticket.callback {
                span.link(trace, callback, &TraceState::EMPTY, carried.flags);
            }
        }
        None => carried.link(span),
    }
    Some(if has_joined { "joined" } else { "linked" })
}

/// `Set-Cookie` values that bring the context back with the request that is repeated.
pub(super) async fn ticket(
    context: &mut RequestContext,
    asking: &Asking<'_>,
    flow: &Flow,
    session: &Session,
) -> Vec<HeaderValue> {
    let (logins, sealer) = (asking.logins, &asking.logins.sealer);
    let target = target_mark(sealer, &flow.target);
    let (Some(carried), Some(target), Some(id)) = (&flow.carried, target, new_id()) else {
        return Vec::new();
    };
    let head = context.head.as_ref().filter(|head| head.record);
    let ticket = Ticket {
        id,
        made: super::now(context),
        target,
        session: session_mark(sealer, session),
        policy: (&*session.policy).into(),
        callback: head.map(|head| (head.trace_id, context.server_id)),
        carried: carried.clone(),
    };
    let given = logins.give_ticket(ticket, asking.site, asking.headers);
    let (cookies, is_whole) = given.await;
    note_room(context, is_whole);
    cookies
}

/// `Set-Cookie` that takes the ticket from the browser, for the answer to the request that brought
/// it. Once.
pub(in crate::proxy) fn spent(context: &mut RequestContext) -> Option<HeaderValue> {
    let repeated: &mut Redeemed = context.repeated.as_mut()?;
    repeated.clear.take()
}
