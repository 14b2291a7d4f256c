//! Logins at an OpenID Provider, as they are written.

use super::provider::{ClientAudience, ClientAuth, Endpoints, Jwks, ProviderTls, Require};
use super::scalar::{OneOrMany, SecretSource};
use super::{DurationText, HeaderName, SecretText};
use crate::config::decode::{Entries, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// Browsers by a login at an OpenID Provider. What all logins share stands in `login`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["issuer", "client_id"]))]
pub(in crate::config) struct Oidc {
    /// The provider, such as `https://id.example.com`. Everything else is found there (OpenID
    /// Connect Discovery 1.0).
    pub(in crate::config) issuer: Option<Spanned<String>>,
    /// Who edgespan is there.
    pub(in crate::config) client_id: Option<Spanned<String>>,
    /// Its secret.
    pub(in crate::config) client_secret: Option<Spanned<SecretText>>,
    /// Its private key for `private_key_jwt`: PEM of PKCS#8 with P-256, Ed25519 or RSA, or PKCS#1.
    pub(in crate::config) client_key: Option<Spanned<SecretSource>>,
    /// Whom a token signed by `client_key` is for.
    #[schemars(extend("default" = "issuer"))]
    pub(in crate::config) client_audience: Option<Spanned<ClientAudience>>,
    /// How it proves who it is. Without it by what is there: a key, a secret (`basic`), nothing.
    pub(in crate::config) client_auth: Option<Spanned<ClientAuth>>,
    /// What its button says, where one of several may be chosen. Without it the policy's name.
    pub(in crate::config) label: Option<Spanned<String>>,
    /// What is asked for; `openid` is, in any case.
    #[schemars(extend("default" = ["openid", "profile", "email"]))]
    pub(in crate::config) scopes: Vec<Spanned<String>>,
    /// By which algorithms ID tokens may be signed. Without it each that fits the kind of the key.
    pub(in crate::config) algorithms: Vec<Spanned<String>>,
    /// `acr_values` of every login.
    pub(in crate::config) acr_values: Vec<Spanned<String>>,
    /// `prompt` of every login, such as `select_account`.
    pub(in crate::config) prompt: Option<Spanned<String>>,
    /// How long ago the provider may have seen the person last (`max_age`).
    pub(in crate::config) login_age_max: Option<Spanned<DurationText>>,
    /// Further parameters of a login, such as `hd: example.com`.
    pub(in crate::config) parameters: Entries<Spanned<String>>,
    /// Whether the request is left at the provider beforehand (RFC 9126): `auto` where it can be,
    /// `always`, `never`.
    #[schemars(extend("default" = "auto"))]
    pub(in crate::config) pushed: Option<Spanned<Pushed>>,
    /// Whether the provider's userinfo is asked at a login and added to the claims.
    #[schemars(extend("default" = false))]
    pub(in crate::config) userinfo: Option<Spanned<bool>>,
    /// The claim that names the client: a dotted path.
    #[schemars(extend("default" = "sub"))]
    pub(in crate::config) subject: Option<Spanned<String>>,
    /// Claims that hold its groups: dotted paths.
    #[schemars(extend("default" = ["groups"]))]
    pub(in crate::config) groups: OneOrMany<Spanned<String>>,
    /// What else has to hold of whoever logged in.
    pub(in crate::config) require: Option<Spanned<Require>>,
    /// How far clocks may be apart, up to 5 minutes.
    #[schemars(extend("default" = "30s"))]
    pub(in crate::config) leeway: Option<Spanned<DurationText>>,
    /// When tokens are renewed, if the provider gives a refresh token.
    pub(in crate::config) refresh: Option<Spanned<Refresh>>,
    /// Which tokens the origin gets.
    pub(in crate::config) pass: Option<Spanned<Pass>>,
    /// How a logout goes.
    pub(in crate::config) logout: Option<Spanned<Logout>>,
    /// Where the provider leads back to: `shared`, one address for all policies, or `own`, one of
    /// its own, `/oauth2/callback/NAME`. Beside other providers `own` keeps one from claiming the
    /// answer of another, also where they do not name themselves (RFC 9207).
    #[schemars(extend("default" = "shared"))]
    pub(in crate::config) callback: Option<Spanned<Callback>>,
    /// Addresses in place of those that the provider tells.
    pub(in crate::config) endpoints: Option<Endpoints>,
    /// Where its keys are, if not where it tells.
    pub(in crate::config) jwks: Option<Spanned<Jwks>>,
    /// TLS towards it.
    pub(in crate::config) tls: Option<ProviderTls>,
    /// How long one call to it may take.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) timeout: Option<Spanned<DurationText>>,
}

/// Whether a request for authorization is left at the provider beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "`auto`, `always` or `never`")]
pub(in crate::config) enum Pushed {
    /// Where the provider offers it.
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// Where a provider leads back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "`shared` or `own`")]
pub(in crate::config) enum Callback {
    /// Where all of them do.
    Shared,
    /// An address of its own.
    Own,
}

/// When tokens are renewed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Refresh {
    /// How long before the access token's end.
    #[schemars(extend("default" = "60s"))]
    pub(in crate::config) before: Option<Spanned<DurationText>>,
    /// What becomes of a session while the provider is away.
    #[schemars(extend("default" = "keep_until_expiry"))]
    pub(in crate::config) on_failure: Option<Spanned<OnRefreshFailure>>,
}

/// What becomes of a session whose tokens cannot be renewed because the provider is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "way to go on", extend("x-plural" = "ways"))]
pub(in crate::config) enum OnRefreshFailure {
    /// It goes on until its access token has expired.
    KeepUntilExpiry,
    /// It ends.
    LogOut,
}

/// Which tokens of a session the origin gets: in `authorization` (as `Bearer`) or in a header that
/// holds nothing else. What a client says there itself is removed first.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Pass {
    /// Where the access token goes.
    pub(in crate::config) access_token: Option<Spanned<HeaderName>>,
    /// Where the ID token goes.
    pub(in crate::config) id_token: Option<Spanned<HeaderName>>,
}

/// How a logout goes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Logout {
    /// Whether the provider's own session ends, too, if it offers that.
    #[schemars(extend("default" = true))]
    pub(in crate::config) at_provider: Option<Spanned<bool>>,
    /// Whether tokens are given back, if it offers that.
    #[schemars(extend("default" = true))]
    pub(in crate::config) revoke: Option<Spanned<bool>>,
}
