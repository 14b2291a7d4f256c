//! Listeners as they are written.

use super::{
    AddressText, Cloudflare, Count, Decision, DurationText, HeaderName, ListenerTls, NetworkText,
    OffOrDuration, ProxyProtocol, SizeText,
};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where requests arrive.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["address"]))]
pub(in crate::config) struct Listener {
    /// Where to listen. Port 0 takes a free one.
    pub(in crate::config) address: Option<Spanned<AddressText>>,
    /// What the listener is for.
    #[schemars(extend("default" = "gateway"))]
    pub(in crate::config) mode: Option<Spanned<ListenerMode>>,
    /// Where host proxies ask, with `mode: decision`.
    pub(in crate::config) decision: Option<Spanned<Decision>>,
    /// TLS, with HTTP/2 and HTTP/1.1 by ALPN. Without it, HTTP/1.1 and HTTP/2 in the clear.
    pub(in crate::config) tls: Option<ListenerTls>,
    /// Balancers in front that say for whom they connect.
    pub(in crate::config) proxy_protocol: Option<ProxyProtocol>,
    /// Peers whose word about others is believed: `X-Forwarded-*`, `Forwarded` and the
    /// `client_address_header`. From everybody else these are removed.
    pub(in crate::config) trusted_proxies: Vec<Spanned<NetworkText>>,
    /// A header in which a trusted proxy names the client, such as `cf-connecting-ip`.
    pub(in crate::config) client_address_header: Option<Spanned<HeaderName>>,
    /// Behind Cloudflare: `edge` for its published addresses, `tunnel` for a `cloudflared` on this
    /// machine or among `trusted_proxies`, or `{from: [NETWORK]}`. Those peers are trusted, their
    /// `CF-Connecting-IP` names the client, and spans carry ray, data center and country. What
    /// Cloudflare alone writes is removed from everybody else's requests.
    pub(in crate::config) cloudflare: Option<Spanned<Cloudflare>>,
    /// Deadlines.
    pub(in crate::config) timeouts: ListenerTimeouts,
    /// Bounds.
    pub(in crate::config) limits: ListenerLimits,
    /// Paths that servers read in two ways.
    pub(in crate::config) paths: Paths,
    /// Rate limits of every request that arrives here, by name; also of those without a route.
    pub(in crate::config) rate_limits: Vec<Spanned<String>>,
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "listener mode")]
pub(in crate::config) enum ListenerMode {
    /// Requests are routed to upstreams.
    #[default]
    Gateway,
    /// Host proxies ask whether their requests may pass; nothing is forwarded.
    Decision,
}

/// Deadlines of a listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ListenerTimeouts {
    /// TLS handshake; request head from its first byte.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) header: Option<Spanned<DurationText>>,
    /// Longest silence of a connection without requests, of a request's body, and of a client
    /// that does not take its answer.
    #[schemars(extend("default" = "60s"))]
    pub(in crate::config) idle: Option<Spanned<DurationText>>,
    /// Age at which a connection is told to end: GOAWAY on HTTP/2, `Connection: close` with the
    /// next answer on HTTP/1.1.
    #[schemars(extend("default" = "off"))]
    pub(in crate::config) lifetime: Option<Spanned<OffOrDuration>>,
    /// How long requests in flight have after `lifetime`, or after the last request of
    /// `requests_per_connection`, before the connection is cut.
    #[schemars(extend("default" = "60s"))]
    pub(in crate::config) grace: Option<Spanned<OffOrDuration>>,
}

/// Bounds of a listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ListenerLimits {
    /// Open connections; more wait in the kernel's backlog.
    #[schemars(extend("default" = 20_000))]
    pub(in crate::config) connections: Option<Spanned<Count>>,
    /// Requests in flight; one more gets 503.
    #[schemars(extend("default" = 20_000))]
    pub(in crate::config) requests: Option<Spanned<Count>>,
    /// Bytes of a request's header fields together; more gets 431. At most 256KiB.
    #[schemars(extend("default" = "64KiB"))]
    pub(in crate::config) header_bytes: Option<Spanned<SizeText>>,
    /// Number of a request's header fields; more gets 431. At most 500.
    #[schemars(extend("default" = 100))]
    pub(in crate::config) header_count: Option<Spanned<Count>>,
    /// Bytes of a request's body; more gets 413. Without it there is no bound.
    pub(in crate::config) body_bytes: Option<Spanned<SizeText>>,
    /// Least bytes a second of a request's body, on average from its eleventh second on; less ends
    /// the request. gRPC on HTTP/2 is exempt: its streams may rest. Without it only silence is
    /// bounded, by `timeouts.idle`.
    pub(in crate::config) body_bytes_per_second: Option<Spanned<SizeText>>,
    /// Requests on one connection; it is told to end with the last of them. Without it there is
    /// no bound.
    pub(in crate::config) requests_per_connection: Option<Spanned<Count>>,
}

/// Paths that servers read in two ways.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Paths {
    /// `%2F` and `%5C`.
    #[schemars(extend("default" = "refuse"))]
    pub(in crate::config) encoded_slash: Option<EncodedSlash>,
    /// `//`.
    #[schemars(extend("default" = "refuse"))]
    pub(in crate::config) empty_segment: Option<EmptySegment>,
}

/// What becomes of `%2F` and `%5C` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "path rule")]
pub(in crate::config) enum EncodedSlash {
    /// Such requests get 400.
    #[default]
    Refuse,
    /// They pass as part of a segment.
    Allow,
}

/// What becomes of `//` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "path rule")]
pub(in crate::config) enum EmptySegment {
    /// Such requests get 400.
    #[default]
    Refuse,
    /// They pass as an empty segment.
    Allow,
}
