//! Who may pass, as it is written.

use super::scalar::Either;
use super::{DurationText, EndpointText, NetworkText, PathText};
use crate::config::decode::Spanned;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// A policy. Exactly one of `forward` and `ip`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Policy {
    /// An external authorizer is asked.
    pub(in crate::config) forward: Option<Spanned<Forward>>,
    /// Clients of these networks, by their address.
    pub(in crate::config) ip: Option<Vec<Spanned<NetworkText>>>,
    /// `true` only decides and records, and never refuses.
    #[schemars(extend("default" = false))]
    pub(in crate::config) shadow: Option<Spanned<bool>>,
}

/// An external authorizer. Exactly one of `url` and `upstream`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Forward {
    /// Where it is asked: `http://127.0.0.1:4180/auth`. Without a path `/`.
    pub(in crate::config) url: Option<Spanned<EndpointText>>,
    /// The upstream that it is, where it needs balancing, health checks or TLS settings.
    pub(in crate::config) upstream: Option<Spanned<String>>,
    /// Where it is asked, with `upstream`.
    #[schemars(extend("default" = "/"))]
    pub(in crate::config) path: Option<Spanned<PathText>>,
    /// How long a decision may take, further attempts included.
    #[schemars(extend("default" = "300ms"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
}

/// Policies of which all have to allow: a name, or `{all: [...]}`.
#[derive(Clone, Debug)]
pub(in crate::config) enum PolicySet {
    One(String),
    All(AllOf),
}

/// Policies of which all have to allow.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["all"]))]
pub(in crate::config) struct AllOf {
    /// Their names.
    #[schemars(length(min = 1))]
    pub(in crate::config) all: Vec<Spanned<String>>,
}

impl<'de> Deserialize<'de> for PolicySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(name) => Self::One(name),
            Either::Fields(all) => Self::All(all),
        })
    }
}

impl JsonSchema for PolicySet {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("PolicySet")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let all = generator.subschema_for::<AllOf>();
        json_schema!({
            "anyOf": [{"type": "string"}, all],
            "title": "policy, or several together",
            "description": "A policy's name, or `{all: [...]}`.",
        })
    }
}

/// What becomes of CORS preflights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way with preflights")]
pub(in crate::config) enum Preflights {
    /// They are asked about like other requests.
    Check,
    /// They pass.
    Pass,
}
