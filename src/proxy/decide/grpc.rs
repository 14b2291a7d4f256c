//! Envoy asks over gRPC: the question is a message, and so is the answer.
//!
//! Before its message is read a call can only fail, which Envoy takes for a failure of ours and
//! by default refuses; nothing that goes wrong here looks like an answer, least of all like leave.

use super::gate::{address_of, arrive, ask};
use super::told::{self, Told, Untold};
use super::{Asking, Decision};
use crate::auth::ext_authz::messages::{CheckRequest, CheckResponse};
use crate::auth::ext_authz::service::{self, Permission, Subject};
use crate::listener::Dialect;
use crate::message::grpc::{Wire, unary};
use crate::message::hop_by_hop;
use crate::message::normalize::normalize;
use crate::message::request_body::{BodyLimits, RequestBody};
use crate::message::respond::Form;
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use crate::proxy::error::ProxyError;
use crate::proxy::gate::{self, Gated};
use crate::proxy::login;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use prost::Message as _;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const APPLICATION_GRPC: HeaderValue = HeaderValue::from_static("application/grpc+proto");

/// Largest question, in bytes: a head of any size that a listener takes, and the body that Envoy
/// may add. A larger one fails with `RESOURCE_EXHAUSTED`.
const QUESTION_BYTES_MAX: usize = 4 << 20;

/// Fields that carry trace context.
const CONTEXT: [&str; 3] = ["traceparent", "tracestate", "b3"];

/// Whether this is a call of Envoy's, whose message has to be read first.
pub(in crate::proxy) fn is_call(context: &RequestContext, request: &Request<Incoming>) -> bool {
    let settings = context.conn.listener.decision.as_ref();
    let found = settings.and_then(|settings| settings.find(request.uri().path()));
    found.is_some_and(|(dialect, _)| dialect == Dialect::EnvoyGrpc)
}

/// Reads a call's message and lets the request that it tells of go on to be decided.
pub(in crate::proxy) async fn gate(
    context: &mut RequestContext,
    mut incoming: Request<Incoming>,
) -> Result<Gated, ProxyError> {
    let is_grpc = matches!(context.form, Form::Grpc(Wire::Grpc));
    context.form = Form::Problem;
    let policy = gate::normalize_policy(&context.conn.listener);
    let normalized = normalize(&mut incoming, &policy).map_err(gate::refused);
    let (mut parts, body) = incoming.into_parts();
    drop(hop_by_hop::strip_told(&mut parts.headers));
    let arrived = arrive(context, &parts, normalized);
    if let Some(decision) = &mut context.decision {
        decision.call = Some(Call::Begun);
    }
    let read = match arrived {
        Ok(_) => read(context, &parts, body, is_grpc).await,
        Err(error) => Err(error),
    };
    let subject = match read {
        Ok(subject) => subject,
        Err(error) => return Err(super::gate::refuse(context, &parts, error)),
    };
    if let Some(decision) = &mut context.decision {
        decision.call = Some(Call::Read);
    }
    context.form = form(&subject.headers);
    let mut subject = subject;
    take_back(context, &parts, &mut subject).await;
    decide_about(context, &parts, subject)
}

/// A ticket among the cookies asked about brings back the trace of before a login.
async fn take_back(context: &mut RequestContext, outer: &Parts, subject: &mut Subject) {
    let logins = context.live.logins.as_ref();
    if !logins.is_some_and(|logins| logins.brings_ticket(&subject.headers)) {
        return;
    }
    let told = tell(subject).ok();
    let address = told.and_then(|told| address_of(&context.conn.listener, &told));
    if let Some(address) = address {
        let outer = context.live.propagators.extract(&outer.headers);
        let headers = &mut subject.headers;
        login::carry::take_back_for(context, headers, &address, outer.is_some()).await;
    }
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// It can only fail.
    Begun,
    /// Its message was read, so that it has an answer.
    Read,
}

/// What a refused client is shown. A gRPC client's status is its host's to make of ours.
fn form(headers: &HeaderMap) -> Form {
    match Form::of(headers) {
        Form::Page => Form::Page,
        Form::Problem | Form::Grpc(_) => Form::Problem,
    }
}

async fn read(
    context: &mut RequestContext,
    parts: &Parts,
    body: Incoming,
    is_grpc: bool,
) -> Result<Subject, ProxyError> {
    if !is_grpc || parts.method != Method::POST || context.version < Version::HTTP_2 {
        return Err(ProxyError::NotServed { reason: "no_grpc" });
    }
    let encoding = parts.headers.get(GRPC_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(ProxyError::ProtocolNotServed);
    }
    let listener = &context.conn.listener;
    let limits = BodyLimits {
        bytes_max: QUESTION_BYTES_MAX as u64,
        idle: listener.timeouts.idle,
        bytes_per_second_min: listener.limits.body_bytes_per_second_min,
        gated: false,
    };
    let (mut body, progress) = RequestBody::streamed(body, limits);
    context.request_body = progress;
    let held = body.hold(QUESTION_BYTES_MAX).await;
    let held = held.map_err(|fault| ProxyError::of_body(fault, limits.bytes_max))?;
    let (data, is_cut) = held.first(QUESTION_BYTES_MAX);
    if is_cut {
        return Err(ProxyError::BodyTooLarge {
            limit: limits.bytes_max,
        });
    }
    let message = unary::only_message(&data).map_err(|error| match error {
        unary::NotOneMessage::Compressed => ProxyError::ProtocolNotServed,
        unary::NotOneMessage::CutOff | unary::NotOneMessage::More => Untold("call_message").into(),
    })?;
    let question = CheckRequest::decode(message).map_err(|_| Untold("check_request"))?;
    Ok(service::subject(question).map_err(|unreadable| Untold(unreadable.0))?)
}

fn decide_about(
    context: &mut RequestContext,
    outer: &Parts,
    subject: Subject,
) -> Result<Gated, ProxyError> {
    let told = match tell(&subject) {
        Ok(told) => told,
        Err(untold) => return Err(super::gate::refuse(context, outer, untold.into())),
    };
    let mut headers = subject.headers;
    let upgrades = told::upgrades(&mut headers);
    let own = context.live.propagators.extract(&headers);
    // The call's own context is the parent: it is Envoy's span of this very question.
    let asks_in_trace = context.live.propagators.extract(&outer.headers).is_some();
    if asks_in_trace {
        adopt_context(&mut headers, &outer.headers);
    }
    let gated = ask(context, headers, &told, subject.client, upgrades);
    if let (true, Some(own), Some(span)) = (asks_in_trace, own, &mut context.server)
        && let Some(own) = own.parent()
    {
        span.link(own.trace_id, own.span_id, &own.state, own.flags);
    }
    gated
}

fn tell(subject: &Subject) -> Result<Told, Untold> {
    let method = told::method(&subject.method)?;
    if method == Method::CONNECT {
        return Err(Untold("connect"));
    }
    Ok(Told {
        method,
        scheme: told::scheme(&subject.scheme)?,
        host: HeaderValue::try_from(&*subject.host).map_err(|_| Untold("original_host"))?,
        target: told::target(&subject.target)?,
    })
}

/// Puts the context of `outer` in place of what `headers` have.
fn adopt_context(headers: &mut HeaderMap, outer: &HeaderMap) {
    let is_context =
        |name: &HeaderName| CONTEXT.contains(&name.as_str()) || name.as_str().starts_with("x-b3-");
    let old: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_context(name))
        .cloned()
        .collect();
    for name in &old {
        headers.remove(name);
    }
    for (name, value) in outer.iter().filter(|(name, _)| is_context(name)) {
        headers.append(name.clone(), value.clone());
    }
}

/// The message that allows.
pub(super) fn allow(
    context: &RequestContext,
    asking: &Asking,
    names: &[HeaderName],
    aliases: &[String],
) -> Response<Body> {
    message(&service::allow(&Permission {
        names,
        aliases,
        headers: &asking.parts.headers,
        grant: context.granted.as_deref(),
    }))
}

/// The refusal as a message, or as the end of a call that came to none.
pub(super) fn refusal(decision: &Decision, response: Response<Body>) -> Response<Body> {
    let status = response.status();
    match decision.call {
        Some(Call::Read) => {
            let (parts, body) = response.into_parts();
            message(&service::deny(status, &parts.headers, &body.into_own()))
        }
        Some(Call::Begun) | None if status == StatusCode::METHOD_NOT_ALLOWED => {
            // gRPC over HTTP/2, "Requests": what is no call gets no gRPC.
            let mut response = response;
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            response
        }
        Some(Call::Begun) | None => ended(code_of(status)),
    }
}

/// A call's one message and its good end.
fn message(answer: &CheckResponse) -> Response<Body> {
    let framed = unary::frame(&answer.encode_to_vec());
    let mut response = Response::new(Body::trailed(framed, unary::status_fields(0, "")));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, APPLICATION_GRPC);
    response
}

/// A call without a message ("Trailers-Only").
fn ended(code: u8) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.headers_mut() = unary::status_fields(code, "no decision");
    response
        .headers_mut()
        .insert(CONTENT_TYPE, APPLICATION_GRPC);
    response
}

/// How a call ends that we would have answered with this status over HTTP.
const fn code_of(status: StatusCode) -> u8 {
    match status.as_u16() {
        400 => 3,        // INVALID_ARGUMENT
        403 => 7,        // PERMISSION_DENIED
        404 | 501 => 12, // UNIMPLEMENTED
        408 | 504 => 4,  // DEADLINE_EXCEEDED
        413 | 431 => 8,  // RESOURCE_EXHAUSTED
        429 | 503 => 14, // UNAVAILABLE
        _ => 13,         // INTERNAL
    }
}
