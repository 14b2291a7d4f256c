//! What is remembered of decisions, as it is written.

use super::scalar::Either;
use super::{Count, DurationText, HeaderName, OffOrDuration};
use crate::config::decode::Spanned;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// What is remembered of an authorizer's decisions. `Cache-Control` and `Vary` of its answers are
/// obeyed: they shorten what stands here, and never prolong it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct AuthCache {
    /// How long a permission is.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) ttl: Option<Spanned<DurationText>>,
    /// How long a refusal is; `off` for not at all. Failures never are.
    #[schemars(extend("default" = "1s"))]
    pub(in crate::config) negative_ttl: Option<Spanned<OffOrDuration>>,
    /// What makes two requests the same question, beside the route: a list of `method`, `host`,
    /// `path`, `query`, `address`, `{header: NAME}` and `{cookie: NAME}`. Without it everything
    /// that the authorizer is told.
    #[schemars(length(min = 1))]
    pub(in crate::config) key: Option<Vec<Spanned<AuthCacheKey>>>,
    /// How many are remembered. At the bound one that nobody asked for lately is forgotten.
    #[schemars(extend("default" = 10_000))]
    pub(in crate::config) entries: Option<Spanned<Count>>,
}

/// A part of a key: a word, `{header: NAME}` or `{cookie: NAME}`.
#[derive(Clone, Debug)]
pub(in crate::config) enum AuthCacheKey {
    Word(String),
    Value(AuthCacheKeyValue),
}

/// A part of a key that has a name. Exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct AuthCacheKeyValue {
    /// Every value of a header.
    pub(in crate::config) header: Option<Spanned<HeaderName>>,
    /// Every value of a cookie.
    pub(in crate::config) cookie: Option<Spanned<String>>,
}

impl<'de> Deserialize<'de> for AuthCacheKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(word) => Self::Word(word),
            Either::Fields(value) => Self::Value(value),
        })
    }
}

impl JsonSchema for AuthCacheKey {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("AuthCacheKey")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<AuthCacheKeyValue>();
        json_schema!({
            "anyOf": [{"enum": ["method", "host", "path", "query", "address"]}, value],
            "title": "part of a key",
            "description": "`method`, `host`, `path`, `query`, `address`, `{header: NAME}` or `{cookie: NAME}`.",
        })
    }
}
