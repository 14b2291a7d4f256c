//! Who may pass, and where to: normalise, route, open the span, admit.

use super::arrival::{self, Asked};
use super::asked;
use super::body::Body;
use super::context::RequestContext;
use super::decide::{self, Asking};
use super::edge;
use super::error::ProxyError;
use super::held::ClientBody;
use super::limit;
use super::plan::{Redirect, Rewrite};
use super::redirect;
use super::snapshot::{LiveAction, LiveRoute, Snapshot};
use super::{call, compress, cors, login, upgrade, well_known};
use crate::listener::ListenerSettings;
use crate::message::authority::Authority;
use crate::message::forwarded;
use crate::message::hop_by_hop;
use crate::message::normalize::{NormalizePolicy, Normalized, normalize};
use crate::message::refusal::Refusal;
use crate::message::target::PathRules;
use crate::route::{RouteMatch, RouteRequest};
use crate::tls::ClientIdentity;
use crate::trace::client_certificate::ClientCertificate;
use crate::trace::ids;
use crate::trace::server_span::{ServerStart, start_server};
use crate::upstream::Cluster;
use http::header::{CONTENT_LENGTH, ORIGIN, TRANSFER_ENCODING, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use std::sync::Arc;
use tracing::debug;

/// A request that passed the gate. Boxed, because it is moved often: a plain one goes through here.
pub(super) enum Gated {
    /// It goes to an upstream.
    Forward(Box<Onward>),
    /// It is answered here, if it may pass.
    Guarded(Box<Guarded>),
    /// It is only decided about.
    Decide(Box<Asking>),
    /// It is for one of our own paths of logins.
    Login(Box<login::Call>),
    /// It asks for an account of itself.
    Arrival(Box<Asked>),
    /// It is answered here.
    Answer(Box<Response<Body>>),
}

/// A request that is answered here, unless somebody has to say first whether it may be.
pub(super) struct Guarded {
    pub(super) parts: Parts,
    pub(super) response: Response<Body>,
}

/// A request on its way to an upstream.
pub(super) struct Onward {
    pub(super) parts: Parts,
    pub(super) body: ClientBody,
    pub(super) route: Arc<LiveRoute>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) rewrite: Rewrite,
    /// How much of the path the route's prefix took.
    pub(super) prefix: Option<usize>,
    /// The host that the client asked for.
    pub(super) host: Option<HeaderValue>,
    /// The protocol to upgrade to, if one is asked for.
    pub(super) upgrade: Option<HeaderValue>,
    pub(super) body_bytes_max: u64,
}

/// What routing found.
pub(super) struct Found {
    pub(super) route: Arc<LiveRoute>,
    /// How much of the path the route's prefix took.
    prefix: Option<usize>,
}

/// Reads, routes and traces a request, and answers it or lets it pass.
pub(super) fn gate(
    context: &mut RequestContext,
    incoming: Request<Incoming>,
) -> Result<Gated, ProxyError> {
    if context.conn.listener.decision.is_some() {
        return decide::gate(context, incoming);
    }
    admit(context, incoming)
}

/// The gate of a listener that forwards.
fn admit(
    context: &mut RequestContext,
    mut incoming: Request<Incoming>,
) -> Result<Gated, ProxyError> {
    let arriving = arrival::recognise(context, &incoming);
    let normalized = normalize(&mut incoming, &normalize_policy(&context.conn.listener));
    let chunked = incoming.headers().contains_key(TRANSFER_ENCODING);
    // hyper drops a length beside chunked in silence: one request a connection leaves no room
    // for a second reading of what follows.
    let ends = chunked || context.place.is_last();
    context.close_after = ends && context.version < Version::HTTP_2;
    let (mut parts, body) = incoming.into_parts();
    let mut upgrade = hop_by_hop::strip_request(&mut parts.headers, &[]);
    if normalized.as_ref().is_ok_and(Normalized::asks_by_connect) {
        (context.by_connect, context.method) = (true, parts.method.clone());
        upgrade = Some(upgrade::websocket());
    }
    read_client(context, &mut parts, normalized.as_ref().ok());

    let preflight = cors::preflight_method(&parts.method, &parts.headers);
    context.is_preflight = preflight.is_some();
    let published = well_known::answer(&context.live, &parts.method, parts.uri.path());
    if published.is_none() && arriving.is_none() && normalized.is_ok() {
        context.login = login::recognise(context, &parts);
    }
    let is_ours = published.is_some() || arriving.is_some() || context.login.is_some();
    let routed = normalized.as_ref().ok().filter(|_| !is_ours);
    let found = look_up(context, &parts, routed, preflight.as_ref());
    limit::begin(context, &parts.headers);
    let normalized = normalized.map_err(refused)?;
    if context.conn.is_misdirected(normalized.host()) {
        return Err(ProxyError::Misdirected);
    }
    if let Some(response) = published {
        return Ok(Gated::Answer(Box::new(response)));
    }
    if let Some(arriving) = arriving {
        return Ok(arrival::pass(context, arriving, parts, body, upgrade));
    }
    if context.login.is_some() {
        return Ok(Gated::Login(Box::new(login::Call { parts, body })));
    }
    let found = found.ok_or(ProxyError::NoRoute)?;
    let (route, prefix) = (Arc::clone(&found.route), found.prefix);
    compress::note(context, &parts.headers);
    if let Some(response) = answer_preflight(context, &parts, &route) {
        return Ok(Gated::Answer(Box::new(response)));
    }
    let body_bytes_max = body_limit(context, &route);
    check_length(&parts.headers, body_bytes_max)?;
    let (cluster, rewrite) = match &route.action {
        LiveAction::Forward { cluster, rewrite } => (Arc::clone(cluster), rewrite.clone()),
        LiveAction::Split { rewrite, .. } => (branch_cluster(context)?, rewrite.clone()),
        LiveAction::Redirect(_) | LiveAction::Answer { .. } | LiveAction::Nothing => {
            let response = own_answer(context, &parts, &found)?;
            return Ok(Gated::Guarded(Box::new(Guarded { parts, response })));
        }
    };
    let host = normalized.authority().map(Authority::header).cloned();
    Ok(Gated::Forward(Box::new(Onward {
        parts,
        body: ClientBody::Unread(body),
        route,
        cluster,
        rewrite,
        prefix,
        host,
        upgrade,
        body_bytes_max,
    })))
}

/// What a listener lets pass.
pub fn normalize_policy(listener: &ListenerSettings) -> NormalizePolicy {
    NormalizePolicy {
        path: PathRules {
            allow_encoded_slash: listener.paths.allow_encoded_slash,
            allow_empty_segment: listener.paths.allow_empty_segment,
        },
        header_bytes_max: listener.limits.header_bytes_max,
        header_count_max: listener.limits.header_count_max,
    }
}

/// Who the client is, as far as whom we trust can tell. What others say of themselves is gone
/// from the headers afterwards.
pub(super) fn read_client(
    context: &mut RequestContext,
    parts: &mut Parts,
    normalized: Option<&Normalized>,
) {
    strip_reserved(context, &mut parts.headers);
    let listener = Arc::clone(&context.conn.listener);
    let policy = asked::forwarded_policy(&context.conn);
    let host = normalized
        .and_then(Normalized::authority)
        .map(Authority::header);
    let peer = context.conn.ends.peer;
    let view = forwarded::apply_request(
        &mut parts.headers,
        peer,
        context.conn.scheme(),
        host,
        &policy,
    );
    if let Some(header) = listener.identity_header() {
        let identity = context.conn.identity();
        let told = identity.and_then(|identity| identity.header.as_ref());
        let value = told.map(|(_, value)| value);
        forwarded::assert_field(&mut parts.headers, &header, value);
    }
    forwarded::append_via(&mut parts.headers, context.version);
    context.client = view.client;
    context.scheme = view.scheme;
    context.routed_host = view
        .host
        .as_ref()
        .and(normalized)
        .map(|own| (own.host().into(), own.port()));
    let asked = view
        .host
        .as_ref()
        .or(normalized.and_then(Normalized::authority));
    context.host = asked.map_or_else(Box::default, |asked| asked.host().into());
    context.server_port = asked.and_then(Authority::port);
    if let Some(target) = parts.uri.path_and_query() {
        context.target = target.clone();
    }
    context.user_agent = parts.headers.get(USER_AGENT).cloned();
}

/// Removes what only we write, before a route, a limit or a policy could go by it, whatever the
/// route.
pub(super) fn strip_reserved(context: &mut RequestContext, headers: &mut HeaderMap) {
    context.stripped = context.live.reserved.strip(headers);
    if context.stripped > 0 {
        context.live.metrics.identity_stripped();
    }
}

/// The route, if there is a reading that has one; the SERVER span is opened either way.
fn look_up(
    context: &mut RequestContext,
    parts: &Parts,
    routed: Option<&Normalized>,
    preflight: Option<&Method>,
) -> Option<Found> {
    if let Some(normalized) = routed {
        return find(context, parts, normalized, preflight);
    }
    open_span(context, parts, None);
    None
}

/// The route, with the SERVER span opened under it. A preflight is also looked up under the
/// method that it asks for.
pub(super) fn find(
    context: &mut RequestContext,
    parts: &Parts,
    normalized: &Normalized,
    preflight: Option<&Method>,
) -> Option<Found> {
    let live = Arc::clone(&context.live);
    let asked = |method| RouteRequest {
        host: normalized.host(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        method,
        headers: &parts.headers,
    };
    let matched = live.routes.find(&asked(&parts.method)).or_else(|| {
        let matched = live.routes.find(&asked(preflight?))?;
        matched.value.plan.cors.is_some().then_some(matched)
    });
    open_span(context, parts, matched.as_ref());
    if matched.is_none() {
        tell_nearest(&live, &asked(&parts.method));
    }
    let matched = matched?;
    Some(Found {
        route: Arc::clone(matched.value),
        prefix: matched.matched_prefix_len,
    })
}

/// Which routes came near to a request that none takes: for whoever wonders about a 404.
fn tell_nearest(live: &Snapshot, asked: &RouteRequest<'_>) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return; // It looks at every route.
    }
    for near in live.routes.near(asked) {
        debug!(route = near.route, missed = %near.missed, "no route matches; near");
    }
}

/// Opens the SERVER span; a request that is refused or has no route has one, too.
pub(super) fn open_span(
    context: &mut RequestContext,
    parts: &Parts,
    matched: Option<&RouteMatch<'_, Arc<LiveRoute>>>,
) {
    context.route = matched.map(|matched| Arc::clone(matched.value));
    let live = Arc::clone(&context.live);
    if !live.recording {
        choose_branch(context, parts);
        return;
    }
    let inbound = live.propagators.extract(&parts.headers);
    let inbound = login::carry::joined(context, inbound);
    let root = edge::root_of(&live, &context.conn, &parts.headers, inbound.as_ref());
    let id = root.map(|(id, _)| id);
    let sampler = &context.trace_rule().sampler;
    context.head = Some(sampler.decide_rooted(inbound.as_ref(), id));
    choose_branch(context, parts);
    context.server_id = ids::span_id();
    let Some(head) = &context.head else { return };
    if head.record {
        let route = context.route.as_ref();
        let mut start = ServerStart {
            method: &parts.method,
            scheme: context.scheme,
            server_address: &context.host,
            server_port: context.server_port,
            path: parts.uri.path(),
            query: parts.uri.query(),
            client_address: Some(context.client),
            peer: Some(context.conn.socket_peer),
            version: context.version,
            user_agent: context
                .user_agent
                .as_ref()
                .and_then(|agent| agent.to_str().ok()),
            route_template: match (&context.login, route) {
                (Some(login), _) => Some(&*login.template),
                (None, route) => route.map(|route| &*route.template),
            },
            route_name: route.map(|route| &*route.plan.name),
            span_name: route.and_then(|route| route.plan.span_name.as_ref()),
            flow: context.flow(),
            flags: context.flags(),
            is_grpc: call::wire(context).is_some(),
        };
        if let Some(decision) = &context.decision {
            decision.at_endpoint(&mut start);
        }
        let (at, path) = (context.watch.started(), parts.uri.path());
        let mut span = start_server(&live.trace, head, context.server_id, at, &start);
        if let Some(decision) = &context.decision {
            let template = route.map(|route| &*route.template);
            decision.write(&mut span, template, &live.trace.redaction);
        }
        if let (Some(matched), Some(flow)) =
            (matched, route.and_then(|route| route.plan.flow.as_ref()))
        {
            flow.take_request(
                &mut span,
                |name| matched.captures.get(name, path),
                &parts.headers,
            );
        }
        edge::write(&mut span, root, &context.conn, &parts.headers);
        if let Some(identity) = context.conn.identity() {
            certificate(identity).write(&mut span);
        }
        if context.stripped > 0 {
            let names = i64::try_from(context.stripped).unwrap_or(i64::MAX);
            span.int("edgespan.identity.stripped", names);
        }
        context.server = Some(span);
        login::carry::tell(context, parts);
    }
}

/// Which branch of a split it takes. The SERVER span says so from its begin, and a branch may
/// hang on the trace: so it is chosen between the two.
fn choose_branch(context: &mut RequestContext, parts: &Parts) {
    if let Some(route) = &context.route
        && let LiveAction::Split { split, .. } = &route.action
    {
        context.branch = split.branch_of(context, &parts.headers);
    }
}

fn branch_cluster(context: &RequestContext) -> Result<Arc<Cluster>, ProxyError> {
    let branch = context.branch.as_ref().ok_or(ProxyError::Rewrite {
        reason: "split without a branch",
    })?;
    Ok(Arc::clone(&branch.cluster))
}

fn certificate(identity: &ClientIdentity) -> ClientCertificate<'_> {
    ClientCertificate {
        subject: &identity.facts.subject,
        issuer: &identity.facts.issuer,
        sha256: &identity.sha256,
        identity: identity.facts.identity(),
    }
}

pub(super) fn refused(refusal: Refusal) -> ProxyError {
    let reason = refusal.id();
    match refusal.status() {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ProxyError::HeadersTooLarge { reason },
        StatusCode::METHOD_NOT_ALLOWED => ProxyError::NotServed { reason },
        StatusCode::NOT_IMPLEMENTED => ProxyError::ProtocolNotServed,
        _ => ProxyError::BadRequest { reason },
    }
}

fn body_limit(context: &RequestContext, route: &LiveRoute) -> u64 {
    let listener = context.conn.listener.limits.body_bytes_max;
    route.plan.body_bytes_max.or(listener).unwrap_or(u64::MAX)
}

/// A body that says beforehand that it is too large is not read at all.
fn check_length(headers: &HeaderMap, limit: u64) -> Result<(), ProxyError> {
    let told = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if told.is_some_and(|length| length > limit) {
        return Err(ProxyError::BodyTooLarge { limit });
    }
    Ok(())
}

/// What a route that goes to no upstream answers.
pub(super) fn own_answer(
    context: &RequestContext,
    parts: &Parts,
    found: &Found,
) -> Result<Response<Body>, ProxyError> {
    match &found.route.action {
        LiveAction::Redirect(to) => answer_redirect(context, parts, to, found.prefix),
        LiveAction::Answer {
            status,
            headers,
            body,
        } => Ok(fixed(*status, headers, body.clone())),
        // No file has `Nothing` beside a listener that forwards.
        LiveAction::Forward { .. } | LiveAction::Split { .. } | LiveAction::Nothing => {
            Err(ProxyError::NoRoute)
        }
    }
}

/// The answer to a preflight, where the route has rules of its own for it.
fn answer_preflight(
    context: &mut RequestContext,
    parts: &Parts,
    route: &LiveRoute,
) -> Option<Response<Body>> {
    let policy = route.plan.cors.as_ref()?;
    context.origin = parts.headers.get(ORIGIN).cloned();
    let answers = context.is_preflight && cors::answers_preflights(policy);
    answers.then(|| cors::preflight(policy, &parts.headers))
}

fn answer_redirect(
    context: &RequestContext,
    parts: &Parts,
    to: &Redirect,
    prefix: Option<usize>,
) -> Result<Response<Body>, ProxyError> {
    let location =
        redirect::location(to, context, &parts.uri, prefix).ok_or(ProxyError::Rewrite {
            reason: "location is no header value",
        })?;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = to.status;
    response
        .headers_mut()
        .insert(http::header::LOCATION, location);
    Ok(response)
}

fn fixed(
    status: http::StatusCode,
    headers: &[(http::HeaderName, HeaderValue)],
    body: bytes::Bytes,
) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().append(name, value.clone());
    }
    response
}
