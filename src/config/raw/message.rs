//! What becomes of messages on their way, as it is written: compression, split, mirror.

use super::scalar::Either;
use super::{Count, DurationText, HashPart, HostText, Rate, SizeText, ValueMatch};
use crate::config::decode::{Entries, Spanned};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Which answers are compressed on their way to the client. Never gRPC, event streams, ranges,
/// and what is encoded already or says `no-transform`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Compression {
    /// What is offered; of what a client likes equally, the first is taken.
    #[schemars(extend("default" = ["zstd", "gzip"]))]
    #[schemars(length(min = 1))]
    pub(in crate::config) algorithms: Option<Vec<Spanned<Algorithm>>>,
    /// Media types, such as `text/html`, or `text/*` for all of a kind. Without it the usual texts:
    /// `text/*`, JSON, XML, JavaScript, SVG, WebAssembly and their like.
    #[schemars(length(min = 1))]
    pub(in crate::config) types: Option<Vec<Spanned<String>>>,
    /// A body that is known to be smaller stays as it is.
    #[schemars(extend("default" = "1KiB"))]
    pub(in crate::config) min_bytes: Option<Spanned<SizeText>>,
    /// How much work goes into each byte.
    #[schemars(extend("default" = "balanced"))]
    pub(in crate::config) level: Option<Level>,
    /// Answers compressed at once, which bounds the memory of it: up to 1.25 MiB each. One more goes
    /// as it is.
    #[schemars(extend("default" = 500))]
    pub(in crate::config) streams: Option<Spanned<Count>>,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(title = "algorithm")]
pub(in crate::config) enum Algorithm {
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

/// How much work goes into each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(title = "level")]
pub(in crate::config) enum Level {
    /// As little as it takes.
    Fast,
    /// What each algorithm thinks right.
    Balanced,
    /// Slow, and a little smaller.
    Best,
}

/// `off`, or what differs from the file's compression.
#[derive(Debug)]
pub(in crate::config) enum RouteCompression {
    Off,
    Rules(Compression),
}

impl<'de> Deserialize<'de> for RouteCompression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            // The schema lets no other word through.
            Either::Text(_) => Self::Off,
            Either::Fields(rules) => Self::Rules(rules),
        })
    }
}

impl JsonSchema for RouteCompression {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("RouteCompression")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rules = generator.subschema_for::<Compression>();
        json_schema!({
            "anyOf": [{"type": "string", "enum": ["off"]}, rules],
            "title": "compression or `off`",
            "description": "`off`, or what differs from the file's `compression`.",
        })
    }
}

/// Several upstreams for one route: by a header, else by chance in the ratio of weights. Spans
/// carry the branch as a feature flag.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["flag", "branches"]))]
pub(in crate::config) struct Split {
    /// The feature flag that the branches are variants of.
    pub(in crate::config) flag: Option<Spanned<String>>,
    /// What keeps a caller or a trace on its branch: `trace`, `address`, `{header: NAME}` or
    /// `{cookie: NAME}`. Without it, and for requests that lack it, each request is drawn anew.
    pub(in crate::config) sticky: Option<Spanned<Sticky>>,
    /// The branches. At least one has a weight.
    #[schemars(length(min = 1))]
    pub(in crate::config) branches: Vec<Spanned<Branch>>,
}

/// One branch of a split.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["variant", "upstream"]))]
pub(in crate::config) struct Branch {
    /// The flag's variant, a name of its own.
    pub(in crate::config) variant: Option<Spanned<String>>,
    /// The upstream that gets its requests.
    pub(in crate::config) upstream: Option<Spanned<String>>,
    /// Its part of the sum of weights. Without it 1, or 0 for a branch with `headers`.
    pub(in crate::config) weight: Option<Spanned<Weight>>,
    /// Requests whose headers fit take this branch, whatever the weights: a value,
    /// `{regex: ...}` or `{present: true}`. Of several such branches the first.
    pub(in crate::config) headers: Entries<Spanned<ValueMatch>>,
}

/// A part of a sum.
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
        json_schema!({"type": "integer", "title": "weight", "minimum": 0, "maximum": 1_000_000})
    }
}

/// `trace`, `address`, `{header: NAME}` or `{cookie: NAME}`.
#[derive(Debug)]
pub(in crate::config) enum Sticky {
    Word(String),
    Key(HashPart),
}

impl<'de> Deserialize<'de> for Sticky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(word) => Self::Word(word),
            Either::Fields(key) => Self::Key(key),
        })
    }
}

impl JsonSchema for Sticky {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Sticky")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let key = generator.subschema_for::<HashPart>();
        json_schema!({
            "anyOf": [{"type": "string", "enum": ["trace", "address"]}, key],
            "title": "tie",
            "description": "What keeps a caller or a trace on its branch.",
        })
    }
}

/// Copies of requests for a shadow upstream, whose answers nobody gets. Upgrades are not copied.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["upstream"]))]
pub(in crate::config) struct Mirror {
    /// The upstream that gets the copies.
    pub(in crate::config) upstream: Option<Spanned<String>>,
    /// Share of requests that are copied.
    #[schemars(extend("default" = 1.0))]
    pub(in crate::config) share: Option<Rate>,
    /// Largest body that is copied; a request with a larger one is not.
    #[schemars(extend("default" = "64KiB"))]
    pub(in crate::config) body_bytes: Option<Spanned<SizeText>>,
    /// Copies in flight; one more is left out.
    #[schemars(extend("default" = 100))]
    pub(in crate::config) requests: Option<Spanned<Count>>,
    /// How long a copy may take once it is sent.
    #[schemars(extend("default" = "15s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// What the shadow sees as host: `keep` what the client asked for, `shadow` for that with
    /// `-shadow` behind the name, `endpoint`, or this.
    #[schemars(extend("default" = "keep", "examples" = ["shadow"]))]
    pub(in crate::config) host: Option<Spanned<HostText>>,
}
