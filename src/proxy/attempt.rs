//! One attempt upstream: endpoint, CLIENT span, place, report.

use super::attempts::{Attempt, PANIC};
use super::call;
use super::context::RequestContext;
use super::error::ProxyError;
use super::informational;
use super::plan::HostRewrite;
use super::retry::Retrying;
use crate::clock;
use crate::message::request_body::BodyProgress;
use crate::trace::client_span::ClientStart;
use crate::upstream::{
    Answered, AskError, Asking, Cause, Choice, Cluster, Endpoint, Unanswered, UpstreamTimeouts,
};
use http::HeaderValue;
use hyper::upgrade::OnUpgrade;
use std::sync::Arc;

/// A request made ready for any endpoint.
pub(super) struct Prepared {
    pub(super) cluster: Arc<Cluster>,
    /// For the next attempt.
    pub(super) asking: Option<Box<Asking>>,
    pub(super) timeouts: UpstreamTimeouts,
    pub(super) host: HostRewrite,
    pub(super) client_host: Option<HeaderValue>,
    pub(super) downstream: Option<OnUpgrade>,
    /// Whether the path is still the route's own, so that its template holds upstream, too.
    pub(super) same_path: bool,
    /// Whether the client's body waits for `100 Continue`.
    pub(super) gated: bool,
    /// Most bytes of the client's body.
    pub(super) body_bytes_max: u64,
    /// What consistent hashing goes by.
    pub(super) hash: Option<u64>,
    /// Who was asked last.
    pub(super) asked: Option<Arc<Endpoint>>,
    /// Who is asked next, if that was decided before.
    pub(super) next: Option<Arc<Endpoint>>,
    /// Who was asked in vain.
    pub(super) tried: Vec<Arc<Endpoint>>,
    /// How often an endpoint was passed over because nothing could be sent to it.
    pub(super) passed_over: u32,
    /// Why there is another attempt.
    pub(super) cause: Option<Cause>,
    /// How the request is retried, if it is.
    pub(super) retrying: Option<Box<Retrying>>,
}

/// An attempt without an answer. Its span has ended.
pub(super) struct Failed {
    pub(super) error: ProxyError,
    /// What retries go by; None if another attempt would change nothing.
    pub(super) cause: Option<Cause>,
    /// Whether nothing was sent, so that another endpoint can be asked at once.
    pub(super) unsent: bool,
}

impl Failed {
    fn without_endpoint(upstream: &str) -> Self {
        let upstream = upstream.to_owned();
        Self {
            error: ProxyError::NoEndpoint { upstream },
            cause: None,
            unsent: false,
        }
    }
}

impl Prepared {
    /// An endpoint that was not asked in vain.
    pub(super) fn pick(&self) -> Option<Arc<Endpoint>> {
        self.cluster.pick(&self.choice())
    }

    /// The first endpoint. Where a name has no answer yet, it is waited for.
    pub(super) async fn pick_first(&mut self) {
        self.next = self.pick();
        if self.next.as_ref().is_some_and(|one| one.awaits_an_answer()) {
            let (choice, limit) = (self.choice(), self.timeouts.connect);
            // Only in the first moments of an upstream: kept out of every request's future.
            self.next = Box::pin(self.cluster.pick_after_answer(&choice, limit)).await;
        }
    }

    fn choice(&self) -> Choice<'_> {
        Choice {
            hash: self.hash,
            tried: &self.tried,
        }
    }
}

/// Asks one endpoint.
pub(super) async fn once(
    context: &mut RequestContext,
    prepared: &mut Prepared,
) -> Result<Answered, Failed> {
    let (endpoint, asking, attempt) = begin(context, prepared)?;
    context.attempt = Some(attempt);
    let result = endpoint.ask(asking, &prepared.timeouts).await;
    settle(context, prepared, endpoint, result)
}

/// Everything before an endpoint is asked.
pub(super) fn begin(
    context: &mut RequestContext,
    prepared: &mut Prepared,
) -> Result<(Arc<Endpoint>, Box<Asking>, Attempt), Failed> {
    let next = prepared.next.take().or_else(|| prepared.pick());
    let (Some(endpoint), Some(mut asking)) = (next, prepared.asking.take()) else {
        return Err(Failed::without_endpoint(&prepared.cluster.settings().name));
    };
    asking.host = match (&prepared.host, &prepared.client_host) {
        (HostRewrite::To(host), _) => host.clone(),
        (HostRewrite::Keep, Some(host)) => host.clone(),
        (HostRewrite::Keep, None) | (HostRewrite::Endpoint, _) => endpoint.authority.clone(),
    };
    if let Some(retrying) = &prepared.retrying {
        asking.head_due = retrying.head_due(clock::instant());
    }
    let gate = asking.progress.clone().filter(|_| prepared.gated);
    let (records, watch) = (context.records(), context.watch);
    let heard = informational::listen(&mut asking.request, gate, records, watch);
    let now = context.watch.elapsed();
    let span = start_span(context, prepared, &endpoint, &asking, now);
    if !endpoint.standing.is_available() {
        context.say_panic();
    }
    let load = endpoint.standing.enter();
    let attempt = context.begin_attempt(now, span, heard, load, asking.request.headers_mut());
    Ok((endpoint, asking, attempt))
}

fn start_span(
    context: &RequestContext,
    prepared: &Prepared,
    endpoint: &Endpoint,
    asking: &Asking,
    now: std::time::Duration,
) -> Option<crate::trace::span::OpenSpan> {
    if !context.records() {
        return None;
    }
    let request = &asking.request;
    let template = context
        .route
        .as_ref()
        .filter(|_| prepared.same_path)
        .map(|route| &*route.template);
    let start = ClientStart {
        method: &context.method,
        scheme: endpoint.address.protocol.url_scheme(),
        server_address: &endpoint.server_address,
        server_port: endpoint.server_port,
        path: request.uri().path(),
        query: request.uri().query(),
        service: Some(&prepared.cluster.settings().service),
        resend_count: context.attempts,
        flow: context.flow(),
        flags: context.flags(),
        template,
        is_grpc: call::wire(context).is_some(),
        is_mirror: false,
    };
    let mut span = context.client_span(now, &start)?;
    if let Some(cause) = prepared.cause {
        cause.with_text(|cause| span.str("edgespan.retry.cause", cause));
    }
    // Balancing gives an endpoint that is not well only where too few are.
    if !endpoint.standing.is_available() {
        span.bool(PANIC, true);
    }
    Some(span)
}

/// Everything after it: who judges endpoints is told, and the span of a failure ends.
pub(super) fn settle(
    context: &mut RequestContext,
    prepared: &mut Prepared,
    endpoint: Arc<Endpoint>,
    result: Result<Answered, Unanswered>,
) -> Result<Answered, Failed> {
    let result = match result {
        Ok(answered) => {
            let status = answered.response.status();
            prepared.cluster.report(&endpoint, Some(status));
            Ok(answered)
        }
        Err((error, returned)) => {
            let progress = context.request_body.as_deref();
            let cause = cause_of(&error, progress);
            let unsent = matches!(error, AskError::Connect(_) | AskError::Pending { .. });
            if speaks_against(&error, returned.is_some(), progress) {
                prepared.cluster.report(&endpoint, None);
            }
            let upstream = &prepared.cluster.settings().name;
            let error = failed(error, progress, prepared.body_bytes_max, upstream);
            context.fail_attempt(&error);
            prepared.asking = returned;
            Err(Failed {
                error,
                cause,
                unsent,
            })
        }
    };
    prepared.asked = Some(endpoint);
    result
}

/// Whether a failure speaks against the endpoint. That a connection from the pool was closed
/// meanwhile, so that the request came back, does not.
pub(super) fn speaks_against(
    error: &AskError,
    came_back: bool,
    body: Option<&BodyProgress>,
) -> bool {
    let unsent = matches!(error, AskError::Connect(_));
    cause_of(error, body).is_some() && (unsent || !came_back)
}

/// What a failure is to those who decide about another attempt. None if it was the client's.
fn cause_of(error: &AskError, body: Option<&BodyProgress>) -> Option<Cause> {
    if body.and_then(BodyProgress::fault).is_some() {
        return None;
    }
    match error {
        AskError::Connect(_) => Some(Cause::Connect),
        AskError::Refused { .. } => Some(Cause::RefusedStream),
        AskError::Reset { .. } => Some(Cause::Reset),
        AskError::FirstByte { .. } => Some(Cause::Timeout),
        AskError::BadAnswer { .. } | AskError::Pending { .. } | AskError::OutOfTime { .. } => None,
    }
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
        AskError::OutOfTime { .. } => ProxyError::OutOfTime { upstream },
        AskError::Pending { .. } => ProxyError::Overloaded {
            what: "upstream_pending",
        },
        AskError::Reset { .. } | AskError::Refused { .. } => ProxyError::Reset {
            upstream,
            source: error,
        },
        AskError::BadAnswer { .. } => ProxyError::BadAnswer {
            upstream,
            source: error,
        },
    }
}
