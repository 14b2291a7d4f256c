//! Routes as they are written.

use super::scalar::Either;
use super::{
    DurationText, ExpressionText, HeaderName, HeaderText, HostText, Identity, MethodText, Mirror,
    OffOrDuration, OneOrMany, PathText, PolicySet, Preflights, Rate, RegexText, Retries,
    RouteAssertion, RouteCompression, SizeText, Split, Status, UnsampledParent, WebSocket,
};
use crate::config::decode::{Entries, Spanned};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Which requests go where. Exactly one of `upstream`, `split`, `redirect` and `answer`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(in crate::config) struct Route {
    /// A name of its own; spans and logs say it.
    pub(in crate::config) name: Option<Spanned<String>>,
    /// Which requests. Without it every one.
    #[serde(rename = "match")]
    pub(in crate::config) conditions: Match,
    /// The upstream that gets the request.
    pub(in crate::config) upstream: Option<Spanned<String>>,
    /// Several upstreams, of which one gets the request.
    pub(in crate::config) split: Option<Spanned<Split>>,
    /// Sends the client elsewhere.
    pub(in crate::config) redirect: Option<Spanned<Redirect>>,
    /// A fixed answer.
    pub(in crate::config) answer: Option<Spanned<Answer>>,
    /// Changes of path and host on the way to the upstream.
    pub(in crate::config) rewrite: Option<Spanned<Rewrite>>,
    /// Copies for a shadow upstream.
    pub(in crate::config) mirror: Option<Spanned<Mirror>>,
    /// Whether and how answers are compressed, instead of as the file says.
    pub(in crate::config) compression: Option<Spanned<RouteCompression>>,
    /// Who may pass: a policy's name, or a list of names, `{all: [...]}` and `{policy: NAME, ...}`
    /// with other settings, of which one has to allow; they are asked in this order, and the first
    /// that knows the request decides. `off` lets everybody pass. Without it `default_auth` holds.
    pub(in crate::config) auth: OneOrMany<Spanned<PolicySet>>,
    /// CORS preflights carry no credentials: `pass` lets them through, `check` asks about them.
    #[schemars(extend("default" = "check"))]
    pub(in crate::config) auth_preflights: Option<Spanned<Preflights>>,
    /// What the origin learns of who a client is; replaces all of the file's `identity`.
    pub(in crate::config) identity: Option<Spanned<Identity>>,
    /// What else has to hold, once the policies allow: an expression of CEL over `request`,
    /// `claims`, `identity` and `route`. A request for which it is false, or cannot be evaluated,
    /// is refused with 403.
    pub(in crate::config) allow: Option<Spanned<ExpressionText>>,
    /// Whether its requests carry the file's `assertion`. Without it they do.
    #[schemars(extend("default" = "on"))]
    pub(in crate::config) assertion: Option<Spanned<RouteAssertion>>,
    /// Changes of headers.
    pub(in crate::config) headers: HeaderSides,
    /// Which other sites' scripts may call this (the Fetch standard's CORS).
    pub(in crate::config) cors: Option<Spanned<Cors>>,
    /// Deadlines that replace the upstream's.
    pub(in crate::config) timeouts: RouteTimeouts,
    /// Bounds that replace the listener's.
    pub(in crate::config) limits: RouteLimits,
    /// WebSockets and other upgraded connections.
    pub(in crate::config) websocket: WebSocket,
    /// When a request is sent once more; replaces all of the upstream's `retries`.
    pub(in crate::config) retries: Option<Spanned<Retries>>,
    /// Rate limits, by name. All of them have to let a request pass.
    pub(in crate::config) rate_limits: Vec<Spanned<String>>,
    /// The flow that the route belongs to.
    pub(in crate::config) flow: Option<Spanned<String>>,
    /// Replaces the SERVER span's name, such as `api.login`.
    pub(in crate::config) span_name: Option<Spanned<String>>,
    /// Share of traces kept for requests that come without a trace. Wins over every other rate.
    pub(in crate::config) sampling: Option<Rate>,
    /// What becomes of our spans when the caller did not sample.
    pub(in crate::config) unsampled_parent: Option<UnsampledParent>,
    /// Flags that the route's spans carry beside the file's; the route's own wins.
    pub(in crate::config) feature_flags: Entries<Spanned<String>>,
}

/// Which requests. All conditions have to hold; at most one of `path`, `prefix` and `regex`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Match {
    /// Hosts; `*.example.com` takes exactly one label in place of the `*`. Without it every host.
    pub(in crate::config) host: OneOrMany<Spanned<HostText>>,
    /// A whole path, `{name}` standing for one segment and `{name...}` at the end for the rest.
    pub(in crate::config) path: Option<Spanned<PathText>>,
    /// A path and everything below it.
    pub(in crate::config) prefix: Option<Spanned<PathText>>,
    /// An expression for the whole path; asked after templates and prefixes.
    pub(in crate::config) regex: Option<Spanned<RegexText>>,
    /// Methods. Without it every method.
    pub(in crate::config) methods: Vec<Spanned<MethodText>>,
    /// Header conditions by name: a value, `{regex: ...}` or `{present: true}`.
    pub(in crate::config) headers: Entries<Spanned<ValueMatch>>,
    /// Query conditions by parameter: a value, `{regex: ...}` or `{present: true}`.
    pub(in crate::config) query: Entries<Spanned<ValueMatch>>,
}

/// What a header or parameter has to be. Exactly one of the two.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ValueCondition {
    /// An expression for the whole value.
    pub(in crate::config) regex: Option<Spanned<RegexText>>,
    /// There, with whatever value.
    pub(in crate::config) present: Option<Spanned<bool>>,
}

/// A value, `{regex: ...}` or `{present: true}`.
#[derive(Debug)]
pub(in crate::config) enum ValueMatch {
    Exact(String),
    Condition(ValueCondition),
}

impl<'de> Deserialize<'de> for ValueMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::Exact(text),
            Either::Fields(condition) => Self::Condition(condition),
        })
    }
}

impl JsonSchema for ValueMatch {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ValueMatch")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let condition = generator.subschema_for::<ValueCondition>();
        json_schema!({
            "anyOf": [{"type": "string"}, condition],
            "title": "value or condition",
            "description": "A value, or a condition on it.",
        })
    }
}

/// Where the client is sent. Parts that are not given stay as they were asked for; the query
/// always stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Redirect {
    /// 301, 302, 303, 307 or 308.
    #[schemars(extend("default" = 308))]
    pub(in crate::config) status: Option<Spanned<Status>>,
    /// The new scheme.
    pub(in crate::config) scheme: Option<Spanned<Scheme>>,
    /// The new host, with a port if needed.
    pub(in crate::config) host: Option<Spanned<HostText>>,
    /// The new path. With `match: {prefix: ...}` only the prefix is replaced.
    pub(in crate::config) path: Option<Spanned<PathText>>,
}

/// A scheme of URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(title = "scheme")]
pub(in crate::config) enum Scheme {
    /// In the clear.
    Http,
    /// With TLS.
    Https,
}

/// A fixed answer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Answer {
    /// Status code.
    #[schemars(extend("default" = 200))]
    pub(in crate::config) status: Option<Spanned<Status>>,
    /// Headers.
    pub(in crate::config) headers: Entries<Spanned<HeaderText>>,
    /// The body, as text.
    pub(in crate::config) body: Option<Spanned<String>>,
}

/// Changes of path and host on the way to the upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Rewrite {
    /// The new path. With `match: {prefix: ...}` only the prefix is replaced.
    pub(in crate::config) path: Option<Spanned<PathText>>,
    /// What the upstream sees as host: `keep` what the client asked for, `endpoint`, or this.
    #[schemars(extend("default" = "keep", "examples" = ["endpoint"]))]
    pub(in crate::config) host: Option<Spanned<HostText>>,
}

/// Changes of headers, by direction.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HeaderSides {
    /// On the way to the upstream.
    pub(in crate::config) request: HeaderEdits,
    /// On the way to the client.
    pub(in crate::config) response: HeaderEdits,
}

/// Changes of headers: first removed, then set, then added.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HeaderEdits {
    /// Set, replacing all values.
    pub(in crate::config) set: Entries<Spanned<HeaderText>>,
    /// Added beside what is there.
    pub(in crate::config) add: Entries<Spanned<HeaderText>>,
    /// Taken away.
    pub(in crate::config) remove: Vec<Spanned<HeaderName>>,
}

/// Which other sites' scripts may call this (the Fetch standard's CORS). `traceparent`,
/// `tracestate` and `baggage` are always allowed, `x-trace-id` and `server-timing` exposed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Cors {
    /// Origins such as `https://app.example.com`, or `"*"` alone for everybody. Without it the
    /// upstream's own rules hold, and trace context is added to what they allow.
    pub(in crate::config) origins: OneOrMany<Spanned<String>>,
    /// Methods. Without it the one asked for.
    pub(in crate::config) methods: Vec<Spanned<MethodText>>,
    /// Request headers. Without it those asked for.
    pub(in crate::config) headers: Vec<Spanned<HeaderName>>,
    /// Response headers that scripts may read.
    pub(in crate::config) expose: Vec<Spanned<HeaderName>>,
    /// Whether cookies and credentials are allowed; never together with `"*"`.
    #[schemars(extend("default" = false))]
    pub(in crate::config) credentials: Option<Spanned<bool>>,
    /// How long browsers may keep the answer to a preflight.
    pub(in crate::config) max_age: Option<Spanned<DurationText>>,
}

/// Deadlines that replace the upstream's.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RouteTimeouts {
    /// From the request's start to the head of the response.
    pub(in crate::config) first_byte: Option<Spanned<DurationText>>,
    /// The whole exchange, body included.
    pub(in crate::config) request: Option<Spanned<OffOrDuration>>,
}

/// Bounds that replace the listener's.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RouteLimits {
    /// Bytes of a request's body; more gets 413.
    pub(in crate::config) body_bytes: Option<Spanned<SizeText>>,
}
