//! A copy of a request for a shadow upstream, whose answer nobody gets.
//!
//! A task of its own with a deadline: it never delays the request, and nothing that happens to it
//! is the request's concern. A body is kept while it goes by, up to a bound; the copy leaves when
//! the body is whole.

use super::attempt;
use super::context::RequestContext;
use super::entitle;
use super::plan::{MirrorHost, MirrorPlan};
use super::snapshot::{LiveRoute, Snapshot};
use crate::clock::{self, Stopwatch};
use crate::message::grpc::Wire;
use crate::message::request_body::RequestBody;
use crate::message::tee::Kept;
use crate::telemetry::metrics::{ClientObservation, ExemplarIds, MirrorOutcome};
use crate::trace::client_span::{ClientEnd, ClientStart, end_client, start_client};
use crate::trace::ids;
use crate::trace::sampler::Head;
use crate::trace::sink::FinishedSpans;
use crate::trace::span::OpenSpan;
use crate::upstream::{
    AnswerBody, AnswerError, Answered, AskError, Asking, Choice, Cluster, Due, Endpoint,
    EndpointTarget,
};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use opentelemetry::trace::SpanId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// Most of an answer that is read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// `error.type` of a copy that took too long.
const TIMEOUT: &str = "timeout";

/// A mirror at work.
pub struct LiveMirror {
    plan: MirrorPlan,
    cluster: Arc<Cluster>,
    in_flight: Arc<AtomicUsize>,
}

/// One copy's place. Dropping it gives the place back, on every way out.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LiveMirror {
    /// The plan with its upstream.
    pub fn new(plan: MirrorPlan, cluster: Arc<Cluster>) -> Self {
        Self {
            plan,
            cluster,
            in_flight: Arc::default(),
        }
    }

    fn enter(&self) -> Option<Place> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.in_flight));
        (before < self.plan.requests_max).then_some(place)
    }
}

/// Begins a copy of a request that is about to leave, if its route has a mirror and it is chosen.
/// `host` is what the client asked for. One that upgrades its connection is not copied.
pub(super) fn begin(
    context: &RequestContext,
    request: &mut Request<RequestBody>,
    host: Option<&HeaderValue>,
    upgrades: bool,
) {
    let Some(route) = &context.route else { return };
    let Some(mirror) = &route.mirror else { return };
    if upgrades || fastrand::f64() >= mirror.plan.share {
        return;
    }
    let metrics = &context.live.metrics;
    let Some(place) = mirror.enter() else {
        return metrics.mirrored(MirrorOutcome::Busy);
    };
    if told_length(request.headers()).is_some_and(|length| length > mirror.plan.body_bytes_max) {
        return metrics.mirrored(MirrorOutcome::BodyTooLarge);
    }
    let body_max = usize::try_from(mirror.plan.body_bytes_max).unwrap_or(usize::MAX);
    let body = request.body_mut().tee(body_max);
    let mut headers = request.headers().clone();
    headers.remove(EXPECT);
    let service = &mirror.cluster.settings().service;
    entitle::assert_to_shadow(context, &mut headers, service);
    let shadow = Shadow {
        live: Arc::clone(&context.live),
        route: Arc::clone(route),
        mirror: Arc::clone(mirror),
        watch: context.watch,
        head: context.head.clone(),
        server_id: context.server_id,
        branch: context.branch.clone(),
        method: request.method().clone(),
        uri: request.uri().clone(),
        headers,
        host: host.cloned(),
        _place: place,
    };
    tokio::spawn(Box::pin(shadow.run(body)));
}

fn told_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// One copy.
struct Shadow {
    live: Arc<Snapshot>,
    route: Arc<LiveRoute>,
    mirror: Arc<LiveMirror>,
    watch: Stopwatch,
    head: Option<Head>,
    server_id: SpanId,
    branch: Option<Arc<super::split::LiveBranch>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    host: Option<HeaderValue>,
    _place: Place,
}

impl Shadow {
    async fn run(self, body: Option<oneshot::Receiver<Kept>>) {
        let body = match body {
            None => RequestBody::Empty,
            Some(kept) => match kept.await {
                Ok(Kept::Whole(body)) => RequestBody::Kept(Box::new(body)),
                Ok(Kept::TooLarge) => {
                    return self.live.metrics.mirrored(MirrorOutcome::BodyTooLarge);
                }
                Err(_) => return self.live.metrics.mirrored(MirrorOutcome::BodyBroken),
            },
        };
        let outcome = self.send(body).await;
        self.live.metrics.mirrored(outcome);
    }

    async fn send(&self, body: RequestBody) -> MirrorOutcome {
        let cluster = &self.mirror.cluster;
        let Some(_admission) = cluster.admit() else {
            return MirrorOutcome::Busy;
        };
        let Some(endpoint) = cluster.pick(&Choice::default()) else {
            return MirrorOutcome::Failed;
        };
        let _load = endpoint.standing.enter();
        let began = self.watch.elapsed();
        // Ends with the copy on every way out, the runtime's end included.
        let mut attempt = Attempt {
            shadow: self,
            span: self.span(began, &endpoint),
            began,
            end: ClientEnd::default(),
        };
        let asking = self.asking(body, &endpoint, attempt.span.as_ref());
        let timeouts = cluster.settings().timeouts;
        let exchange = async {
            match endpoint.ask(asking, &timeouts).await {
                Ok(answered) => {
                    cluster.report(&endpoint, Some(answered.response.status()));
                    attempt.take(answered).await
                }
                Err((error, returned)) => {
                    if attempt::speaks_against(&error, returned.is_some(), None) {
                        cluster.report(&endpoint, None);
                    }
                    attempt.fail(error_type(&error))
                }
            }
        };
        let outcome = tokio::time::timeout(self.mirror.plan.timeout, exchange).await;
        outcome.unwrap_or_else(|_| {
            if attempt.end.status.is_none() {
                cluster.report(&endpoint, None);
            }
            attempt.fail(TIMEOUT)
        })
    }

    fn span(&self, began: Duration, endpoint: &Endpoint) -> Option<OpenSpan> {
        let head = self.head.as_ref().filter(|head| head.record)?;
        let port = match &endpoint.address.target {
            EndpointTarget::Tcp { port, .. } => Some(*port),
            EndpointTarget::Unix(_) => None,
        };
        let rule = &self.route.trace;
        let flow = self.route.plan.flow.as_ref();
        let start = ClientStart {
            method: &self.method,
            scheme: endpoint.address.protocol.url_scheme(),
            server_address: &endpoint.server_address,
            server_port: port,
            path: self.uri.path(),
            query: self.uri.query(),
            service: Some(&self.mirror.cluster.settings().service),
            resend_count: 0,
            flow: flow.map(|flow| &*flow.name),
            flags: self.branch.as_ref().map_or(&rule.flags, |one| &one.flags),
            template: None,
            is_grpc: Wire::of(&self.headers).is_some(),
            is_mirror: true,
        };
        let at = self.watch.started().plus(began);
        let parent = Some(self.server_id);
        let trace = &self.live.trace;
        Some(start_client(
            trace,
            head,
            ids::span_id(),
            parent,
            at,
            &start,
        ))
    }

    fn asking(
        &self,
        body: RequestBody,
        endpoint: &Endpoint,
        span: Option<&OpenSpan>,
    ) -> Box<Asking> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(head) = &self.head {
            let span_id = span.map_or_else(ids::span_id, |span| span.ids().span_id);
            let headers = request.headers_mut();
            self.live
                .propagators
                .inject(headers, &head.outgoing(span_id));
        }
        let asked = || self.host.clone().unwrap_or(endpoint.authority.clone());
        let host = match &self.mirror.plan.host {
            MirrorHost::Keep => asked(),
            MirrorHost::Shadow => shadowed(&asked()),
            MirrorHost::Endpoint => endpoint.authority.clone(),
            MirrorHost::To(host) => host.clone(),
        };
        let due = Due {
            at: clock::instant() + self.mirror.plan.timeout,
            by_client: false,
        };
        let mut asking = Asking::new(request, None, None, Some(due));
        asking.host = host;
        asking
    }
}

/// `app.example.com:8080` as `app.example.com-shadow:8080`. An address stays: it has no name that
/// could be another one.
fn shadowed(host: &HeaderValue) -> HeaderValue {
    let made = host.to_str().ok().and_then(|text| {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
            _ => (text, None),
        };
        if name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok() {
            return None;
        }
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        HeaderValue::try_from(format!("{name}-shadow{port}")).ok()
    });
    made.unwrap_or_else(|| host.clone())
}

fn error_type(error: &AskError) -> &'static str {
    match error {
        AskError::Connect(error) => error.kind(),
        AskError::FirstByte { .. } | AskError::OutOfTime { .. } => TIMEOUT,
        AskError::Pending { .. } => "request_aborted",
        AskError::Reset { .. } | AskError::Refused { .. } => "connection_reset",
        AskError::BadAnswer { .. } => "invalid_response",
    }
}

/// The only attempt of a copy. Dropping it ends its span and counts it.
struct Attempt<'a> {
    shadow: &'a Shadow,
    span: Option<OpenSpan>,
    began: Duration,
    end: ClientEnd<'static>,
}

impl Attempt<'_> {
    async fn take(&mut self, answered: Answered) -> MirrorOutcome {
        let Answered { response, peer, .. } = answered;
        self.end.status = Some(response.status().as_u16());
        self.end.version = Some(response.version());
        self.end.peer = peer;
        match drain(response).await {
            Ok(()) => MirrorOutcome::Answered,
            Err(AnswerError::Idle | AnswerError::Deadline) => self.fail(TIMEOUT),
            Err(AnswerError::Reset(_) | AnswerError::Unfinished) => self.fail("connection_reset"),
        }
    }

    fn fail(&mut self, error_type: &'static str) -> MirrorOutcome {
        self.end.error_type = Some(error_type);
        if error_type == TIMEOUT {
            MirrorOutcome::Timeout
        } else {
            MirrorOutcome::Failed
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Shadow { live, watch, .. } = self.shadow;
        let now = watch.elapsed();
        let ended = watch.started().plus(now);
        let recorded = self.shadow.head.as_ref().filter(|head| head.record);
        let span_id = self.span.as_ref().map(|span| span.ids().span_id);
        live.metrics.client_request(&ClientObservation {
            upstream: &self.shadow.mirror.cluster.settings().name,
            method: live.trace.known_methods.text(&self.shadow.method).method,
            status: self.end.status,
            error_type: self.end.error_type,
            duration: now.saturating_sub(self.began),
            ended,
            exemplar: recorded.zip(span_id).map(|(head, span_id)| ExemplarIds {
                trace_id: head.trace_id,
                span_id,
            }),
        });
        let Some(mut span) = self.span.take() else {
            return;
        };
        end_client(&mut span, &self.end);
        let mut spans = FinishedSpans::default();
        span.end(ended, &mut spans.bytes);
        spans.count = 1;
        for sink in &live.sinks {
            sink.accept(&spans);
        }
    }
}

/// Reads an answer to its end, or to the bound: what is longer is left with its connection.
async fn drain(response: Response<Box<AnswerBody>>) -> Result<(), AnswerError> {
    let mut body = response.into_body();
    let mut read = 0_usize;
    while let Some(frame) = body.frame().await {
        read = read.saturating_add(frame?.data_ref().map_or(0, bytes::Bytes::len));
        if read > ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shadows_host_keeps_its_port_and_an_address_stays() {
        for (host, expected) in [
            ("app.example.com", "app.example.com-shadow"),
            ("app.example.com:8080", "app.example.com-shadow:8080"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(shadowed(&HeaderValue::from_static(host)), expected);
        }
    }
}
