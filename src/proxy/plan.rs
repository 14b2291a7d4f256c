//! What a matched route carries: everything the stages after routing need to know.

pub use super::upgrade::SessionPlan;
use crate::auth::{Allow, IdentitySettings, RequirementSettings};
use crate::message::compression::CompressionRules;
use crate::route::HeaderRule;
use crate::trace::flow::Flow;
use crate::trace::sampler::SamplingRule;
use crate::upstream::RetryPolicy;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// One route after its conditions.
#[derive(Clone, Debug)]
pub struct RoutePlan {
    /// The route's name.
    pub name: Arc<str>,
    /// What becomes of the request.
    pub action: RouteAction,
    /// Changes to request headers on their way to the upstream.
    pub request_headers: HeaderEdits,
    /// Changes to response headers on their way to the client.
    pub response_headers: HeaderEdits,
    /// Who may pass; None: everybody.
    pub auth: Option<RequirementSettings>,
    /// What the origin learns of who a client is; None: nothing.
    pub identity: Option<Arc<IdentitySettings>>,
    /// What else has to hold of a request.
    pub allow: Option<Arc<Allow>>,
    /// Whether its requests carry a signed assertion, if a policy proved who their client is.
    pub asserts: bool,
    /// Cross-origin rules.
    pub cors: Option<CorsPolicy>,
    /// Which answers are compressed on their way to the client; None: none.
    pub compression: Option<Arc<CompressionRules>>,
    /// Copies for a shadow upstream.
    pub mirror: Option<MirrorPlan>,
    /// Overrides the upstream's first-byte deadline.
    pub first_byte_timeout: Option<Duration>,
    /// Overrides the upstream's whole-request deadline; `Some(None)` takes it away.
    pub request_timeout: Option<Option<Duration>>,
    /// Replaces the upstream's rules of retrying.
    pub retries: Option<Arc<RetryPolicy>>,
    /// Overrides the listener's body limit, in bytes.
    pub body_bytes_max: Option<u64>,
    /// WebSockets and other upgraded connections.
    pub websocket: SessionPlan,
    /// Names of the rate limits of its requests; exist in the plan.
    pub rate_limits: Vec<Arc<str>>,
    /// Replaces the SERVER span's name.
    pub span_name: Option<Arc<str>>,
    /// Head sampling, resolved from route, flow, environment and default.
    pub sampling: SamplingRule,
    /// The flow it belongs to.
    pub flow: Option<Arc<Flow>>,
    /// Feature flags of its spans: the file's and its own, as `(key, variant)` in key order.
    pub feature_flags: Arc<[(Arc<str>, Arc<str>)]>,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum RouteAction {
    /// It goes to an upstream.
    Forward {
        /// The upstream's name; exists in the plan.
        upstream: Arc<str>,
        /// Path and host changes.
        rewrite: Rewrite,
    },
    /// It goes to one of several upstreams.
    Split {
        /// Which.
        split: SplitPlan,
        /// Path and host changes.
        rewrite: Rewrite,
    },
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// A fixed answer.
    Answer {
        /// Status.
        status: StatusCode,
        /// Headers of the answer.
        headers: Vec<(HeaderName, HeaderValue)>,
        /// Body of the answer.
        body: Bytes,
    },
    /// Nothing: its requests are only decided about, for hosts that forward them.
    Nothing,
}

/// Branches that requests are split over.
#[derive(Clone, Debug)]
pub struct SplitPlan {
    /// The feature flag whose variants the branches are.
    pub flag: Arc<str>,
    /// What ties a request to its branch; None: chance alone.
    pub sticky: Option<Sticky>,
    /// In the file's order. At least one has a weight.
    pub branches: Vec<BranchPlan>,
}

/// One branch of a split.
#[derive(Clone, Debug)]
pub struct BranchPlan {
    /// The flag's variant.
    pub variant: Arc<str>,
    /// The upstream's name; exists in the plan.
    pub upstream: Arc<str>,
    /// Its part of the sum of weights.
    pub weight: u32,
    /// Conditions by which a request asks for it, whatever the weights. Empty: it cannot.
    pub headers: Vec<HeaderRule>,
    /// Feature flags of its spans: the route's and its own, as `(key, variant)` in key order.
    pub feature_flags: Arc<[(Arc<str>, Arc<str>)]>,
}

/// What ties a request to its branch of a split.
#[derive(Clone, Debug)]
pub enum Sticky {
    /// Its trace.
    Trace,
    /// The client's address.
    Address,
    /// A header's first value.
    Header(HeaderName),
    /// A cookie's value.
    Cookie(Box<str>),
}

/// Copies of requests for a shadow upstream.
#[derive(Clone, Debug)]
pub struct MirrorPlan {
    /// The upstream's name; exists in the plan.
    pub upstream: Arc<str>,
    /// Share of requests that are copied, 0 to 1.
    pub share: f64,
    /// Largest body that is copied, in bytes. A request with a larger one is not.
    pub body_bytes_max: u64,
    /// Copies in flight; one more is left out.
    pub requests_max: usize,
    /// How long a copy may take once it is sent.
    pub timeout: Duration,
    /// What the shadow sees as host.
    pub host: MirrorHost,
}

/// What a shadow sees as host.
#[derive(Clone, Debug, Default)]
pub enum MirrorHost {
    /// What the client asked for.
    #[default]
    Keep,
    /// That with `-shadow` behind the name.
    Shadow,
    /// The endpoint's own host and port.
    Endpoint,
    /// This.
    To(HeaderValue),
}

/// Path and host changes on the way to an upstream.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// Replaces the route's matched prefix (of a `prefix` rule) or the whole path (of the others).
    pub path: Option<Arc<str>>,
    /// What the upstream sees as host.
    pub host: HostRewrite,
}

/// What the upstream sees as host.
#[derive(Clone, Debug, Default)]
pub enum HostRewrite {
    /// What the client asked for.
    #[default]
    Keep,
    /// The endpoint's own host and port.
    Endpoint,
    /// This.
    To(HeaderValue),
}

/// A redirect. Parts that are `None` stay as the client sent them; the query always stays.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// New scheme.
    pub scheme: Option<Arc<str>>,
    /// New host, with a port if needed.
    pub host: Option<Arc<str>>,
    /// New path (as in [`Rewrite::path`]).
    pub path: Option<Arc<str>>,
}

/// Header changes: first removed, then set, then added.
#[derive(Clone, Debug, Default)]
pub struct HeaderEdits {
    /// Taken away.
    pub remove: Vec<HeaderName>,
    /// Set, replacing all values.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Added beside what is there.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

/// Cross-origin rules of a route (the Fetch standard's CORS protocol).
#[derive(Clone, Debug)]
pub struct CorsPolicy {
    /// Who may read answers.
    pub origins: CorsOrigins,
    /// Methods of a preflight's answer. Empty: the one asked for is echoed.
    pub methods: Vec<Method>,
    /// Headers of a preflight's answer, the context headers added. Empty: those asked for.
    pub headers: Vec<HeaderName>,
    /// Response headers that scripts may read, beside `x-trace-id` and `server-timing`.
    pub expose: Vec<HeaderName>,
    /// Whether credentials are allowed; never together with any origin.
    pub credentials: bool,
    /// How long a preflight's answer may be kept.
    pub max_age: Option<Duration>,
}

/// Who may read answers.
#[derive(Clone, Debug)]
pub enum CorsOrigins {
    /// Everybody (`*`).
    Any,
    /// These origins, compared byte for byte.
    List(Vec<HeaderValue>),
    /// Whoever the upstream's own answers allow; trace context is added to what they allow.
    Upstream,
}
