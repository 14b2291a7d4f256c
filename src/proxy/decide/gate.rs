//! The gate of a decision listener: who asks, what about, and which route that has.

use super::rebuilt::Reading;
use super::told::{self, Outer, Told};
use super::{Asking, Decision, Original, Published};
use crate::listener::{Dialect, ListenerSettings};
use crate::message::authority::Authority;
use crate::message::normalize::{Normalized, normalize};
use crate::message::respond::Form;
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use crate::proxy::error::ProxyError;
use crate::proxy::gate::{self, Gated, Guarded};
use crate::proxy::snapshot::{LiveAction, LiveRoute};
use crate::proxy::{asked, cors, limit, login, well_known};
use crate::route::RouteRequest;
use http::header::{FORWARDED, TRANSFER_ENCODING, USER_AGENT};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, Version};
use hyper::body::Incoming;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Reads what a host asks, routes and traces it, and lets it go on to be decided.
pub(in crate::proxy) fn gate(
    context: &mut RequestContext,
    mut incoming: Request<Incoming>,
) -> Result<Gated, ProxyError> {
    // gRPC's form of a failure is a 200, which every host takes for leave to pass.
    if matches!(context.form, Form::Grpc(_)) {
        context.form = Form::Problem;
    }
    let raw = incoming.uri().path_and_query().cloned();
    let policy = gate::normalize_policy(&context.conn.listener);
    let normalized = normalize(&mut incoming, &policy);
    let chunked = incoming.headers().contains_key(TRANSFER_ENCODING);
    let ends = chunked || context.place.is_last();
    context.close_after = ends && context.version < Version::HTTP_2;
    // Nobody is asked about a body: what a host sends of it is left where it is.
    let (mut parts, body) = incoming.into_parts();
    let upgrades = told::upgrades(&mut parts.headers);
    if let Some(response) = published(context, &parts, normalized.is_ok()) {
        return Ok(Gated::Answer(Box::new(response)));
    }
    if is_of_a_login(context, &parts) && normalized.is_ok() {
        return Ok(log_in(context, parts, body, normalized.ok().as_ref()));
    }
    let told = begin(
        context,
        &parts,
        normalized.map_err(gate::refused),
        raw.as_ref(),
    );
    match told {
        Ok(told) => {
            // Proxies before the host may have written it, and the host may not know it.
            parts.headers.remove(FORWARDED);
            let client = Reading::of(&context.conn.listener).client_of(&parts.headers);
            let client = SocketAddr::new(client, 0);
            ask(context, parts.headers, &told, client, upgrades)
        }
        Err(ProxyError::NoRoute) => {
            let published = well_known::answer(&context.live, &parts.method, parts.uri.path());
            let error = refuse(context, &parts, ProxyError::NoRoute);
            published
                .map(|response| Gated::Answer(Box::new(response)))
                .ok_or(error)
        }
        Err(error) => Err(refuse(context, &parts, error)),
    }
}

/// The address that is asked about, absolute; None if nothing is told, or by nobody who may. Of a
/// call it is in the message.
pub(in crate::proxy) fn asked_about(
    context: &RequestContext,
    mut head: Request<()>,
) -> Option<String> {
    let listener = &context.conn.listener;
    let raw = head.uri().path_and_query().cloned()?;
    let normalized = normalize(&mut head, &gate::normalize_policy(listener)).ok()?;
    let (parts, ()) = head.into_parts();
    let settings = listener.decision.as_ref()?;
    let (dialect, endpoint) = settings.find(parts.uri.path())?;
    if !listener.trusted_proxies.trusts(context.conn.ends.peer.ip()) {
        return None;
    }
    let outer = Outer {
        parts: &parts,
        raw: &raw,
        host: normalized.authority().map(Authority::header),
        scheme: context.scheme,
    };
    let told = told::read(dialect, endpoint, &outer).ok()?;
    address_of(listener, &told)
}

/// The address of a request that is told of, by its one reading.
pub(super) fn address_of(listener: &ListenerSettings, told: &Told) -> Option<String> {
    let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let rebuilt = Reading::of(listener).rebuild(HeaderMap::new(), told, nobody);
    let normalized = rebuilt.normalized.ok()?;
    let target = rebuilt.parts.uri.path_and_query()?;
    asked::address_told(told.scheme, &normalized, target.as_str())
}

/// Whether a host passes on what its client asked of one of our own paths of logins.
fn is_of_a_login(context: &RequestContext, parts: &Parts) -> bool {
    let Some(logins) = &context.live.logins else {
        return false;
    };
    let path = parts.uri.path();
    let settings = context.conn.listener.decision.as_ref();
    let is_endpoint = settings.is_some_and(|settings| settings.find(path).is_some());
    !is_endpoint && logins.paths.find(path).is_some()
}

/// Such a request is the client's own: read as one that a proxy before us has passed on.
fn log_in(
    context: &mut RequestContext,
    mut parts: Parts,
    body: Incoming,
    normalized: Option<&Normalized>,
) -> Gated {
    gate::read_client(context, &mut parts, normalized);
    context.login = login::recognise(context, &parts);
    gate::open_span(context, &parts, None);
    limit::begin(context, &parts.headers);
    Gated::Login(Box::new(login::Call { parts, body }))
}

/// Keys for whoever verifies assertions. They are nobody's leave to pass: no endpoint is there.
fn published(
    context: &mut RequestContext,
    parts: &Parts,
    has_one_reading: bool,
) -> Option<Response<Body>> {
    let path = parts.uri.path();
    let answer = well_known::answer(&context.live, &parts.method, path);
    let mut response = answer.filter(|_| has_one_reading)?;
    response.extensions_mut().insert(Published);
    gate::open_span(context, parts, None);
    limit::begin(context, &parts.headers);
    Some(response)
}

/// Finds out who asks, and at which endpoint.
pub(super) fn arrive(
    context: &mut RequestContext,
    parts: &Parts,
    normalized: Result<Normalized, ProxyError>,
) -> Result<(Dialect, Normalized), ProxyError> {
    if let Some(target) = parts.uri.path_and_query() {
        context.target = target.clone();
    }
    context.user_agent = parts.headers.get(USER_AGENT).cloned();
    let normalized = normalized?;
    context.host = normalized.host().into();
    context.server_port = normalized.port();
    if normalized.asks_by_connect() {
        return Err(ProxyError::NotServed { reason: "connect" });
    }
    let listener = Arc::clone(&context.conn.listener);
    let settings = listener.decision.as_ref().ok_or(ProxyError::NoRoute)?;
    let Some((dialect, endpoint)) = settings.find(parts.uri.path()) else {
        return Err(ProxyError::NoRoute);
    };
    context.decision = Some(Box::new(Decision {
        dialect,
        endpoint: Arc::clone(endpoint),
        method: parts.method.clone(),
        target: context.target.clone(),
        scheme: context.scheme,
        host: context.host.clone(),
        port: context.server_port,
        asked: None,
        call: None,
        allowed: false,
    }));
    if !listener.trusted_proxies.trusts(context.conn.ends.peer.ip()) {
        return Err(ProxyError::UntrustedPeer);
    }
    Ok((dialect, normalized))
}

/// What is asked about, at the endpoint of its dialect.
fn begin(
    context: &mut RequestContext,
    parts: &Parts,
    normalized: Result<Normalized, ProxyError>,
    raw: Option<&PathAndQuery>,
) -> Result<Told, ProxyError> {
    let (dialect, normalized) = arrive(context, parts, normalized)?;
    let endpoint = context
        .decision
        .as_ref()
        .map(|one| Arc::clone(&one.endpoint));
    let outer = Outer {
        parts,
        raw: raw.unwrap_or(&context.target),
        host: normalized.authority().map(Authority::header),
        scheme: context.scheme,
    };
    let endpoint = endpoint.ok_or(ProxyError::NoRoute)?;
    Ok(told::read(dialect, &endpoint, &outer)?)
}

/// A refusal that nothing was asked before. It has a span, and counts for the listener's limits.
pub(super) fn refuse(context: &mut RequestContext, parts: &Parts, error: ProxyError) -> ProxyError {
    gate::open_span(context, parts, None);
    limit::begin(context, &parts.headers);
    error
}

/// The request that is told of, from here on read as one that came: normalised, routed, traced.
pub(super) fn ask(
    context: &mut RequestContext,
    headers: HeaderMap,
    told: &Told,
    client: SocketAddr,
    upgrades: bool,
) -> Result<Gated, ProxyError> {
    let conn = Arc::clone(&context.conn);
    let rebuilt = Reading::of(&conn.listener).rebuild(headers, told, client);
    let mut parts = rebuilt.parts;
    let normalized = match rebuilt.normalized {
        Ok(normalized) => normalized,
        Err(refusal) => return Err(refuse(context, &parts, gate::refused(refusal))),
    };
    let reserved = context.live.reserved.found(&parts.headers);
    gate::strip_reserved(context, &mut parts.headers);
    note(context, &parts, client, told, &normalized, upgrades);
    let preflight = cors::preflight_method(&parts.method, &parts.headers);
    context.is_preflight = preflight.is_some();
    let found = gate::find(context, &parts, &normalized, preflight.as_ref());
    limit::begin(context, &parts.headers);
    let Some(found) = found else {
        return Err(ProxyError::NothingRouted);
    };
    if is_ambiguous(context, &parts, told, &normalized, &found.route) {
        return Err(ProxyError::BadRequest {
            reason: "path_ambiguous",
        });
    }
    match &found.route.action {
        // Who asks us would hand on a request that we never do.
        LiveAction::Redirect(_) | LiveAction::Answer { .. } => {
            let response = gate::own_answer(context, &parts, &found)?;
            return Ok(Gated::Guarded(Box::new(Guarded { parts, response })));
        }
        LiveAction::Forward { .. } | LiveAction::Split { .. } | LiveAction::Nothing => {}
    }
    Ok(Gated::Decide(Box::new(Asking {
        before: parts.headers.clone(),
        parts,
        upgrades,
        reserved,
    })))
}

/// From here on the request's facts are those of the one asked about.
fn note(
    context: &mut RequestContext,
    parts: &Parts,
    client: SocketAddr,
    told: &Told,
    normalized: &Normalized,
    upgrades: bool,
) {
    context.client = client.ip();
    context.scheme = told.scheme;
    context.method = parts.method.clone();
    context.host = normalized.host().into();
    context.server_port = normalized.port();
    if let Some(target) = parts.uri.path_and_query() {
        context.target = target.clone();
    }
    let authority = normalized.authority().map(Authority::header);
    let authority = authority.and_then(|authority| authority.to_str().ok());
    if let Some(decision) = &mut context.decision {
        decision.asked = Some(Original {
            method: parts.method.clone(),
            scheme: told.scheme,
            host: context.host.clone(),
            target: context.target.clone(),
            origin: format!("{}://{}", told.scheme, authority.unwrap_or_default()),
            upgrades,
        });
    }
}

/// Whether the path as the client wrote it, which is what the host passes on, has another route
/// than its one reading. The origin might read it either way.
fn is_ambiguous(
    context: &RequestContext,
    parts: &Parts,
    told: &Told,
    normalized: &Normalized,
    route: &Arc<LiveRoute>,
) -> bool {
    let raw = told.target.path();
    if raw == parts.uri.path() {
        return false;
    }
    let found = context.live.routes.find(&RouteRequest {
        host: normalized.host(),
        path: raw,
        query: parts.uri.query(),
        method: &parts.method,
        headers: &parts.headers,
    });
    found.is_none_or(|found| !Arc::ptr_eq(found.value, route))
}
