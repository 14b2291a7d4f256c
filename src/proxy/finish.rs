//! The end of a request: answer headers, SERVER span, metrics, access log.

use super::body::{Body, TracedBody};
use super::context::RequestContext;
use super::error::ProxyError;
use super::outcome::Outcome;
use super::{call, compress, cors, decide, edit, limit, login, upgrade};
use crate::message::{forwarded, respond};
use crate::ratelimit;
use crate::server::Drain;
use crate::telemetry::access_log::AccessRecord;
use crate::telemetry::metrics::{ExemplarIds, ServerObservation};
use crate::trace::server_span::{SYNTHETIC_AGENT, ServerEnd, end_server};
use http::header::{SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use http_body::Body as _;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, warn};

/// How a caller learns where its request is in the traces (W3C Trace Context, editor's draft).
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// The trace to quote, by setting.
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Makes an answer of whatever the request came to. Its last byte ends the request.
pub(super) fn finish(
    mut context: Box<RequestContext>,
    outcome: Result<Response<Body>, ProxyError>,
    drain: &Drain,
) -> Response<TracedBody> {
    let mut response = outcome.unwrap_or_else(|error| answer_error(&mut context, &error));
    let spent = login::carry::spent(&mut context);
    for cookie in spent
        .into_iter()
        .chain(std::mem::take(&mut context.cookies))
    {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    if context.conn.listener.decision.is_some() {
        response = decide::in_dialect(&mut context, response);
    }
    if upgrade::misleads(&context, &response) {
        response = answer_error(&mut context, &ProxyError::ProtocolNotServed);
    }
    let status = response.status();
    context.status = Some(status);
    context.note_grpc_status(response.headers());
    if drain.is_leaving() && context.version < Version::HTTP_2 {
        context.close_after = true;
    }
    head(&mut context, response.headers_mut());
    if context.compression.is_some() {
        response = compress::begin(&mut context, response);
    }
    // HTTP/1.0 has no chunks: a body without a length ends with the connection. hyper would offer
    // to keep it all the same, unless the answer is of that version.
    if context.version < Version::HTTP_11 && response.body().size_hint().exact().is_none() {
        *response.version_mut() = Version::HTTP_10;
    }
    let now = context.watch.elapsed();
    context.hand_over(now);
    let context = upgrade::begin(context, drain);
    response.map(|body| TracedBody::new(body, context))
}

fn head(context: &mut RequestContext, headers: &mut HeaderMap) {
    // What a host answers its client is none of ours.
    let answers = context.conn.listener.decision.is_none();
    if let Some(route) = context.route.clone().filter(|_| answers) {
        if let (Some(flow), Some(span)) = (&route.plan.flow, &mut context.server) {
            flow.take_response(span, headers);
        }
        if let Some(policy) = &route.plan.cors {
            cors::amend(policy, context.origin.as_ref(), headers);
        }
        edit::apply(&route.plan.response_headers, headers);
    }
    if let Some(grant) = context.granted.as_ref().filter(|_| answers) {
        for change in &grant.answer_changes {
            change.apply(headers);
        }
        for (name, value) in &grant.answer {
            headers.append(name.clone(), value.clone());
        }
    }
    if let Some(told) = context.charges.as_ref().and_then(|charges| charges.told()) {
        ratelimit::tell(&told, headers);
    }
    if context.live.response_trace_id
        && let Some(id) = context
            .trace_id()
            .and_then(|id| HeaderValue::try_from(id).ok())
    {
        headers.insert(X_TRACE_ID, id);
    }
    forwarded::append_via(headers, context.answer_version);
    // A `101` has no next request, and `Connection` names its protocol.
    if context.close_after && context.status != Some(StatusCode::SWITCHING_PROTOCOLS) {
        headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The log gets the chain and the fault; the client a status, a sentence and an id.
fn answer_error(context: &mut RequestContext, error: &ProxyError) -> Response<Body> {
    let answer = error.answer();
    // What a given-up answer of the upstream said is none of ours.
    context.answer_version = context.version;
    context.answer_messages = None;
    if let Some(reason) = error.shed_reason() {
        context.live.metrics.shed(reason);
        context.note("edgespan.shed.reason", reason);
    }
    let trace_id = context.trace_id();
    let span_id = context.server_id.to_string();
    if answer.status.is_server_error() {
        context.error_type = Some(error.attempt_error_type().unwrap_or(answer.code));
    }
    let (fault, trace) = (
        answer.fault.as_str(),
        trace_id.as_deref().unwrap_or_default(),
    );
    let challenges = error.challenges();
    let is_of_the_host = error.is_of_the_host();
    let error: &(dyn Error + 'static) = error;
    if answer.status.is_server_error() {
        warn!(error, fault, trace_id = trace, span_id, "request failed");
    } else if is_of_the_host {
        warn!(
            error,
            fault, "a host proxy asks and does not tell about what"
        );
    } else {
        debug!(error, fault, trace_id = trace, span_id, "request refused");
    }
    let mut response = match context.denied.take() {
        Some(page) => *page,
        None => {
            respond::failure(&answer.failure(trace_id.as_deref()), context.form).map(Body::from)
        }
    };
    for challenge in challenges {
        response
            .headers_mut()
            .append(WWW_AUTHENTICATE, challenge.clone());
    }
    if let Some(timing) = server_timing(context) {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
    response
}

pub(super) fn server_timing(context: &RequestContext) -> Option<HeaderValue> {
    let head = context.head.as_ref()?;
    let (trace, span, flags) = (head.trace_id, context.server_id, head.flags);
    HeaderValue::try_from(format!("trace;desc=00-{trace}-{span}-{flags:02x}")).ok()
}

/// Ends every span of the request and tells everybody who counts.
pub(super) fn end(context: &mut RequestContext, outcome: Outcome) {
    let duration = context.watch.elapsed();
    call::note_web_status(context);
    context.end_attempt_with(duration, outcome);
    context.hand_over(duration);
    let error_type = match outcome {
        Outcome::AnswerBroken(kind) => Some(kind),
        Outcome::Complete | Outcome::Canceled => context.error_type,
    };
    let status = context.status.map(|status| status.as_u16());
    let upstream = context.upstream.clone();
    let server_end = ServerEnd {
        status,
        error_type,
        grpc_status: context.grpc_status,
        client_disconnected: outcome == Outcome::Canceled,
        upstream: upstream.as_deref(),
        attempts: context.attempts,
        internal: context.internal,
        request_body_bytes: context.request_bytes(),
        response_body_bytes: context.response_bytes(),
        messages: call::messages(context),
        compression: context.compressed,
    };
    if let Some((algorithm, before)) = context.compressed {
        let metrics = &context.live.metrics;
        metrics.compressed(algorithm, before, context.response_bytes());
    }
    limit::record(context);
    if let Some(mut span) = context.server.take() {
        end_server(&mut span, &server_end);
        let at = context.watch.started().plus(duration);
        let spans = context.spans();
        span.end(at, &mut spans.bytes);
        spans.count += 1;
        let spans = std::mem::take(spans);
        for sink in &context.live.sinks {
            sink.accept(&spans);
        }
    }
    observe(context, &server_end, duration);
    write_access(context, &server_end, duration);
}

fn observe(context: &RequestContext, end: &ServerEnd<'_>, duration: Duration) {
    let live = &context.live;
    let recorded = context.head.as_ref().filter(|head| head.record);
    let decision = context.decision.as_ref();
    let method = decision.map_or(&context.method, |decision| &decision.method);
    let agent = context.user_agent.as_ref();
    let is_probe =
        agent.is_some_and(|agent| agent.as_bytes().starts_with(SYNTHETIC_AGENT.as_bytes()));
    if is_probe && live.trace.synthetic {
        live.metrics.synthetic_request(end.error_type.is_some());
        return;
    }
    live.metrics.server_request(&ServerObservation {
        route: http_route(context),
        method: live.trace.known_methods.text(method).method,
        status: end.status,
        scheme: context.scheme,
        version: version_text(context.version),
        error_type: end.error_type,
        duration,
        internal: context.internal,
        ended: context.watch.started().plus(duration),
        exemplar: recorded.map(|head| ExemplarIds {
            trace_id: head.trace_id,
            span_id: context.server_id,
        }),
        request_bytes: end.request_body_bytes,
        response_bytes: end.response_body_bytes,
    });
}

/// The route's template; of a decision, the endpoint that it was asked at.
fn http_route(context: &RequestContext) -> Option<&Arc<str>> {
    let route = context.route.as_ref().map(|route| &route.template);
    match (&context.decision, &context.login) {
        (Some(decision), _) => Some(&decision.endpoint),
        (None, Some(login)) => Some(&login.template),
        (None, None) => route,
    }
}

fn write_access(context: &RequestContext, end: &ServerEnd<'_>, duration: Duration) {
    let Some(log) = &context.live.access_log else {
        return;
    };
    let query = context
        .target
        .query()
        .map(|query| context.live.trace.redaction.query(query));
    log.write(&AccessRecord {
        ended: context.watch.started().plus(duration),
        span: context
            .head
            .as_ref()
            .map(|head| (head.trace_id, context.server_id)),
        sampled: context.head.as_ref().is_some_and(|head| head.record),
        client_address: Some(context.client),
        method: context.method.as_str(),
        path: context.target.path(),
        query: query.as_deref(),
        status: end.status,
        http_route: http_route(context).map(|template| &**template),
        route: context.route.as_ref().map(|route| &*route.plan.name),
        upstream: end.upstream,
        flow: context.flow(),
        auth: context.decided.map(|one| (one.decision, one.reason)),
        duration,
        request_bytes: end.request_body_bytes,
        response_bytes: end.response_body_bytes,
        client_disconnected: end.client_disconnected,
        error_type: end.error_type,
        user_agent: context
            .user_agent
            .as_ref()
            .and_then(|agent| agent.to_str().ok()),
    });
}

/// `network.protocol.version`.
fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
