//! The request goes to an upstream: rewritten, with context, endpoint after endpoint.

use super::attempt::{self, Prepared};
use super::body::Body;
use super::context::RequestContext;
use super::error::ProxyError;
use super::gate::Onward;
use super::retry::{self, Retrying};
use super::{call, edit, hedge, mirror, upgrade};
use crate::message::hop_by_hop;
use crate::message::request_body::BodyLimits;
use crate::route::rewrite_path;
use crate::upstream::{Answered, Asking, Due};
use http::header::{EXPECT, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, Uri, Version};
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
    let mut prepared = prepare(context, onward)?;
    prepared.pick_first().await;
    let outcome = loop {
        let outcome = match prepared.retrying.as_ref().and_then(|it| it.hedge()) {
            None => attempt::once(context, &mut prepared).await,
            // Large, and seldom asked for: kept out of the future that every request carries.
            Some(hedge) => Box::pin(hedge::race(context, &mut prepared, hedge)).await,
        };
        let again = match &outcome {
            Ok(answered) => retry::after_answer(context, &mut prepared, answered),
            Err(failed) => retry::after_failure(context, &mut prepared, failed),
        };
        match again {
            None => break outcome,
            Some(wait) => Box::pin(retry::pause(context, outcome, wait)).await,
        }
    };
    retry::conclude(&prepared, &outcome);
    match outcome {
        Ok(answered) => Ok(accept(context, answered, prepared.downstream)),
        Err(failed) => Err(failed.error),
    }
}

/// The bounds of a request's body.
pub(super) fn body_limits(
    context: &RequestContext,
    headers: &HeaderMap,
    bytes_max: u64,
) -> BodyLimits {
    let listener = &context.conn.listener;
    let rate = listener.limits.body_bytes_per_second_min;
    BodyLimits {
        bytes_max,
        idle: listener.timeouts.idle,
        bytes_per_second_min: rate.filter(|_| !call::may_rest(context)),
        gated: headers.contains_key(EXPECT),
    }
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
    let limits = body_limits(context, &parts.headers, body_bytes_max);
    let by_client = call::bound(context, &parts.headers, &mut timeouts);
    let (body, progress) = body.streamed(context, limits);
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
    mirror::begin(context, &mut request, host.as_ref(), downstream.is_some());
    let due = timeouts.request.map(|limit| Due {
        at: context.watch.started_instant() + limit,
        by_client,
    });
    let hash = cluster.hash_of(request.headers(), context.client);
    let mut asking = Asking::new(request, progress, upgrade, due);
    let policy = plan
        .retries
        .as_ref()
        .or(cluster.settings().retries.as_ref());
    let retrying =
        policy.and_then(|policy| Retrying::begin(policy, &cluster, &mut asking, &timeouts));
    Ok(Prepared {
        cluster,
        asking: Some(asking),
        timeouts,
        host: rewrite.host,
        client_host: host,
        downstream,
        same_path: rewrite.path.is_none(),
        gated: limits.gated,
        body_bytes_max,
        hash,
        asked: None,
        next: None,
        tried: Vec::new(),
        passed_over: 0,
        cause: None,
        retrying,
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
    let mut response = response.map(Body::Answer);
    if let (Some(switched), Some(downstream)) = (switched, downstream) {
        upgrade::grant(context, &mut response, switched, downstream, protocol);
    }
    response
}
