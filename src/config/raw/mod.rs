//! The document as it is written: the only types that serde and schemars see.
//!
//! Their doc comments are the reference that users read. Everything is optional to serde, so that
//! one missing key hides no other problem; what is required stands in the schema, and the shape
//! pass tells what is missing before anything here is read.

mod arrival;
mod assertion;
mod auth;
mod auth_cache;
mod balance;
mod cloudflare;
mod decision;
mod export;
mod forward;
mod health;
mod identity;
mod jwt;
mod listener;
mod login;
mod matcher;
mod message;
mod oidc;
mod probe;
mod process;
mod proofs;
mod provider;
mod ratelimit;
mod retry;
mod route;
mod scalar;
mod store;
mod telemetry;
mod tls;
mod trace;
mod upstream;
mod verify;
mod websocket;

pub(in crate::config) use arrival::Arrival;
pub(in crate::config) use assertion::{Assertion, RouteAssertion};
pub(in crate::config) use auth::{Policy, PolicySet, Preflights};
pub(in crate::config) use auth_cache::{AuthCache, AuthCacheKey};
pub(in crate::config) use balance::{Balance, Dns, EndpointEntry, Families, HashKey, HashPart};
pub(in crate::config) use cloudflare::Cloudflare;
pub(in crate::config) use decision::Decision;
pub(in crate::config) use export::{
    Exporter, ExporterQueue, ExporterTls, Otlp, OtlpCompression, OtlpProtocol,
};
pub(in crate::config) use forward::{
    Dialect, Forward, ForwardBody, OnFailure, PolicyUse, ServerErrors, TooLarge,
};
pub(in crate::config) use health::{Health, HealthHttp, Outlier, SuccessRate};
pub(in crate::config) use identity::{Identity, SubjectAttribute};
pub(in crate::config) use jwt::{Jwt, JwtIssuer, TokenPlace};
pub(in crate::config) use listener::{
    EmptySegment, EncodedSlash, Listener, ListenerLimits, ListenerMode, ListenerTimeouts,
};
pub(in crate::config) use login::{AuditSubject, Login, LoginStore, LoginWebhook, SameSite};
pub(in crate::config) use matcher::{CountText, Json, MatchText};
pub(in crate::config) use message::{
    Algorithm, Branch, Compression, Level, Mirror, RouteCompression, Split, Sticky,
};
pub(in crate::config) use oidc::{Callback, Oidc, OnRefreshFailure, Pass, Pushed, Refresh};
pub(in crate::config) use probe::{
    Expect, ExpectSpan, Generate, Probe, ScheduledProbe, SpanKindWord, SpanStatusWord, StatusText,
    Step, StepCapture, StepRequest, StepRetry, TraceWord, Variable, VariableSource,
};
pub(in crate::config) use process::{Admin, Drain, Service};
pub(in crate::config) use proofs::{ApiKey, Basic, ClientCert};
pub(in crate::config) use provider::{
    AskedTokens, ClientAudience, ClientAuth, Endpoints, Jwks, ProviderTls, Require, ToldAudience,
};
pub(in crate::config) use ratelimit::{
    LimitHeaders, LimitStore, MissingKey, OnStoreFailure, Overload, RateLimit, RateLimitKey, Redis,
};
pub(in crate::config) use retry::{Hedge, Retries, RetryBackoff, RetryWord};
pub(in crate::config) use route::{
    Answer, Cors, HeaderEdits, Match, Redirect, Route, Scheme, ValueMatch,
};
pub(in crate::config) use scalar::{
    AddressText, AttributeValue, Count, DurationText, EndpointText, ExpressionText, FileText,
    HeaderName, HeaderText, HostText, MethodText, NameText, NetworkText, OffOrAddress, OffOrCount,
    OffOrDuration, OffOrPath, OneOrMany, PathText, Rate, RedisText, RegexText, RequestRateText,
    SecretSource, SecretText, SizeOrOff, SizeText, Status,
};
pub(in crate::config) use store::Store;
pub(in crate::config) use telemetry::Telemetry;
pub(in crate::config) use tls::{
    Certificate, ClientCertificates, ClientMode, IdentityHeader, ListenerTls, Misdirected,
    ProxyProtocol, TlsVersion, UpstreamTls,
};
pub(in crate::config) use trace::{
    Flow, FlowAttribute, Propagation, Propagator, Redaction, Sampling, Spans, UnsampledParent,
    ValueType,
};
pub(in crate::config) use upstream::{Upstream, UpstreamLimits, UpstreamTimeouts};
pub(in crate::config) use verify::Verify;
pub(in crate::config) use websocket::WebSocket;

use super::decode::{Entries, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of edgespan.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Configuration", extend("required" = ["listeners"]))]
pub(in crate::config) struct Config {
    /// The service that edgespan stands for. Spans carry its name, not edgespan's.
    pub(in crate::config) service: Service,
    /// Where edgespan itself is asked: health, metrics.
    pub(in crate::config) admin: Admin,
    /// Whether each request writes a line to the log. Without it the command decides.
    pub(in crate::config) access_log: Option<bool>,
    /// What happens at the end.
    pub(in crate::config) drain: Drain,
    /// Where requests arrive, by name. At least one.
    pub(in crate::config) listeners: Entries<Listener>,
    /// Where requests go, by name.
    pub(in crate::config) upstreams: Entries<Upstream>,
    /// Who may pass, by name. Routes name the policies that hold for them.
    pub(in crate::config) auth: Entries<Policy>,
    /// What the logins of all `oidc` policies share.
    pub(in crate::config) login: Option<Spanned<Login>>,
    /// Policies of routes that do not say otherwise, as in a route's `auth`. Without it everybody
    /// may pass there.
    pub(in crate::config) default_auth: OneOrMany<Spanned<PolicySet>>,
    /// What origins learn of who a client is, for routes that do not say otherwise.
    pub(in crate::config) identity: Option<Spanned<Identity>>,
    /// Signed assertions of who a client is, for origins.
    pub(in crate::config) assertion: Option<Spanned<Assertion>>,
    /// Who is told exactly what arrived. Without it nobody.
    pub(in crate::config) arrival: Option<Spanned<Arrival>>,
    /// Checks, by name, of whether trace headers survive the public way to an edgespan.
    pub(in crate::config) verify: Entries<Verify>,
    /// How often clients may ask, by name. Routes and listeners name those that hold for them.
    pub(in crate::config) rate_limits: Entries<RateLimit>,
    /// The Redis that replicas share limits in.
    pub(in crate::config) redis: Option<Spanned<Redis>>,
    /// What happens when there is more than can be served.
    pub(in crate::config) overload: Overload,
    /// Business processes that routes belong to, by name.
    pub(in crate::config) flows: Entries<Flow>,
    /// Which answers are compressed, for routes that do not say otherwise. Without it none is.
    pub(in crate::config) compression: Option<Spanned<Compression>>,
    /// Which requests go where. The most specific route wins; the order decides nothing.
    pub(in crate::config) routes: Vec<Spanned<Route>>,
    /// How many traces are kept.
    pub(in crate::config) sampling: Sampling,
    /// Flags that every span carries, as `name: variant`.
    pub(in crate::config) feature_flags: Entries<Spanned<String>>,
    /// How trace context is read and written.
    pub(in crate::config) propagation: Propagation,
    /// What spans say beside the conventions.
    pub(in crate::config) spans: Spans,
    /// What is hidden in spans and logs beside the built-in list.
    pub(in crate::config) redaction: Redaction,
    /// Where spans are sent. Without it they are printed on the terminal.
    pub(in crate::config) export: Vec<Spanned<Exporter>>,
    /// Where edgespan's own metrics and logs are sent, beside `/metrics` and stderr.
    pub(in crate::config) telemetry: Telemetry,
    /// Recent traces, kept in memory and asked for at the admin listener, as at a Tempo.
    pub(in crate::config) store: Store,
    /// Key flows that are asked through on a schedule, as `edgespan probe` does once.
    pub(in crate::config) probes: Vec<Spanned<ScheduledProbe>>,
}
