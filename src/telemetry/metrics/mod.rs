//! What edgespan counts about itself, and the page on which it tells.
//!
//! Every stage of the path holds the one [`Metrics`]; `admin` renders it. Numbers come from all
//! requests, not from the sampled ones. Nothing here waits, and once a series exists nothing
//! allocates.

mod attempts;
mod audit;
mod auth;
mod connections;
mod edge;
mod endpoints;
mod exposition;
mod histogram;
mod http;
mod login;
mod message;
mod overload;
mod probe;
mod process;
mod provider;
mod reloads;
mod ratelimit;
mod reading;
mod series;
mod tally;
mod verify;
mod websocket;
mod upstreams;

pub use attempts::{AttemptCounts, Circuit, HedgeOutcome, RetryOutcome};
pub use audit::{AuditCounts, WebhookOutcome};
pub use auth::{AuthCacheOutcome, AuthCounts, AuthObservation};
pub use connections::{ConnectionGuard, UpstreamConnectionGuard};
pub use edge::CertificateExpiry;
pub use endpoints::{EndpointCondition, EndpointGauges, LookupResult};
pub use exposition::{Exposition, Family, Kind, Labels, TextFormat};
pub use histogram::ExemplarIds;
pub use http::{ClientObservation, ServerObservation};
pub use login::{LoginBound, LoginCounts};
pub use message::MirrorOutcome;
pub use overload::{AdaptiveGauges, MemoryGauges};
pub use probe::StepTime;
pub use provider::{KeyMiss, ProviderCall, ProviderCounts, ProviderObservation, ProviderOutcome};
pub use ratelimit::{RateLimitCounts, RateLimitOutcome, StoreCounts, StoreFault};
pub use reading::{ExemplarReading, FamilyReading, HistogramReading, PointReading, Value};
pub use reloads::ReloadOutcome;
pub use verify::HeaderSurvival;
pub use websocket::{WebSocketGuard, WebSocketSide};

use crate::clock::{self, Timestamp};
use attempts::AttemptMetrics;
use auth::AuthMetrics;
use connections::{ConnectionMetrics, ListenerError};
use edge::EdgeMetrics;
use endpoints::EndpointMetrics;
use http::HttpMetrics;
use message::MessageMetrics;
use overload::AdaptiveMetrics;
use probe::ProbeMetrics;
use provider::ProviderMetrics;
use ratelimit::RateLimitMetrics;
use reloads::ReloadMetrics;
use series::{SeriesTable, hash_labels};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use upstreams::UpstreamMetrics;
use verify::VerifyMetrics;
use websocket::WebSocketMetrics;

/// Reasons to shed a request are words in the source; a few dozen would be many.
const SHED_REASONS_MAX: usize = 64;

/// Every number of the process.
pub struct Metrics {
    started: Timestamp,
    http: HttpMetrics,
    connections: ConnectionMetrics,
    endpoints: EndpointMetrics,
    websocket: WebSocketMetrics,
    message: MessageMetrics,
    edge: EdgeMetrics,
    attempts: AttemptMetrics,
    audit: Arc<AuditCounts>,
    login: Arc<LoginCounts>,
    auth: AuthMetrics,
    providers: ProviderMetrics,
    upstreams: UpstreamMetrics,
    rate_limits: RateLimitMetrics,
    memory: Arc<MemoryGauges>,
    adaptive: AdaptiveMetrics,
    active_requests: AtomicI64,
    shed: SeriesTable<(&'static str, AtomicU64)>,
    panics: AtomicU64,
    access_log_dropped: AtomicU64,
    reloads: ReloadMetrics,
    verify: VerifyMetrics,
    probe: ProbeMetrics,
}

impl Metrics {
    /// All zero. The process counts as started now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            started: clock::wall(),
            http: HttpMetrics::new(),
            connections: ConnectionMetrics::new(),
            endpoints: EndpointMetrics::new(),
            websocket: WebSocketMetrics::default(),
            message: MessageMetrics::default(),
            edge: EdgeMetrics::new(),
            attempts: AttemptMetrics::new(),
            audit: Arc::new(AuditCounts::new()),
            login: Arc::default(),
            auth: AuthMetrics::new(),
            providers: ProviderMetrics::new(),
            upstreams: UpstreamMetrics::new(),
            rate_limits: RateLimitMetrics::new(),
            memory: Arc::default(),
            adaptive: AdaptiveMetrics::new(),
            active_requests: AtomicI64::new(0),
            shed: SeriesTable::new(SHED_REASONS_MAX),
            panics: AtomicU64::new(0),
            access_log_dropped: AtomicU64::new(0),
            reloads: ReloadMetrics::new(),
            verify: VerifyMetrics::default(),
            probe: ProbeMetrics::default(),
        })
    }

    /// A client's connection was accepted; it is open until the guard is dropped.
    pub fn connection(&self, listener: &Arc<str>) -> ConnectionGuard {
        self.connections.accepted(listener)
    }

    /// The HTTP parser refused what a client sent: there is no request and no span.
    pub fn parse_error(&self, listener: &Arc<str>) {
        self.connections
            .listener_error(listener, ListenerError::Parse);
    }

    /// `accept` failed.
    pub fn accept_error(&self, listener: &Arc<str>) {
        self.connections
            .listener_error(listener, ListenerError::Accept);
    }

    /// A TLS handshake failed or took too long.
    pub fn tls_error(&self, listener: &Arc<str>) {
        self.connections
            .listener_error(listener, ListenerError::Tls);
    }

    /// A client's connection was closed for what it did, or did not do. `reason` is a word in the
    /// source.
    pub fn connection_cut(&self, listener: &Arc<str>, reason: &'static str) {
        self.edge.cut(listener, reason);
    }

    /// Every certificate in use, instead of those told before.
    pub fn certificates(&self, expiries: Vec<CertificateExpiry>) {
        self.edge.certificates(expiries);
    }

    /// Certificates changed on disk, and were taken or refused.
    pub fn certificates_renewed(&self, taken: bool) {
        self.edge.renewed(taken);
    }

    /// A task panicked; its request is lost, the process goes on.
    pub fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was answered with 503 because a limit was reached. `reason` names the limit.
    pub fn shed(&self, reason: &'static str) {
        let made = || (reason, AtomicU64::new(0));
        let place = self
            .shed
            .find_or_insert(hash_labels(reason), |held| held.0 == reason, made);
        if let Some((_, count)) = place {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request has begun; it is active until the guard is dropped.
    pub fn active_request(self: &Arc<Self>) -> ActiveGuard {
        self.active_requests.fetch_add(1, Ordering::Relaxed);
        ActiveGuard(Arc::clone(self))
    }

    /// A request has ended.
    pub fn server_request(&self, seen: &ServerObservation<'_>) {
        self.http.server_request(seen);
    }

    /// An attempt at an upstream has ended.
    pub fn client_request(&self, seen: &ClientObservation<'_>) {
        self.http.client_request(seen);
    }

    /// A connection to an upstream was made; it is open until the guard is dropped.
    pub fn upstream_connection(&self, upstream: &Arc<str>) -> UpstreamConnectionGuard {
        self.connections.connected(upstream)
    }

    /// An attempt goes out on a connection that was open already.
    pub fn upstream_connection_reused(&self, upstream: &Arc<str>) {
        self.connections.reused(upstream);
    }

    /// A connection to an upstream could not be made.
    pub fn upstream_connect_failed(&self, upstream: &Arc<str>) {
        self.connections.connect_failed(upstream);
    }

    /// The configuration was read anew.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.reloads.count(outcome);
    }

    /// Where an upstream at work tells of its endpoints. What one told before under the same name
    /// counts no longer. None past the bound of names.
    pub fn upstream_endpoints(&self, upstream: &Arc<str>) -> Option<EndpointGauges> {
        self.endpoints.of(upstream)
    }

    /// A WebSocket was opened; it is open until the guard is dropped.
    pub fn websocket(self: &Arc<Self>) -> WebSocketGuard {
        WebSocketMetrics::opened(self)
    }

    /// An answer was compressed: `algorithm`, and its bytes before and after.
    pub fn compressed(&self, algorithm: &'static str, before: u64, after: u64) {
        self.message.compressed(algorithm, before, after);
    }

    /// An answer went as it is, because as many as may be are being compressed.
    pub fn compression_refused(&self) {
        self.message.compression_refused();
    }

    /// A copy for a shadow upstream has ended, or was not made.
    pub fn mirrored(&self, outcome: MirrorOutcome) {
        self.message.mirrored(outcome);
    }

    /// The counts of an upstream's retries, hedges and circuit breakers.
    pub fn attempts(&self, upstream: &str) -> Arc<AttemptCounts> {
        self.attempts.of(upstream)
    }

    /// A health check of an endpoint has ended: `pass`, or a word for what it failed by.
    pub fn health_check(&self, upstream: &Arc<str>, outcome: &'static str) {
        self.upstreams.checked(upstream, outcome);
    }

    /// An endpoint was ejected, or would have been but for a bound (`withheld`).
    pub fn ejection(&self, upstream: &Arc<str>, reason: &'static str) {
        self.upstreams.ejected(upstream, reason);
    }

    /// The numbers of the policy of this name.
    pub fn auth_policy(&self, name: &Arc<str>) -> Arc<AuthCounts> {
        self.auth.policy(name)
    }

    /// The numbers of whoever issues tokens under this name.
    pub fn provider(&self, issuer: &Arc<str>) -> Arc<ProviderCounts> {
        self.providers.issuer(issuer)
    }

    /// The numbers of what is told of logins.
    pub fn audit(&self) -> Arc<AuditCounts> {
        Arc::clone(&self.audit)
    }

    /// The numbers of what is remembered of logins; they are told from now on.
    pub fn login(&self) -> Arc<LoginCounts> {
        self.login.used();
        Arc::clone(&self.login)
    }

    /// The trace of a refused request came back after a login, or did not: `joined`, `linked`,
    /// `partial`, or why a ticket was of no use.
    pub fn login_trace(&self, outcome: &'static str) {
        self.audit.trace(outcome);
    }

    /// A question for what arrived, signed with a secret, came to `result`: `answered`, `stale`,
    /// `replayed`, `limited` or `failed`.
    pub fn arrival(&self, result: &str) {
        self.edge.arrival(result);
    }

    /// A client sent header fields that only edgespan writes; they were removed.
    pub fn identity_stripped(&self) {
        self.auth.stripped();
    }

    /// As many identity header fields were left out, because no field can hold their value.
    pub fn identity_unfit(&self, fields: usize) {
        self.auth.unfit(fields);
    }

    /// The numbers of the rate limit of this name.
    pub fn rate_limit(&self, rule: &Arc<str>) -> Arc<RateLimitCounts> {
        self.rate_limits.rule(rule)
    }

    /// The numbers of the Redis that limits and sessions share.
    pub fn redis(&self) -> Arc<StoreCounts> {
        self.rate_limits.store()
    }

    /// A check of headers has run: a word for what came of it, and what it knows of each header.
    pub fn verified(&self, check: &Arc<str>, result: &'static str, survivals: Vec<HeaderSurvival>) {
        self.verify.ran(check, result, survivals);
    }

    /// A check of headers is made no more.
    pub fn verify_ended(&self, check: &str) {
        self.verify.ended(check);
    }

    /// A request of a probe has ended: it stands in no other family of requests.
    pub fn synthetic_request(&self, failed: bool) {
        self.probe.request(failed);
    }

    /// A probe has run: whether it held, and how long each step took that was answered.
    pub fn probed(&self, probe: &str, held: bool, steps: &[StepTime<'_>]) {
        self.probe.ran(probe, held, steps);
    }

    /// A probe runs no more.
    pub fn probe_ended(&self, probe: &str) {
        self.probe.ended(probe);
    }

    /// Memory against its watermark.
    pub fn memory(&self) -> Arc<MemoryGauges> {
        Arc::clone(&self.memory)
    }

    /// The limit that an upstream's requests find.
    pub fn adaptive_limit(&self, upstream: &Arc<str>) -> Arc<AdaptiveGauges> {
        self.adaptive.upstream(upstream)
    }

    /// A line of the access log found its queue full.
    pub(super) fn access_log_dropped(&self) {
        self.access_log_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// When the process started: since when everything is counted.
    pub const fn started(&self) -> Timestamp {
        self.started
    }

    /// Writes every family.
    pub fn render(&self, page: &mut Exposition) {
        self.http.render(page);
        page.family(Family {
            name: "http_server_active_requests",
            kind: Kind::Gauge,
            help: "Requests that have begun and not ended.",
        });
        page.sample(&[], self.active_requests.load(Ordering::Relaxed));
        self.connections.render(page);
        self.endpoints.render(page);
        self.websocket.render(page);
        self.message.render(page);
        self.edge.render(page);
        self.attempts.render(page);
        self.upstreams.render(page);
        self.rate_limits.render(page);
        self.auth.render(page);
        self.providers.render(page);
        self.audit.render(page);
        self.login.render(page);
        self.memory.render(page);
        self.adaptive.render(page);
        page.family(Family {
            name: "edgespan_requests_shed",
            kind: Kind::Counter,
            help: "Requests answered with 503 because a limit was reached.",
        });
        for (reason, count) in self.shed.iter() {
            page.sample(&[("reason", reason)], count.load(Ordering::Relaxed));
        }
        page.family(Family {
            name: "edgespan_panics",
            kind: Kind::Counter,
            help: "Tasks that panicked; each is a bug.",
        });
        page.sample(&[], self.panics.load(Ordering::Relaxed));
        page.family(Family {
            name: "edgespan_access_log_dropped",
            kind: Kind::Counter,
            help: "Access log lines that found their queue full.",
        });
        page.sample(&[], self.access_log_dropped.load(Ordering::Relaxed));
        self.reloads.render(page);
        self.verify.render(page);
        self.probe.render(page);
        page.family(Family {
            name: "edgespan_build",
            kind: Kind::Info,
            help: "Which edgespan this is.",
        });
        page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        process::render(page, self.started);
    }
}

/// One active request. Dropping it ends it, on every way out.
#[must_use = "dropping it counts the request as ended"]
pub struct ActiveGuard(Arc<Metrics>);

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.0.active_requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
