//! What requests share and a reload replaces. A request keeps the one it began with.

use super::mirror::LiveMirror;
use super::plan::{Redirect, Rewrite, RoutePlan};
use super::split::LiveSplit;
use crate::auth::assertion::Assertions;
use crate::auth::audit::Audit;
use crate::auth::oidc::Logins;
use crate::auth::provider::Providers;
use crate::auth::{Policy, Requirement};
use crate::message::reserved::Reserved;
use crate::ratelimit::{RateLimits, Rule};
use crate::route::RouteTable;
use crate::server::MemoryPressure;
use crate::shared::Line;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::trace::flags::FeatureFlags;
use crate::trace::propagate::Propagators;
use crate::trace::root::RootFrom;
use crate::trace::sampler::HeadSampler;
use crate::trace::settings::TraceSettings;
use crate::trace::sink::SpanSink;
use crate::upstream::Cluster;
use crate::verify::arrival::Desk;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;

/// Everything a request reads.
pub struct Snapshot {
    /// Which rule applies.
    pub routes: RouteTable<Arc<LiveRoute>>,
    /// Where requests go, in the file's order.
    pub clusters: Vec<Arc<Cluster>>,
    /// Policies of who may pass, in the file's order.
    pub policies: Vec<Arc<Policy>>,
    /// The issuers of the file.
    pub providers: Providers,
    /// What logins share, where the file has some.
    pub logins: Option<Arc<Logins>>,
    /// Who is told of logins and refusals, where somebody is.
    pub audit: Option<Arc<Audit>>,
    /// Header names that only edgespan writes.
    pub reserved: Arc<Reserved>,
    /// What signs assertions of who a client is.
    pub assertion: Option<Arc<Assertions>>,
    /// Who is told what arrived; None: nobody, as if there were no such thing.
    pub arrival: Option<Desk>,
    /// The configuration that this was made from, its secrets hidden.
    pub config: Arc<str>,
    /// How requests without a route are traced.
    pub unmatched: TraceRule,
    /// How spans are made.
    pub trace: TraceSettings,
    /// False: nothing is recorded, and context passes untouched.
    pub recording: bool,
    /// How context is read and written.
    pub propagators: Propagators,
    /// What the ids of traces are made of that begin here.
    pub root_from: RootFrom,
    /// Who gets finished spans.
    pub sinks: Vec<Arc<dyn SpanSink>>,
    /// Whether answers carry `x-trace-id`.
    pub response_trace_id: bool,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The Redis that limits and sessions share, where the file has one.
    pub redis: Option<Arc<Line>>,
    /// Rate limits, and what they remember.
    pub limits: RateLimits,
    /// Whether there is too much in memory.
    pub memory: Arc<MemoryPressure>,
    /// One line a request, if asked for.
    pub access_log: Option<Arc<AccessLog>>,
}

/// How the requests of one route are traced.
pub struct TraceRule {
    /// The head decision.
    pub sampler: HeadSampler,
    /// What their spans say of feature flags.
    pub flags: FeatureFlags,
}

/// One route at work.
pub struct LiveRoute {
    /// What the configuration says.
    pub plan: RoutePlan,
    /// What becomes of its requests.
    pub action: LiveAction,
    /// Where copies of them go.
    pub mirror: Option<Arc<LiveMirror>>,
    /// Who may pass; None: everybody.
    pub auth: Option<Requirement>,
    /// How they are traced.
    pub trace: TraceRule,
    /// The rate limits of its requests.
    pub limits: Vec<Arc<Rule>>,
    /// Those that go by who the client is, asked after `auth`.
    pub identity_limits: Vec<Arc<Rule>>,
    /// Its `http.route`.
    pub template: Arc<str>,
}

/// What becomes of a request, ready to be done.
pub enum LiveAction {
    /// It goes to an upstream.
    Forward {
        /// Which.
        cluster: Arc<Cluster>,
        /// Path and host changes.
        rewrite: Rewrite,
    },
    /// It goes to one of several upstreams.
    Split {
        /// Which.
        split: LiveSplit,
        /// Path and host changes.
        rewrite: Rewrite,
    },
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// A fixed answer.
    Answer {
        /// Status.
        status: StatusCode,
        /// Headers.
        headers: Vec<(HeaderName, HeaderValue)>,
        /// Body.
        body: Bytes,
    },
    /// Nothing: its requests are only decided about.
    Nothing,
}

/// The snapshot in force.
pub struct Live(ArcSwap<Snapshot>);

impl Live {
    /// Begins with this one.
    pub fn new(first: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// The one in force.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts another one in force, for requests that begin from now on.
    pub fn replace(&self, next: Snapshot) {
        self.0.store(Arc::new(next));
    }
}
