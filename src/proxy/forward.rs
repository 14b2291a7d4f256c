//! The request goes to an upstream: rewritten, with context, endpoint after endpoint.

use super::body::Body;
use super::context::RequestContext;
use super::edit;
use super::error::ProxyError;
use super::gate::Onward;
use super::plan::HostRewrite;
use super::{informational, upgrade};
use crate::message::hop_by_hop;
use crate::message::request_body::{BodyLimits, BodyProgress, RequestBody};
use crate::message::respond::is_grpc;
use crate::route::rewrite_path;
use crate::trace::client_span::ClientStart;
use crate::upstream::{
    Answered, AskError, Asking, Choice, Endpoint, EndpointTarget, UpstreamTimeouts,
};
use http::header::{EXPECT, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, Version};
use hyper::upgrade::OnUpgrade;
use std::sync::Arc;

/// Sends the request on and waits for the head of an answer.
pub(super) async fn forward(
    context: &mut RequestContext,
    onward: Box<Onward>,
) -> Result<Response<Body>, ProxyError> {
    let cluster = Arc::clone(&onward.cluster);
    context.upstream = Some(Arc::clone(&cluster.settings().name));
    context.admission = cluster.admit();
    if context.admission.is_none() {
        return Err(ProxyError::Overloaded { what: "upstream" });
    }
    let limit = onward.body_bytes_max;
    let mut prepared = prepare(context, onward)?;
    let (mut last, mut tried) = (None, Vec::new());
    while let Some(endpoint) = cluster.pick(&Choice {
        hash: None,
        tried: &tried,
    }) {
        set_host(&mut prepared, &endpoint);
        begin_attempt(
            context,
            &mut prepared,
            &endpoint,
            &cluster.settings().service,
        );
        match endpoint.ask(prepared.asking, &prepared.timeouts).await {
            Ok(answered) => {
                return Ok(accept(context, answered, prepared.downstream));
            }
            Err((error, unsent)) => {
                let progress = context.request_body.as_deref();
                let error = failed(error, progress, limit, &cluster.settings().name);
                context.fail_attempt(&error);
                let Some(asking) = unsent else {
                    return Err(error);
                };
                // Nothing was sent: the next endpoint may be asked.
                prepared.asking = asking;
                last = Some(error);
                tried.push(endpoint);
            }
        }
    }
    Err(last.unwrap_or(ProxyError::Rewrite {
        reason: "upstream without endpoints",
    }))
}

/// A request made ready for any endpoint.
struct Prepared {
    asking: Box<Asking>,
    timeouts: UpstreamTimeouts,
    host: HostRewrite,
    client_host: Option<HeaderValue>,
    downstream: Option<OnUpgrade>,
    /// Whether the path is still the route's own, so that its template holds upstream, too.
    same_path: bool,
}

fn prepare(context: &mut RequestContext, onward: Box<Onward>) -> Result<Prepared, ProxyError> {
    let Onward {
        mut parts,
        body,
        route,
        cluster,
        rewrite,
        prefix,
        host,
        upgrade,
        body_bytes_max,
    } = *onward;
    let plan = &route.plan;
    let mut timeouts = cluster.settings().timeouts;
    timeouts.first_byte = plan.first_byte_timeout.unwrap_or(timeouts.first_byte);
    timeouts.request = plan.request_timeout.unwrap_or(timeouts.request);
    let limits = BodyLimits {
        bytes_max: body_bytes_max,
        idle: context.conn.listener.timeouts.idle,
        gated: parts.headers.contains_key(EXPECT),
    };
    let (body, progress) = RequestBody::streamed(body, limits);
    context.request_body = progress.clone();

    // On a request with a body it would have to wait for its end: ignored, as any server may
    // (RFC 9110 section 7.8), and so is one on HTTP/1.0, for which hyper has no `OnUpgrade`.
    let upgrade = upgrade.filter(|_| progress.is_none());
    edit::apply(&plan.request_headers, &mut parts.headers);
    parts.headers.remove(HOST);
    let (downstream, upgrade) = upgrade::ask(&mut parts, upgrade, context.by_connect).unzip();
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.headers_mut() = parts.headers;
    *request.uri_mut() = match &rewrite.path {
        Some(path) => rewritten(&parts.uri, path, prefix)?,
        None => parts.uri,
    };
    let gate = progress.clone().filter(|_| limits.gated);
    let records = context.records();
    context.heard = informational::listen(&mut request, gate, records, context.watch);
    let due = timeouts
        .request
        .map(|limit| context.watch.started_instant() + limit);
    Ok(Prepared {
        asking: Box::new(Asking {
            request,
            host: HeaderValue::from_static(""),
            progress,
            upgrade,
            due,
        }),
        timeouts,
        host: rewrite.host,
        client_host: host,
        downstream,
        same_path: rewrite.path.is_none(),
    })
}

fn rewritten(uri: &Uri, new: &str, prefix: Option<usize>) -> Result<Uri, ProxyError> {
    let path = rewrite_path(new, prefix, uri.path());
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path.as_ref()),
    };
    target.map(Uri::from).map_err(|_| ProxyError::Rewrite {
        reason: "path is no path",
    })
}

fn set_host(prepared: &mut Prepared, endpoint: &Endpoint) {
    prepared.asking.host = match (&prepared.host, &prepared.client_host) {
        (HostRewrite::To(host), _) => host.clone(),
        (HostRewrite::Keep, Some(host)) => host.clone(),
        (HostRewrite::Keep, None) | (HostRewrite::Endpoint, _) => endpoint.authority.clone(),
    };
}

fn begin_attempt(
    context: &mut RequestContext,
    prepared: &mut Prepared,
    endpoint: &Endpoint,
    service: &str,
) {
    let request = &mut prepared.asking.request;
    let now = context.watch.elapsed();
    let span = if context.records() {
        let port = match &endpoint.address.target {
            EndpointTarget::Tcp { port, .. } => Some(*port),
            EndpointTarget::Unix(_) => None,
        };
        let template = context
            .route
            .as_ref()
            .filter(|_| prepared.same_path)
            .map(|route| &*route.template);
        let start = ClientStart {
            method: &context.method,
            scheme: endpoint.address.protocol.url_scheme(),
            server_address: &endpoint.server_address,
            server_port: port,
            path: request.uri().path(),
            query: request.uri().query(),
            service: Some(service),
            resend_count: context.attempts,
            flow: context.flow(),
            flags: &context.trace_rule().flags,
            template,
            is_grpc: is_grpc(request.headers()),
        };
        context.client_span(now, &start)
    } else {
        None
    };
    context.begin_attempt(now, span, request.headers_mut());
}

/// What an endpoint's failure means for the request. If its body was at fault, that comes first:
/// the upstream only saw a request break off.
fn failed(error: AskError, body: Option<&BodyProgress>, limit: u64, upstream: &str) -> ProxyError {
    if let Some(fault) = body.and_then(BodyProgress::fault) {
        return ProxyError::of_body(fault, limit);
    }
    let upstream = upstream.to_owned();
    match error {
        AskError::Connect(source) => ProxyError::Connect { upstream, source },
        AskError::FirstByte { .. } => ProxyError::Timeout { upstream },
        AskError::Reset { .. } => ProxyError::Reset {
            upstream,
            source: error,
        },
        AskError::BadAnswer { .. } => ProxyError::BadAnswer {
            upstream,
            source: error,
        },
    }
}

fn accept(
    context: &mut RequestContext,
    answered: Answered,
    downstream: Option<OnUpgrade>,
) -> Response<Body> {
    let now = context.watch.elapsed();
    context.take_back(now);
    let Answered {
        mut response,
        peer,
        switched,
    } = answered;
    context.answered(&response, peer);
    // The client's connection has a version of its own; hyper would write the origin's there.
    *response.version_mut() = Version::HTTP_11;
    let protocol = hop_by_hop::strip_response(response.headers_mut(), &[]);
    let mut response = response.map(|body| Body::Answer(Box::new(body)));
    if let (Some(switched), Some(downstream)) = (switched, downstream) {
        upgrade::grant(context, &mut response, switched, downstream, protocol);
    }
    response
}
