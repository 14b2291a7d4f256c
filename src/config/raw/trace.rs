//! Flows, sampling, propagation and what spans say, as they are written.

use super::{HeaderName, Rate};
use crate::config::decode::{Entries, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// A business process: its routes' spans carry its name and its attributes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Flow {
    /// Share of traces kept for requests that come without a trace. A route's own rate wins.
    pub(in crate::config) sampling: Option<Rate>,
    /// What becomes of our spans when the caller did not sample.
    pub(in crate::config) unsampled_parent: Option<UnsampledParent>,
    /// Span attributes to take from each request or response, by key.
    pub(in crate::config) attributes: Entries<Spanned<FlowAttribute>>,
}

/// Where a span attribute comes from. Exactly one of `path`, `request_header`, `response_header`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct FlowAttribute {
    /// A capture of the route's path template, such as `order_id` of `/orders/{order_id}`.
    pub(in crate::config) path: Option<Spanned<String>>,
    /// A request header.
    pub(in crate::config) request_header: Option<Spanned<HeaderName>>,
    /// A response header.
    pub(in crate::config) response_header: Option<Spanned<HeaderName>>,
    /// What the text becomes; text that does not fit stays a string.
    #[serde(rename = "type")]
    #[schemars(extend("default" = "string"))]
    pub(in crate::config) kind: Option<ValueType>,
}

/// The type of an attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "value type")]
pub(in crate::config) enum ValueType {
    /// As it is.
    #[default]
    String,
    /// A whole number of 64 bits.
    Int,
    /// A number with a fraction.
    Double,
    /// `true` or `false`.
    Bool,
}

/// How many traces are kept. A caller's decision is always respected, and its flag leaves as it
/// came; rates decide for requests that come without one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Sampling {
    /// The rate where neither route, flow nor environment has one. `OTEL_TRACES_SAMPLER` replaces
    /// it, and nothing else.
    #[schemars(extend("default" = 1.0))]
    pub(in crate::config) default: Option<Rate>,
    /// Rates by `service.environment`.
    pub(in crate::config) environments: Entries<Rate>,
    /// What becomes of our spans when the caller did not sample.
    #[schemars(extend("default" = "respect"))]
    pub(in crate::config) unsampled_parent: Option<UnsampledParent>,
}

/// What becomes of our spans when the caller did not sample. The flag stays as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "rule for unsampled parents", extend("x-plural" = "rules"))]
pub(in crate::config) enum UnsampledParent {
    /// They are not recorded.
    #[default]
    Respect,
    /// They are recorded and exported.
    Record,
}

/// How trace context is read and written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Propagation {
    /// Formats. Default `[tracecontext, baggage]`. `OTEL_PROPAGATORS` wins over it.
    pub(in crate::config) propagators: Option<Vec<Spanned<Propagator>>>,
    /// Headers with an id of the request's own, such as `cf-ray` or `x-request-id`, the best one
    /// first: a request of a trusted peer that comes without a trace begins one whose id is made
    /// of it, so that all replicas agree. Without it trace ids are random.
    pub(in crate::config) root_from: Vec<Spanned<HeaderName>>,
    /// Whether responses carry the trace id in `x-trace-id`.
    #[schemars(extend("default" = false))]
    pub(in crate::config) response_trace_id: Option<bool>,
}

/// A format of trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(title = "propagator")]
pub(in crate::config) enum Propagator {
    /// W3C `traceparent` and `tracestate`.
    TraceContext,
    /// W3C `baggage`.
    Baggage,
    /// B3 in one header.
    B3,
    /// B3 in several headers.
    B3Multi,
}

/// What spans say beside the conventions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Spans {
    /// Whether CLIENT spans carry the older `peer.service` beside `service.peer.name`.
    #[schemars(extend("default" = true))]
    pub(in crate::config) peer_service: Option<bool>,
    /// Whether requests whose `User-Agent` begins with `edgespan-probe/` are marked
    /// `user_agent.synthetic.type`, and counted apart from those of users. Who pretends to be a
    /// probe loses its place in the metrics of users, and nothing else.
    #[schemars(extend("default" = true))]
    pub(in crate::config) synthetic: Option<bool>,
}

/// What is hidden in spans and logs beside the built-in list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Redaction {
    /// Keys of the query whose values become `REDACTED`, in whatever case.
    pub(in crate::config) query: Vec<Spanned<String>>,
}
