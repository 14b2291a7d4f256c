//! What a request carries from its head to its last byte: its clock, its spans, its facts.

use super::call;
use super::decide::Decision;
use super::error::ProxyError;
use super::informational::Heard;
use super::outcome::Outcome;
use super::snapshot::{LiveRoute, Snapshot, TraceRule};
use super::split::LiveBranch;
use super::upgrade::Splice;
use crate::auth::Grant;
use crate::clock::Stopwatch;
use crate::listener::ConnInfo;
use crate::message::compression::Wanted;
use crate::message::grpc::MessageReader;
use crate::message::request_body::{BodyFault, BodyProgress};
use crate::message::respond::Form;
use crate::ratelimit::Charges;
use crate::server::{InFlight, RequestInFlight};
use crate::telemetry::metrics::{ActiveGuard, ClientObservation, ExemplarIds};
use crate::trace::client_span::{ClientEnd, ClientStart, end_client, start_client};
use crate::trace::flags::FeatureFlags;
use crate::trace::ids;
use crate::trace::rpc::{GrpcStatus, Messages};
use crate::trace::sampler::Head;
use crate::trace::sink::FinishedSpans;
use crate::trace::span::OpenSpan;
use crate::upstream::{AdaptivePlace, Admission, Load};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Frame;
use opentelemetry::trace::SpanId;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Too few endpoints are well, so that this one was asked although it is not.
pub(super) const PANIC: &str = "edgespan.upstream.panic";

/// One attempt at an upstream, while it runs.
pub(super) struct Attempt {
    pub(super) span: Option<OpenSpan>,
    /// Which of the request's attempts, counted from one.
    pub(super) number: u32,
    /// When it began, from the request's start.
    pub(super) began: Duration,
    /// 1xx responses so far.
    pub(super) heard: Option<Arc<Heard>>,
    /// Its place at the endpoint.
    _load: Load,
    pub(super) status: Option<StatusCode>,
    pub(super) version: Option<Version>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) grpc_status: Option<GrpcStatus>,
}

/// One request. Ends exactly once: by [`Self::end`], or by being dropped when its client left.
pub(super) struct RequestContext {
    pub(super) live: Arc<Snapshot>,
    pub(super) conn: Arc<ConnInfo>,
    pub(super) watch: Stopwatch,
    pub(super) route: Option<Arc<LiveRoute>>,
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) version: Version,
    pub(super) scheme: &'static str,
    pub(super) form: Form,
    pub(super) client: IpAddr,
    pub(super) host: Box<str>,
    pub(super) server_port: Option<u16>,
    pub(super) user_agent: Option<HeaderValue>,
    /// `Origin`, kept where the route has cross-origin rules.
    pub(super) origin: Option<HeaderValue>,
    /// Whether it runs in a task of its own, and not in its connection's.
    pub(super) has_own_task: bool,
    /// Whether the HTTP/1 connection ends after the answer.
    pub(super) close_after: bool,
    /// None when nothing is recorded and context passes untouched.
    pub(super) head: Option<Head>,
    pub(super) server_id: SpanId,
    pub(super) server: Option<OpenSpan>,
    pub(super) attempt: Option<Attempt>,
    /// Attempts beside that one; see `hedge`.
    pub(super) rivals: Vec<Attempt>,
    pub(super) attempts: u32,
    pub(super) upstream: Option<Arc<str>>,
    /// Whether the SERVER span says that no endpoint was well.
    pub(super) said_panic: bool,
    pub(super) request_body: Option<Arc<BodyProgress>>,
    /// The branch that it takes, if its route is split.
    pub(super) branch: Option<Arc<LiveBranch>>,
    /// What it says of compression, if its route compresses.
    pub(super) compression: Option<Box<Wanted>>,
    /// How its answer was compressed, and the bytes of that before.
    pub(super) compressed: Option<(&'static str, u64)>,
    /// Counts the messages of a gRPC call's answer.
    pub(super) answer_messages: Option<Box<MessageReader>>,
    pub(super) status: Option<StatusCode>,
    /// The HTTP version of the answer as it came to us; of our own answers, the client's.
    pub(super) answer_version: Version,
    pub(super) error_type: Option<&'static str>,
    pub(super) grpc_status: Option<GrpcStatus>,
    /// Time spent in edgespan itself, so far.
    pub(super) internal: Duration,
    /// Since when edgespan itself is at work again, from the request's start.
    pub(super) at_work_since: Option<Duration>,
    pub(super) admission: Option<Admission>,
    /// Its place within a limit that finds itself, until the head of its answer.
    pub(super) adaptive: Option<Box<AdaptivePlace>>,
    /// Whether a WebSocket was asked for by extended CONNECT.
    pub(super) by_connect: bool,
    /// Both streams of an upgrade that was granted.
    pub(super) splice: Option<Box<Splice>>,
    upgraded_request_bytes: u64,
    /// What policies granted, where its route requires some.
    pub(super) granted: Option<Box<Grant>>,
    /// Who asks, where a host proxy asks about it.
    pub(super) decision: Option<Box<Decision>>,
    /// Its buckets, where rate limits apply.
    pub(super) charges: Option<Box<Charges>>,
    response_bytes: u64,
    spans: FinishedSpans,
    ended: bool,
    _active: ActiveGuard,
    pub(super) place: InFlight,
    _counted: RequestInFlight,
}

impl RequestContext {
    /// The clock starts here, before routing, so that the SERVER span covers matching.
    pub(super) fn begin<B>(
        live: Arc<Snapshot>,
        conn: Arc<ConnInfo>,
        place: InFlight,
        counted: RequestInFlight,
        request: &Request<B>,
    ) -> Box<Self> {
        let active = live.metrics.active_request();
        let client = conn.ends.peer.ip();
        let scheme = conn.scheme();
        let target = request.uri().path_and_query().cloned();
        Box::new(Self {
            live,
            conn,
            watch: Stopwatch::start(),
            route: None,
            method: request.method().clone(),
            target: target.unwrap_or_else(|| PathAndQuery::from_static("/")),
            version: request.version(),
            scheme,
            form: Form::of(request.headers()),
            client,
            host: Box::default(),
            server_port: None,
            user_agent: None,
            origin: None,
            has_own_task: request.version() >= Version::HTTP_2,
            close_after: false,
            head: None,
            server_id: SpanId::INVALID,
            server: None,
            attempt: None,
            rivals: Vec::new(),
            attempts: 0,
            upstream: None,
            said_panic: false,
            request_body: None,
            branch: None,
            compression: None,
            compressed: None,
            answer_messages: None,
            status: None,
            answer_version: request.version(),
            error_type: None,
            grpc_status: None,
            internal: Duration::ZERO,
            at_work_since: Some(Duration::ZERO),
            admission: None,
            adaptive: None,
            by_connect: false,
            splice: None,
            upgraded_request_bytes: 0,
            granted: None,
            decision: None,
            charges: None,
            response_bytes: 0,
            spans: FinishedSpans::default(),
            ended: false,
            _active: active,
            place,
            _counted: counted,
        })
    }

    /// How this request is traced: by its route, or as one without.
    pub(super) fn trace_rule(&self) -> &TraceRule {
        self.route
            .as_ref()
            .map_or(&self.live.unmatched, |route| &route.trace)
    }

    /// What its spans say of feature flags.
    pub(super) fn flags(&self) -> &FeatureFlags {
        match &self.branch {
            Some(branch) => &branch.flags,
            None => &self.trace_rule().flags,
        }
    }

    /// The flow of this request's route.
    pub(super) fn flow(&self) -> Option<&str> {
        let plan = &self.route.as_ref()?.plan;
        plan.flow.as_ref().map(|flow| flow.name.as_ref())
    }

    /// Edgespan hands over to someone it waits for; `now` is counted from the request's start.
    pub(super) fn hand_over(&mut self, now: Duration) {
        if let Some(since) = self.at_work_since.take() {
            self.internal += now.saturating_sub(since);
        }
    }

    /// Edgespan is at work again; `now` is counted from the request's start.
    pub(super) fn take_back(&mut self, now: Duration) {
        self.at_work_since = Some(now);
    }

    /// Whether spans of this request are recorded.
    pub(super) fn records(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.record)
    }

    /// Opens the CLIENT span of an attempt that begins `now`, counted from the request's start.
    pub(super) fn client_span(&self, now: Duration, to: &ClientStart<'_>) -> Option<OpenSpan> {
        let head = self.head.as_ref().filter(|head| head.record)?;
        let at = self.watch.started().plus(now);
        let parent = Some(self.server_id);
        let trace = &self.live.trace;
        Some(start_client(trace, head, ids::span_id(), parent, at, to))
    }

    /// The SERVER span says that a request went to an endpoint that is not well.
    pub(super) fn say_panic(&mut self) {
        if !std::mem::replace(&mut self.said_panic, true)
            && let Some(span) = &mut self.server
        {
            span.bool(PANIC, true);
        }
    }

    /// An attempt begins: `headers` get the context that makes the upstream's span its child.
    pub(super) fn begin_attempt(
        &mut self,
        now: Duration,
        span: Option<OpenSpan>,
        heard: Option<Arc<Heard>>,
        load: Load,
        headers: &mut HeaderMap,
    ) -> Attempt {
        self.hand_over(now);
        if let Some(head) = &self.head {
            let span_id = match &span {
                Some(span) => span.ids().span_id,
                None => ids::span_id(),
            };
            self.live
                .propagators
                .inject(headers, &head.outgoing(span_id));
        }
        if let Some(place) = &mut self.adaptive {
            let at = self.watch.started_instant() + now;
            place.asked(at, self.request_body.as_ref());
        }
        self.attempts += 1;
        // What an attempt before this one said counts no more.
        self.grpc_status = None;
        self.answer_messages = None;
        Attempt {
            span,
            number: self.attempts,
            began: now,
            heard,
            _load: load,
            status: None,
            version: None,
            peer: None,
            grpc_status: None,
        }
    }

    /// The attempt has the head of an answer.
    pub(super) fn answered<B>(&mut self, response: &Response<B>, peer: Option<SocketAddr>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.status = Some(response.status());
            attempt.version = Some(response.version());
            attempt.peer = peer;
        }
        self.answer_version = response.version();
        self.answer_messages = call::answer_reader(self, response.headers());
        self.note_grpc_status(response.headers());
    }

    /// The attempt is over, with an answer that is not passed on.
    pub(super) fn abandon_attempt(&mut self) {
        let now = self.watch.elapsed();
        self.take_back(now);
        self.end_attempt(now, None, false);
    }

    /// The attempt failed without an answer.
    pub(super) fn fail_attempt(&mut self, error: &ProxyError) {
        let now = self.watch.elapsed();
        self.take_back(now);
        let cancelled = matches!(error, ProxyError::ClientGone | ProxyError::BodyIdle);
        let error_type = error.attempt_error_type().or(if cancelled {
            None
        } else {
            Some("request_aborted")
        });
        self.end_attempt(now, error_type, cancelled);
    }

    fn end_attempt(
        &mut self,
        now: Duration,
        error_type: Option<&'static str>,
        cancelled_by_client: bool,
    ) {
        if let Some(attempt) = self.attempt.take() {
            self.close(attempt, now, error_type, cancelled_by_client);
        }
    }

    /// Writes how an attempt ended, and ends its span.
    pub(super) fn close(
        &mut self,
        attempt: Attempt,
        now: Duration,
        error_type: Option<&'static str>,
        cancelled_by_client: bool,
    ) {
        if let Some(upstream) = &self.upstream {
            let recorded = self.head.as_ref().filter(|head| head.record);
            let span_id = attempt.span.as_ref().map(|span| span.ids().span_id);
            self.live.metrics.client_request(&ClientObservation {
                upstream,
                method: self.live.trace.known_methods.text(&self.method).method,
                status: attempt.status.map(|status| status.as_u16()),
                error_type,
                duration: now.saturating_sub(attempt.began),
                ended: self.watch.started().plus(now),
                exemplar: recorded.zip(span_id).map(|(head, span_id)| ExemplarIds {
                    trace_id: head.trace_id,
                    span_id,
                }),
            });
        }
        let Some(mut span) = attempt.span else { return };
        if let Some(heard) = &attempt.heard {
            heard.record(&mut span);
        }
        let messages = call::messages(self).map(Messages::from_the_other_side);
        let end = ClientEnd {
            messages,
            status: attempt.status.map(|status| status.as_u16()),
            error_type,
            grpc_status: attempt.grpc_status,
            cancelled_by_client,
            version: attempt.version,
            peer: attempt.peer,
        };
        end_client(&mut span, &end);
        span.end(self.watch.started().plus(now), &mut self.spans.bytes);
        self.spans.count += 1;
    }

    /// Says something of the request as a whole.
    pub(super) fn note(&mut self, key: &str, value: &str) {
        if let Some(span) = &mut self.server {
            span.str(key, value);
        }
    }

    /// A frame of the answer goes to the client.
    pub(super) fn count(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.response_bytes += data.len() as u64;
            if let Some(reader) = &mut self.answer_messages {
                reader.read(data);
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            self.note_grpc_status(trailers);
        }
    }

    /// Takes in `grpc-status`, from trailers or from the head of an answer without a body.
    pub(super) fn note_grpc_status(&mut self, fields: &HeaderMap) {
        if let Some(status) = GrpcStatus::from_headers(fields) {
            self.note_status(status);
        }
    }

    /// Takes in how a gRPC call went.
    pub(super) fn note_status(&mut self, status: GrpcStatus) {
        self.grpc_status = Some(status);
        if let Some(attempt) = &mut self.attempt {
            attempt.grpc_status = Some(status);
        }
    }

    /// Ends everything that is open. The first call counts.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        super::finish::end(self, outcome);
    }

    /// Ends a running attempt as its request ends, `now` after its start.
    pub(super) fn end_attempt_with(&mut self, now: Duration, outcome: Outcome) {
        for rival in std::mem::take(&mut self.rivals) {
            self.close(rival, now, None, true);
        }
        match outcome {
            Outcome::Complete => self.end_attempt(now, None, false),
            Outcome::Canceled => self.end_attempt(now, None, true),
            Outcome::AnswerBroken(kind) => self.end_attempt(now, Some(kind), false),
        }
    }

    /// Bytes of the answer so far.
    pub(super) const fn response_bytes(&self) -> u64 {
        self.response_bytes
    }

    /// Adds the bytes that an upgraded connection carried, from the client and to it.
    pub(super) fn add_upgraded_bytes(&mut self, received: u64, sent: u64) {
        self.upgraded_request_bytes += received;
        self.response_bytes += sent;
    }

    /// The CLIENT span of the attempt that runs.
    pub(super) fn attempt_span(&mut self) -> Option<&mut OpenSpan> {
        self.attempt.as_mut()?.span.as_mut()
    }

    /// Why the request's body ended early, if it did.
    pub(super) fn body_fault(&self) -> Option<BodyFault> {
        self.request_body.as_ref()?.fault()
    }

    /// Bytes of the request's body so far.
    pub(super) fn request_bytes(&self) -> u64 {
        let body = self.request_body.as_ref().map_or(0, |body| body.bytes());
        body + self.upgraded_request_bytes
    }

    /// The spans so far, to be added to and handed on.
    pub(super) fn spans(&mut self) -> &mut FinishedSpans {
        &mut self.spans
    }

    /// The request's trace id as 32 hex digits, to be quoted.
    pub(super) fn trace_id(&self) -> Option<String> {
        self.head.as_ref().map(|head| head.trace_id.to_string())
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        if panics && self.has_own_task {
            // Else it is its connection's task, which counts.
            self.live.metrics.panicked();
        }
        if self.ended {
            return;
        }
        if panics {
            self.status = Some(StatusCode::INTERNAL_SERVER_ERROR);
            self.error_type = Some("panic");
            // A second panic that left this would end the process.
            let ended = catch_unwind(AssertUnwindSafe(|| self.end(Outcome::Complete)));
            drop(ended);
        } else {
            // hyper drops the service future when the client leaves. That is an end, too.
            self.end(Outcome::Canceled);
        }
    }
}
