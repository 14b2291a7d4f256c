//! Who may pass, as it is written.

use super::scalar::Either;
use super::{ApiKey, Basic, ClientCert, Forward, Jwt, NetworkText, Oidc, PolicyUse};
use crate::config::decode::Spanned;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// A policy. Exactly one of `oidc`, `jwt`, `forward`, `api_key`, `basic`, `client_cert` and `ip`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Policy {
    /// Browsers by a login at an OpenID Provider.
    pub(in crate::config) oidc: Option<Spanned<Oidc>>,
    /// Clients by a token that an issuer signed.
    pub(in crate::config) jwt: Option<Spanned<Jwt>>,
    /// An external authorizer is asked.
    pub(in crate::config) forward: Option<Spanned<Forward>>,
    /// Clients by an API key.
    pub(in crate::config) api_key: Option<Spanned<ApiKey>>,
    /// Clients by name and password.
    pub(in crate::config) basic: Option<Spanned<Basic>>,
    /// Clients by their certificate.
    pub(in crate::config) client_cert: Option<Spanned<ClientCert>>,
    /// Clients of these networks, by their address.
    pub(in crate::config) ip: Option<Vec<Spanned<NetworkText>>>,
    /// `true` only decides and records, and never refuses.
    #[schemars(extend("default" = false))]
    pub(in crate::config) shadow: Option<Spanned<bool>>,
}

/// A policy's name, `{all: [...]}`, or `{policy: ...}` with what holds for it on this route.
#[derive(Clone, Debug)]
pub(in crate::config) enum PolicySet {
    One(String),
    Use(Box<PolicyUse>),
}

impl<'de> Deserialize<'de> for PolicySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(name) => Self::One(name),
            Either::Fields(written) => Self::Use(Box::new(written)),
        })
    }
}

impl JsonSchema for PolicySet {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("PolicySet")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let written = generator.subschema_for::<PolicyUse>();
        json_schema!({
            "anyOf": [{"type": "string"}, written],
            "title": "policy, or several together",
            "description": "A policy's name, `{all: [...]}`, or `{policy: NAME, ...}` with other settings.",
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
