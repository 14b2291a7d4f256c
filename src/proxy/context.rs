//! What a request carries from its head to its last byte: its clock, its spans, its facts.

use super::attempts::Attempt;
use super::authorize::Decided;
use super::body::Body;
use super::decide::Decision;
use super::login::{self, CameBack, Recognised};
use super::outcome::Outcome;
use super::snapshot::{LiveRoute, Snapshot, TraceRule};
use super::split::LiveBranch;
use super::upgrade::Splice;
use crate::auth::oidc::Redeemed;
use crate::auth::{Grant, Identity};
use crate::clock::Stopwatch;
use crate::listener::ConnInfo;
use crate::message::compression::Wanted;
use crate::message::grpc::MessageReader;
use crate::message::request_body::{BodyFault, BodyProgress};
use crate::message::respond::Form;
use crate::ratelimit::Charges;
use crate::server::{InFlight, RequestInFlight};
use crate::telemetry::metrics::ActiveGuard;
use crate::trace::flags::FeatureFlags;
use crate::trace::rpc::GrpcStatus;
use crate::trace::sampler::Head;
use crate::trace::sink::FinishedSpans;
use crate::trace::span::OpenSpan;
use crate::upstream::{AdaptivePlace, Admission};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Frame;
use opentelemetry::trace::SpanId;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

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
    /// Host and port by which its route was found, where a proxy before us told of another one.
    pub(super) routed_host: Option<(Box<str>, Option<u16>)>,
    pub(super) user_agent: Option<HeaderValue>,
    /// `Origin`, kept where the route has cross-origin rules.
    pub(super) origin: Option<HeaderValue>,
    /// Whether it is a CORS preflight.
    pub(super) is_preflight: bool,
    /// How many names its client sent that only we write.
    pub(super) stripped: usize,
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
    /// Whether it may pass, where its route requires something.
    pub(super) decided: Option<Decided>,
    /// What policies granted, where its route requires some.
    pub(super) granted: Option<Box<Grant>>,
    /// Who asks, where a host proxy asks about it.
    pub(super) decision: Option<Box<Decision>>,
    /// Which of our own paths it is for, if it is for one of a login.
    pub(super) login: Option<Box<Recognised>>,
    /// The request before a login that it repeats, if it says so.
    pub(super) repeated: Option<Box<Redeemed>>,
    /// The login that it goes on with.
    pub(super) came_back: Option<Box<CameBack>>,
    /// The page for somebody who is logged in and may not.
    pub(super) denied: Option<Box<Response<Body>>>,
    /// `Set-Cookie` values of a refusal.
    pub(super) cookies: Vec<HeaderValue>,
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
            routed_host: None,
            user_agent: None,
            origin: None,
            is_preflight: false,
            stripped: 0,
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
            decided: None,
            granted: None,
            decision: None,
            login: None,
            repeated: None,
            came_back: None,
            denied: None,
            cookies: Vec::new(),
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

    /// The flow of this request's route, or of our own path.
    pub(super) fn flow(&self) -> Option<&str> {
        if self.login.is_some() {
            return Some(login::FLOW);
        }
        let plan = &self.route.as_ref()?.plan;
        plan.flow.as_ref().map(|flow| flow.name.as_ref())
    }

    /// Who its client is, as far as that was proved.
    pub(super) fn identity(&self) -> Option<&Arc<Identity>> {
        self.granted.as_ref()?.identity.as_ref()
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

    /// Says something of the request as a whole.
    pub(super) fn note(&mut self, key: &str, value: &str) {
        if let Some(span) = &mut self.server {
            span.str(key, value);
        }
    }

    /// Says several things of one kind on the SERVER span.
    pub(super) fn note_all(&mut self, key: &str, values: &[String]) {
        if let Some(span) = &mut self.server {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            span.str_array(key, &values);
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

    /// Bytes of the answer so far.
    pub(super) const fn response_bytes(&self) -> u64 {
        self.response_bytes
    }

    /// Adds the bytes that an upgraded connection carried, from the client and to it.
    pub(super) fn add_upgraded_bytes(&mut self, received: u64, sent: u64) {
        self.upgraded_request_bytes += received;
        self.response_bytes += sent;
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
