//! How an upstream finds and chooses its endpoints, as it is written.

use super::scalar::Either;
use super::{DurationText, EndpointText, HeaderName};
use crate::config::decode::Spanned;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::Deserializer;
use std::borrow::Cow;

/// One endpoint with what balancing knows of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url"]))]
pub(in crate::config) struct WeighedEndpoint {
    /// Where it is.
    pub(in crate::config) url: Option<Spanned<EndpointText>>,
    /// How many requests it gets compared with others. Each address of a name has this weight;
    /// the weights of SRV records are multiplied by it.
    #[schemars(extend("default" = 1))]
    pub(in crate::config) weight: Option<Weight>,
    /// The zone that it is in.
    pub(in crate::config) zone: Option<Spanned<String>>,
}

/// An endpoint: its URL alone, or with what balancing knows of it.
#[derive(Clone, Debug)]
pub(in crate::config) enum EndpointEntry {
    Url(String),
    Weighed(WeighedEndpoint),
}

impl Default for EndpointEntry {
    fn default() -> Self {
        Self::Url(String::new())
    }
}

impl<'de> Deserialize<'de> for EndpointEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::Url(text),
            Either::Fields(fields) => Self::Weighed(fields),
        })
    }
}

impl JsonSchema for EndpointEntry {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Endpoint")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let weighed = generator.subschema_for::<WeighedEndpoint>();
        json_schema!({
            "anyOf": [{"type": "string"}, weighed],
            "title": "endpoint",
            "description": "A URL, or a URL with weight and zone.",
            "examples": ["http://127.0.0.1:3000"],
        })
    }
}

/// A weight.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Weight(pub(in crate::config) u32);

impl JsonSchema for Weight {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Weight")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "title": "weight", "minimum": 1, "maximum": 1_000})
    }
}

/// Balancing that needs a key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["hash"]))]
pub(in crate::config) struct HashBalance {
    /// What the key of a request is: requests with the same key go to the same endpoint.
    pub(in crate::config) hash: Option<Spanned<HashKey>>,
}

/// How endpoints are chosen.
#[derive(Clone, Debug)]
pub(in crate::config) enum Balance {
    Word(String),
    Hash(HashBalance),
}

impl<'de> Deserialize<'de> for Balance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::Word(text),
            Either::Fields(fields) => Self::Hash(fields),
        })
    }
}

impl JsonSchema for Balance {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Balance")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let hash = generator.subschema_for::<HashBalance>();
        json_schema!({
            "anyOf": [
                {"type": "string", "title": "balancing", "enum": ["round_robin", "least_request"],
                 "x-plural": "words"},
                hash,
            ],
            "title": "balancing",
            "description": "`round_robin`, `least_request`, or `{hash: ...}`.",
        })
    }
}

/// A request's key: the word `address`, a header, or a cookie.
#[derive(Clone, Debug)]
pub(in crate::config) enum HashKey {
    Address,
    Part(HashPart),
}

impl Default for HashKey {
    fn default() -> Self {
        Self::Part(HashPart::default())
    }
}

impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            // The schema allows one word.
            Either::Text(_) => Self::Address,
            Either::Fields(fields) => Self::Part(fields),
        })
    }
}

impl JsonSchema for HashKey {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("HashKey")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let part = generator.subschema_for::<HashPart>();
        json_schema!({
            "anyOf": [{"type": "string", "title": "hash key", "enum": ["address"]}, part],
            "title": "hash key",
            "description": "`address` (the client's), `{header: NAME}` or `{cookie: NAME}`.",
        })
    }
}

/// The part of a request that is its key. Exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HashPart {
    /// A request header's first value.
    pub(in crate::config) header: Option<Spanned<HeaderName>>,
    /// A cookie's value. edgespan sets no cookie: the service does.
    pub(in crate::config) cookie: Option<Spanned<String>>,
}

/// How names are resolved.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Dns {
    /// Shortest time between two questions for one name, whatever its TTL.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) refresh_min: Option<Spanned<DurationText>>,
    /// Longest time between two questions for one name, whatever its TTL.
    #[schemars(extend("default" = "5m"))]
    pub(in crate::config) refresh_max: Option<Spanned<DurationText>>,
    /// Name servers, `IP` or `IP:PORT`. Without it those of `/etc/resolv.conf`.
    pub(in crate::config) servers: Vec<Spanned<ServerText>>,
    /// Which addresses are used.
    #[schemars(extend("default" = "auto"))]
    pub(in crate::config) families: Option<Families>,
    /// How long one name server may take before it is asked again, or another one. Without it
    /// what `/etc/resolv.conf` says, usually 5s.
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
}

/// A name server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct ServerText(pub(in crate::config) String);

impl JsonSchema for ServerText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ServerText")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "title": "name server", "examples": ["10.0.0.53"]})
    }
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "address families", extend("x-plural" = "words"))]
pub(in crate::config) enum Families {
    /// IPv4 where there is any, else IPv6; a name with one address of each is one endpoint that
    /// is reached by whichever works.
    #[default]
    Auto,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Every address is an endpoint of its own.
    All,
}
