//! Tokens that prove something, as they are written.

use super::provider::{Introspection, Jwks, ProviderTls, Require};
use super::scalar::{Either, OneOrMany};
use super::{Count, DurationText, HeaderName};
use crate::config::decode::Spanned;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Clients by a token that an issuer signed. One issuer stands here itself, several in `issuers`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Jwt {
    /// Who signs: `iss` of its tokens, such as `https://id.example.com`. Its keys are found there
    /// (OpenID Connect Discovery, RFC 8414) unless `jwks` says where they are.
    pub(in crate::config) issuer: Option<Spanned<String>>,
    /// Whom tokens are for: one of these has to be in `aud`.
    pub(in crate::config) audiences: OneOrMany<Spanned<String>>,
    /// Where its keys are.
    pub(in crate::config) jwks: Option<Spanned<Jwks>>,
    /// By which algorithms tokens may be signed. Without it each that fits the kind of the key.
    pub(in crate::config) algorithms: Vec<Spanned<String>>,
    /// How tokens that are no JWT are asked about.
    pub(in crate::config) introspection: Option<Spanned<Introspection>>,
    /// TLS towards it.
    pub(in crate::config) tls: Option<ProviderTls>,
    /// How long one call to it may take.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// How often its keys are fetched anew; a token with an unknown key asks for them at once.
    #[schemars(extend("default" = "1h"))]
    pub(in crate::config) refresh: Option<Spanned<DurationText>>,
    /// Several issuers, each with what stands above, which then stands with them alone.
    pub(in crate::config) issuers: Vec<Spanned<JwtIssuer>>,
    /// Where a request carries its token: `authorization`, `{header: NAME}`, `{cookie: NAME}`,
    /// `{query: NAME}`.
    #[schemars(extend("default" = ["authorization"]))]
    pub(in crate::config) from: Vec<Spanned<TokenPlace>>,
    /// `typ` that tokens have to have, such as `at+jwt`. Without it any but those of another kind of
    /// token, such as `logout+jwt`.
    pub(in crate::config) types: OneOrMany<Spanned<String>>,
    /// How far clocks may be apart, up to 5 minutes.
    #[schemars(extend("default" = "30s"))]
    pub(in crate::config) leeway: Option<Spanned<DurationText>>,
    /// How old a token may be by its `iat`. Without it as old as it is valid.
    pub(in crate::config) age_max: Option<Spanned<DurationText>>,
    /// How many verified tokens are remembered.
    #[schemars(extend("default" = 10_000))]
    pub(in crate::config) entries: Option<Spanned<Count>>,
    /// The claim that names the client: a dotted path.
    #[schemars(extend("default" = "sub"))]
    pub(in crate::config) subject: Option<Spanned<String>>,
    /// Claims that hold its groups: dotted paths, such as `realm_access.roles`.
    #[schemars(extend("default" = ["groups"]))]
    pub(in crate::config) groups: OneOrMany<Spanned<String>>,
    /// What else has to hold of a client.
    pub(in crate::config) require: Option<Spanned<Require>>,
    /// Whether the upstream gets the token, too.
    #[schemars(extend("default" = true))]
    pub(in crate::config) forward: Option<Spanned<bool>>,
}

// The same keys as the first of [`Jwt`], written out: serde flattens nothing into a structure that
// refuses unknown keys, and a mistyped key has to be refused.
/// One of several issuers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["issuer", "audiences"]))]
pub(in crate::config) struct JwtIssuer {
    /// Who signs: `iss` of its tokens.
    pub(in crate::config) issuer: Option<Spanned<String>>,
    /// Whom tokens are for: one of these has to be in `aud`.
    pub(in crate::config) audiences: OneOrMany<Spanned<String>>,
    /// Where its keys are.
    pub(in crate::config) jwks: Option<Spanned<Jwks>>,
    /// By which algorithms tokens may be signed.
    pub(in crate::config) algorithms: Vec<Spanned<String>>,
    /// How tokens that are no JWT are asked about.
    pub(in crate::config) introspection: Option<Spanned<Introspection>>,
    /// TLS towards it.
    pub(in crate::config) tls: Option<ProviderTls>,
    /// How long one call to it may take.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
    /// How often its keys are fetched anew.
    #[schemars(extend("default" = "1h"))]
    pub(in crate::config) refresh: Option<Spanned<DurationText>>,
}

/// Where a token is: a word, or what has a name.
#[derive(Clone, Debug)]
pub(in crate::config) enum TokenPlace {
    Word(String),
    Named(TokenPlaceNamed),
}

/// A place that has a name. Exactly one of the three.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct TokenPlaceNamed {
    /// A header that holds nothing else, such as `cf-access-jwt-assertion`.
    pub(in crate::config) header: Option<Spanned<HeaderName>>,
    /// A cookie.
    pub(in crate::config) cookie: Option<Spanned<String>>,
    /// A query parameter. It stands in logs of whoever is on the way.
    pub(in crate::config) query: Option<Spanned<String>>,
}

impl<'de> Deserialize<'de> for TokenPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(word) => Self::Word(word),
            Either::Fields(named) => Self::Named(named),
        })
    }
}

impl JsonSchema for TokenPlace {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("TokenPlace")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let named = generator.subschema_for::<TokenPlaceNamed>();
        json_schema!({
            "anyOf": [{"enum": ["authorization"]}, named],
            "title": "place of a token",
            "description": "`authorization`, `{header: NAME}`, `{cookie: NAME}` or `{query: NAME}`.",
        })
    }
}
