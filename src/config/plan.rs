//! The compiled configuration. Whoever holds a `Plan` holds the proof that it is right.

use crate::admin::AdminSettings;
use crate::auth::PolicySettings;
use crate::auth::assertion::AssertionSettings;
use crate::auth::audit::AuditSettings;
use crate::auth::oidc::LoginSettings;
use crate::export::OtlpSettings;
use crate::listener::ListenerSettings;
use crate::message::reserved::Reserved;
use crate::probe::Schedule;
use crate::proxy::plan::RoutePlan;
use crate::ratelimit::RateLimitSettings;
use crate::route::RouteSpec;
use crate::server::MemoryWatermark;
use crate::shared::RedisSettings;
use crate::trace::resource::ResourceValue;
use crate::trace::root::RootFrom;
use crate::trace::sampler::SamplingRule;
use crate::upstream::ClusterSettings;
use crate::verify::arrival::ArrivalSettings;
use crate::verify::watch::WatchSettings;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Everything that `app` needs to build the live proxy.
#[derive(Clone)]
pub struct Plan {
    /// Data listeners, in the file's order. Never empty.
    pub listeners: Vec<ListenerSettings>,
    /// Upstreams, in the file's order.
    pub upstreams: Vec<ClusterSettings>,
    /// Routes, in the file's order (which decides nothing).
    pub routes: Vec<(RouteSpec, RoutePlan)>,
    /// Policies of who may pass, in the file's order.
    pub policies: Vec<PolicySettings>,
    /// What logins share. There if a policy logs in.
    pub login: Option<LoginSettings>,
    /// How logins and refusals are told of. There if a policy logs in, or the file asks for it.
    pub audit: Option<AuditSettings>,
    /// Header names that only edgespan writes.
    pub reserved: Arc<Reserved>,
    /// Signed assertions of who a client is.
    pub assertion: Option<AssertionSettings>,
    /// Who is told what arrived.
    pub arrival: Option<ArrivalSettings>,
    /// Checks of whether headers survive the way from outside, in the file's order.
    pub verify: Vec<WatchSettings>,
    /// Rate limits, in the file's order.
    pub rate_limits: Vec<RateLimitSettings>,
    /// The Redis that some of them share. There if one of them does.
    pub redis: Option<RedisSettings>,
    /// Where too much memory begins.
    pub memory: MemoryWatermark,
    /// How traces are made.
    pub tracing: TracingPlan,
    /// The collectors that spans go to.
    pub export: Vec<OtlpSettings>,
    /// Whether the terminal counts as an exporter, too.
    pub terminal: TerminalExport,
    /// Where edgespan's own metrics and logs go beside `/metrics` and stderr.
    pub telemetry: TelemetryPlan,
    /// The store of recent traces.
    pub store: StorePlan,
    /// Key flows that are asked through on a schedule, in the file's order.
    pub probes: Vec<Schedule>,
    /// The document that this was compiled from, for an operator to read: secrets are drawn as
    /// `*`, and placeholders stand as they were written. Set once all of it was read.
    pub text: Arc<str>,
    /// The operator's doors.
    pub admin: AdminSettings,
    /// Whether each request writes a line to the access log; None: the command decides.
    pub access_log: Option<bool>,
    /// How the end goes.
    pub drain: DrainPlan,
}

/// How the end goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainPlan {
    /// From `/ready` saying no to the listeners' closing, for load balancers to notice.
    pub delay: Duration,
    /// How long requests in flight may take to finish after that.
    pub timeout: Duration,
}

/// Whether the terminal counts as an exporter. Whether spans are printed there at all is the
/// command's business, but for `Always`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalExport {
    /// Where no collector is named.
    WithoutCollector,
    /// `OTEL_TRACES_EXPORTER=console`: spans are printed wherever stdout leads.
    Always,
    /// `OTEL_TRACES_EXPORTER=none`: what is printed is for the eye alone.
    Never,
}

impl Plan {
    /// Whether the terminal is where spans go to.
    pub const fn terminal_exports(&self) -> bool {
        match self.terminal {
            TerminalExport::WithoutCollector => self.export.is_empty(),
            TerminalExport::Always => true,
            TerminalExport::Never => false,
        }
    }
}

/// The store of recent traces. Nothing is kept where nothing is recorded, but spans of other
/// services are taken all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorePlan {
    /// How much memory it may take. None: off.
    pub bytes_max: Option<usize>,
    /// Where OTLP over gRPC is taken. Nowhere if the store is off.
    pub otlp_grpc: Option<SocketAddr>,
    /// Where OTLP over HTTP is taken. Nowhere if the store is off.
    pub otlp_http: Option<SocketAddr>,
}

/// Where edgespan's own metrics and logs go.
#[derive(Clone, Default, PartialEq)]
pub struct TelemetryPlan {
    /// The collector of metrics, and how often it gets them.
    pub metrics: Option<(OtlpSettings, Duration)>,
    /// The collector of logs.
    pub logs: Option<OtlpSettings>,
}

/// How traces are made, for the whole process.
#[derive(Clone, Debug)]
pub struct TracingPlan {
    /// False under `OTEL_SDK_DISABLED=true`: nothing is recorded, and context passes untouched.
    pub recording: bool,
    /// Resource attributes of every exported span, `service.name` among them; keys are unique.
    pub resource: Vec<(Arc<str>, ResourceValue)>,
    /// Propagators by name, as `OTEL_PROPAGATORS` knows them: `tracecontext`, `baggage`, `b3`,
    /// `b3multi`, in order and without repetition; empty for `none`.
    pub propagators: Vec<Arc<str>>,
    /// Headers whose ids root traces.
    pub root_from: RootFrom,
    /// Head sampling of requests that match no route.
    pub default_sampling: SamplingRule,
    /// Feature flags of requests that match no route, as `(key, variant)` in key order.
    pub feature_flags: Arc<[(Arc<str>, Arc<str>)]>,
    /// Whether answers carry `x-trace-id`.
    pub response_trace_id: bool,
    /// Query keys whose values are redacted beside the built-in list (compared without case).
    pub redact_query: Vec<Arc<str>>,
    /// Methods that keep their name in spans; None: the list of the conventions.
    pub known_methods: Option<Vec<Arc<str>>>,
    /// Most attributes on a span (`OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`).
    pub attribute_count_max: usize,
    /// Longest attribute value in characters (`OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`).
    pub attribute_value_max: Option<usize>,
    /// Whether CLIENT spans carry the older `peer.service` beside `service.peer.name`.
    pub peer_service: bool,
    /// Whether requests of probes are marked and counted apart.
    pub synthetic: bool,
}
