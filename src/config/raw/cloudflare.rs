//! Listeners behind Cloudflare, as they are written.

use super::NetworkText;
use super::scalar::Either;
use crate::config::decode::Spanned;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// `edge`, `tunnel` or `{from: [NETWORK]}`.
#[derive(Debug)]
pub(in crate::config) enum Cloudflare {
    Word(String),
    From(CloudflareFrom),
}

/// Networks of one's own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["from"]))]
pub(in crate::config) struct CloudflareFrom {
    /// Networks that Cloudflare's requests come from.
    #[schemars(length(min = 1))]
    pub(in crate::config) from: Vec<Spanned<NetworkText>>,
}

impl<'de> Deserialize<'de> for Cloudflare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(word) => Self::Word(word),
            Either::Fields(from) => Self::From(from),
        })
    }
}

impl JsonSchema for Cloudflare {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Cloudflare")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let from = generator.subschema_for::<CloudflareFrom>();
        json_schema!({
            "anyOf": [{"type": "string", "enum": ["edge", "tunnel"]}, from],
            "title": "`edge`, `tunnel` or networks",
            "description": "Where Cloudflare's requests come from.",
        })
    }
}
