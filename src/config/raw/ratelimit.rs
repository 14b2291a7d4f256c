//! Rate limits and overload as they are written.

use super::scalar::Either;
use super::{
    Certificate, Count, DurationText, FileText, HeaderName, RedisText, RequestRateText, SecretText,
    SizeOrOff,
};
use crate::config::decode::Spanned;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// How often clients may ask. Routes and listeners name the limits that hold for them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["rate"]))]
pub(in crate::config) struct RateLimit {
    /// Requests in the long run, by `/s`, `/m`, `/h` or `/d`.
    pub(in crate::config) rate: Option<Spanned<RequestRateText>>,
    /// Requests that may come at once after a rest. Without it as many as the rate's number.
    pub(in crate::config) burst: Option<Spanned<Count>>,
    /// Whose requests share a bucket: a list of `address`, `identity`, `api_key`, `route`,
    /// `listener`, `{header: NAME}` and `{cookie: NAME}`, all of which count; or `[]` for
    /// everybody's together. Without it `[address]`. A limit by `identity` or `api_key` is asked
    /// after `auth`, all others before.
    pub(in crate::config) key: Option<Vec<Spanned<RateLimitKey>>>,
    /// Requests without a header, cookie or identity of the key: `share` one bucket, or `pass`.
    #[schemars(extend("default" = "share"))]
    pub(in crate::config) missing: Option<Spanned<MissingKey>>,
    /// Leading bits of an IPv6 address that are one client.
    #[schemars(range(min = 1, max = 128), extend("default" = 64))]
    pub(in crate::config) ipv6_prefix: Option<Spanned<u8>>,
    /// Where buckets are kept: in each process (`local`), or shared in `redis`.
    #[schemars(extend("default" = "local"))]
    pub(in crate::config) store: Option<Spanned<LimitStore>>,
    /// What becomes of requests while Redis cannot be asked: they pass (`open`), they are refused
    /// with 503 (`closed`), or each process limits by itself (`local`).
    #[schemars(extend("default" = "open"))]
    pub(in crate::config) on_failure: Option<Spanned<OnStoreFailure>>,
    /// Keys that a process remembers, at least. A key too many takes the place of one that is
    /// nearest to rest.
    #[schemars(extend("default" = 65_536))]
    pub(in crate::config) keys: Option<Spanned<Count>>,
    /// `false` lets everything pass and only records what would have been refused.
    #[schemars(extend("default" = true))]
    pub(in crate::config) enforce: Option<Spanned<bool>>,
    /// Whether CORS preflights are counted.
    #[schemars(extend("default" = true))]
    pub(in crate::config) preflights: Option<Spanned<bool>>,
    /// What answers tell: `RateLimit` and `RateLimit-Policy` (`draft`), `RateLimit-Limit`,
    /// `-Remaining` and `-Reset` (`separate`), `both`, or nothing (`off`). `Retry-After` always
    /// comes with a refusal.
    #[schemars(extend("default" = "draft"))]
    pub(in crate::config) headers: Option<Spanned<LimitHeaders>>,
}

/// A part of a key: a word, `{header: NAME}` or `{cookie: NAME}`.
#[derive(Clone, Debug)]
pub(in crate::config) enum RateLimitKey {
    Word(String),
    Value(RateLimitKeyValue),
}

/// A part of a key that the client sends. Exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RateLimitKeyValue {
    /// All values of this header.
    pub(in crate::config) header: Option<Spanned<HeaderName>>,
    /// The first cookie of this name.
    pub(in crate::config) cookie: Option<Spanned<String>>,
}

impl<'de> Deserialize<'de> for RateLimitKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::Word(text),
            Either::Fields(value) => Self::Value(value),
        })
    }
}

impl JsonSchema for RateLimitKey {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("RateLimitKey")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<RateLimitKeyValue>();
        json_schema!({
            "anyOf": [{"type": "string", "enum": ["address", "identity", "api_key", "route", "listener"]}, value],
            "title": "part of a key",
            "description": "`address`, `identity`, `api_key`, `route`, `listener`, or what the client sends.",
        })
    }
}

/// What becomes of a request that lacks a part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way with missing keys")]
pub(in crate::config) enum MissingKey {
    /// All of them share one bucket.
    Share,
    /// The limit does not apply.
    Pass,
}

/// Where buckets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "store")]
pub(in crate::config) enum LimitStore {
    /// In each process.
    Local,
    /// In the file's `redis`.
    Redis,
}

/// What becomes of requests while Redis cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way to fail", extend("x-plural" = "ways"))]
pub(in crate::config) enum OnStoreFailure {
    /// They pass.
    Open,
    /// They are refused.
    Closed,
    /// Each process limits by itself.
    Local,
}

/// What answers tell of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "kind of headers")]
pub(in crate::config) enum LimitHeaders {
    /// Structured fields.
    Draft,
    /// Three fields.
    Separate,
    /// All of them.
    Both,
    /// Nothing.
    Off,
}

/// The Redis that replicas share their limits in (version 5 or newer).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url"]))]
pub(in crate::config) struct Redis {
    /// `redis://host:6379`, or `rediss://host:6379` with TLS; `/1` at the end is a database.
    pub(in crate::config) url: Option<Spanned<RedisText>>,
    /// User of Redis' access control lists.
    pub(in crate::config) username: Option<Spanned<String>>,
    /// Password.
    pub(in crate::config) password: Option<Spanned<SecretText>>,
    /// TLS towards `rediss`.
    pub(in crate::config) tls: Option<Spanned<RedisTls>>,
    /// Longest wait of a request.
    #[schemars(extend("default" = "50ms"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// What keys begin with. The braces keep all keys of a request in one slot of a cluster.
    #[schemars(extend("default" = "{edgespan}:"))]
    pub(in crate::config) prefix: Option<Spanned<String>>,
}

/// TLS towards Redis.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RedisTls {
    /// PEM file of the authority to trust instead of the machine's.
    pub(in crate::config) ca: Option<Spanned<FileText>>,
    /// The certificate that edgespan shows.
    pub(in crate::config) certificate: Option<Certificate>,
}

/// What happens when there is more than can be served.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Overload {
    /// Resident memory above which new requests get 503, until it is a twentieth below again.
    /// Without it nine tenths of the control group's limit, if there is one.
    pub(in crate::config) memory: Option<Spanned<SizeOrOff>>,
}
