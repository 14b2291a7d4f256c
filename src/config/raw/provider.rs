//! Whoever issues tokens, as it is written.

use super::tls::Certificate;
use super::{DurationText, FileText, SecretText};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where an issuer's keys are. Exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Jwks {
    /// The address of a JSON Web Key Set.
    pub(in crate::config) url: Option<Spanned<String>>,
    /// A file that is one; it is read anew when it changes.
    pub(in crate::config) file: Option<Spanned<FileText>>,
}

/// Addresses that are used in place of those that a provider tells of itself. With all that are
/// needed, and `jwks`, nothing is asked of it at the start.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Endpoints {
    /// Where a browser logs in.
    pub(in crate::config) authorization: Option<Spanned<String>>,
    /// Where a code becomes tokens.
    pub(in crate::config) token: Option<Spanned<String>>,
    /// What the provider knows of who logged in.
    pub(in crate::config) userinfo: Option<Spanned<String>>,
    /// Where a logout goes.
    pub(in crate::config) end_session: Option<Spanned<String>>,
    /// Whether a token is valid (RFC 7662).
    pub(in crate::config) introspection: Option<Spanned<String>>,
    /// Where tokens are given back (RFC 7009).
    pub(in crate::config) revocation: Option<Spanned<String>>,
    /// Where a request for authorization is left beforehand (RFC 9126).
    pub(in crate::config) pushed_authorization: Option<Spanned<String>>,
}

/// TLS towards a provider.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ProviderTls {
    /// PEM file of the authority to trust instead of the machine's.
    pub(in crate::config) ca: Option<Spanned<FileText>>,
    /// The certificate that edgespan shows.
    pub(in crate::config) certificate: Option<Certificate>,
}

/// How edgespan proves to a provider who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way of a client to prove itself", extend("x-plural" = "ways"))]
pub(in crate::config) enum ClientAuth {
    /// The secret in `Authorization`.
    Basic,
    /// The secret in the body.
    Post,
    /// A token that `client_key` signs (RFC 7523).
    PrivateKeyJwt,
    /// Not at all: a public client.
    None,
}

/// Whom a token is for by which a client proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "`issuer` or `token_endpoint`")]
pub(in crate::config) enum ClientAudience {
    /// The issuer.
    Issuer,
    /// The token endpoint, for a provider that takes nothing else.
    TokenEndpoint,
}

/// What a client has to be beside being known. Everything that stands here has to hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Require {
    /// Scopes of its token: all of them.
    #[schemars(length(min = 1))]
    pub(in crate::config) scopes: Vec<Spanned<String>>,
    /// Groups: one of them.
    #[schemars(length(min = 1))]
    pub(in crate::config) groups: Vec<Spanned<String>>,
    /// E-mail addresses and `@domain.example`s: one of them. Only an address counts that its
    /// provider calls verified (`email_verified`).
    #[schemars(length(min = 1))]
    pub(in crate::config) emails: Vec<Spanned<String>>,
    /// How it logged in, by `acr`: one of them. A browser is asked to log in so (step-up).
    #[schemars(length(min = 1))]
    pub(in crate::config) acr: Vec<Spanned<String>>,
    /// How it logged in, by `amr`: all of them.
    #[schemars(length(min = 1))]
    pub(in crate::config) amr: Vec<Spanned<String>>,
}

/// What opaque tokens are asked about (RFC 7662).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["client_id"]))]
pub(in crate::config) struct Introspection {
    /// Where, if the issuer does not tell itself.
    pub(in crate::config) url: Option<Spanned<String>>,
    /// Who asks.
    pub(in crate::config) client_id: Option<Spanned<String>>,
    /// The secret of who asks.
    pub(in crate::config) client_secret: Option<Spanned<SecretText>>,
    /// How it is proved who asks.
    #[schemars(extend("default" = "basic"))]
    pub(in crate::config) client_auth: Option<Spanned<ClientAuth>>,
    /// How long an answer counts at most; never longer than it says itself.
    #[schemars(extend("default" = "60s"))]
    pub(in crate::config) ttl: Option<Spanned<DurationText>>,
    /// How long a refusal counts.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) negative_ttl: Option<Spanned<DurationText>>,
    /// Which tokens are asked about: those that are no JWT (`opaque`), or JWTs as well once they
    /// are verified (`all`), so that one that was revoked is refused.
    #[schemars(extend("default" = "opaque"))]
    pub(in crate::config) tokens: Option<Spanned<AskedTokens>>,
    /// Whether an answer has to say whom the token is for (`required`), or is only held to it
    /// (`if_told`).
    #[schemars(extend("default" = "required"))]
    pub(in crate::config) audience: Option<Spanned<ToldAudience>>,
}

/// Which tokens are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "kind of tokens")]
pub(in crate::config) enum AskedTokens {
    /// Those that are no JWT.
    Opaque,
    /// JWTs, too.
    All,
}

/// Whether an answer has to say whom a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way with audiences")]
pub(in crate::config) enum ToldAudience {
    /// It has to.
    Required,
    /// It may.
    IfTold,
}
