//! Upstreams as they are written.

use super::{
    Balance, Count, Dns, DurationText, EndpointEntry, Health, OffOrDuration, Outlier, Rate,
    Retries, UpstreamTls,
};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where requests go: endpoints that serve the same thing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["endpoints"]))]
pub(in crate::config) struct Upstream {
    /// `service.peer.name` of CLIENT spans. Without it the upstream's name in this file.
    pub(in crate::config) service: Option<Spanned<String>>,
    /// Where requests go; an endpoint that refuses a connection is passed over.
    /// `http://host:port`, `https://host:port`, `h2c://host:port` (HTTP/2 in the clear),
    /// `unix:/path`, `unix+h2c:/path`; `srv+http://name`, `srv+https://name`, `srv+h2c://name`
    /// for SRV records. Each address of a name is an endpoint.
    #[schemars(length(min = 1))]
    pub(in crate::config) endpoints: Vec<Spanned<EndpointEntry>>,
    /// Which endpoint is next: `round_robin` (each as often as its weight says), `least_request`
    /// (of two at random the less busy one), or `{hash: ...}` (the same key, the same endpoint).
    #[schemars(extend("default" = "round_robin"))]
    pub(in crate::config) balance: Option<Spanned<Balance>>,
    /// The zone that edgespan is in. Endpoints of this zone are preferred while enough of them
    /// are available. Without it the resource attribute `cloud.availability_zone`, if there is
    /// one.
    pub(in crate::config) zone: Option<Spanned<String>>,
    /// How long an endpoint that is new or well again takes to get its whole share.
    #[schemars(extend("default" = "off"))]
    pub(in crate::config) slow_start: Option<Spanned<OffOrDuration>>,
    /// Below this share of available endpoints all are used, well or not. 0: never; then a
    /// request that finds none available gets 503.
    #[schemars(extend("default" = 0.5))]
    pub(in crate::config) panic_threshold: Option<Rate>,
    /// How names are resolved.
    pub(in crate::config) dns: Option<Spanned<Dns>>,
    /// Deadlines.
    pub(in crate::config) timeouts: UpstreamTimeouts,
    /// TLS towards `https` endpoints.
    pub(in crate::config) tls: Option<Spanned<UpstreamTls>>,
    /// Bounds.
    pub(in crate::config) limits: UpstreamLimits,
    /// What happens when there is more than it can take.
    pub(in crate::config) overload: UpstreamOverload,
    /// When a request is sent once more. Without it only to another endpoint while nothing was
    /// sent, and once if a connection that waited in the pool turns out to be closed.
    pub(in crate::config) retries: Option<Spanned<Retries>>,
    /// Endpoints are checked, and get requests only while they pass.
    pub(in crate::config) health: Option<Spanned<Health>>,
    /// Endpoints that fail where others do not get no requests for a while.
    pub(in crate::config) outlier: Option<Spanned<Outlier>>,
}

/// What happens when there is more than an upstream can take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct UpstreamOverload {
    /// Whether the number of requests at a time finds itself, by how long answers take; one more
    /// gets 503. Never above `limits.requests`. For upstreams of which nobody knows the number.
    #[schemars(extend("default" = false))]
    pub(in crate::config) adaptive: Option<bool>,
}

/// Deadlines towards an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct UpstreamTimeouts {
    /// TCP and TLS handshake together; longer gets 504.
    #[schemars(extend("default" = "1s"))]
    pub(in crate::config) connect: Option<Spanned<DurationText>>,
    /// From the request's start to the head of the response; longer gets 504.
    #[schemars(extend("default" = "15s"))]
    pub(in crate::config) first_byte: Option<Spanned<DurationText>>,
    /// The whole exchange, body included.
    #[schemars(extend("default" = "off"))]
    pub(in crate::config) request: Option<Spanned<OffOrDuration>>,
    /// Longest silence in a body, and longest life of an idle connection.
    #[schemars(extend("default" = "60s"))]
    pub(in crate::config) idle: Option<Spanned<DurationText>>,
}

/// Bounds of an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct UpstreamLimits {
    /// Requests in flight; one more gets 503.
    #[schemars(extend("default" = 10_000))]
    pub(in crate::config) requests: Option<Spanned<Count>>,
    /// HTTP/1.1 connections in use at each endpoint. Without it as many as there are requests.
    pub(in crate::config) connections: Option<Spanned<Count>>,
    /// Requests that wait for a connection where `connections` are bounded, at most for
    /// `timeouts.connect`; one more gets 503.
    #[schemars(extend("default" = 1_000))]
    pub(in crate::config) pending: Option<Spanned<Count>>,
    /// Retries and hedges in flight; one more is not made.
    #[schemars(extend("default" = 100))]
    pub(in crate::config) retries: Option<Spanned<Count>>,
    /// Idle connections kept for each endpoint.
    #[schemars(extend("default" = 256))]
    pub(in crate::config) idle_connections: Option<Spanned<Count>>,
}
