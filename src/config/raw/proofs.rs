//! Proofs that need no other program, as they are written.

use super::{FileText, HeaderName, NameText, OffOrDuration, OneOrMany};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// API keys. The file holds digests only, never a key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["file"]))]
pub(in crate::config) struct ApiKey {
    /// Who has which key: lines `NAME:SHA256` or `NAME:SHA256:SCOPE,SCOPE`, where `SHA256` is what
    /// `printf %s "$KEY" | sha256sum` prints; or, in a file named `*.yaml` or `*.yml`, a list of
    /// `{name, sha256, scopes}`. Up to 100000 keys. A name may have several.
    pub(in crate::config) file: Option<Spanned<FileText>>,
    /// The header that carries the key; `off` for none.
    #[schemars(extend("default" = "x-api-key"))]
    pub(in crate::config) header: Option<Spanned<HeaderName>>,
    /// The query parameter that may carry it. Its value is hidden in spans and logs. Without it
    /// none does.
    pub(in crate::config) query: Option<Spanned<String>>,
    /// The cookie that may carry it. Without it none does.
    pub(in crate::config) cookie: Option<Spanned<String>>,
    /// What a key has to be good for: all of these.
    pub(in crate::config) scopes: OneOrMany<Spanned<String>>,
    /// Whether the upstream gets the key, too. Otherwise it is taken out of the request.
    #[schemars(extend("default" = false))]
    pub(in crate::config) forward: Option<Spanned<bool>>,
}

/// Names and passwords (HTTP Basic).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["file"]))]
pub(in crate::config) struct Basic {
    /// Who has which password: lines `USER:HASH` or `USER:HASH:GROUP,GROUP`, as
    /// `htpasswd -B -C 12` writes them. Hashes are bcrypt or argon2id. Up to 100000 users.
    pub(in crate::config) file: Option<Spanned<FileText>>,
    /// What a browser says one logs in to. Without it the policy's name.
    pub(in crate::config) realm: Option<Spanned<String>>,
    /// How long a right password is remembered, because to check one takes long on purpose; `off`
    /// checks at every request.
    #[schemars(extend("default" = "1m"))]
    pub(in crate::config) remember: Option<Spanned<OffOrDuration>>,
    /// Whether the upstream gets the password, too. Otherwise `Authorization` is taken out of the
    /// request.
    #[schemars(extend("default" = false))]
    pub(in crate::config) forward: Option<Spanned<bool>>,
}

/// Clients by their certificates, which a listener has to ask for (`tls: {client: ...}`). At least
/// one of the two; with both, both have to fit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ClientCert {
    /// Names of which the certificate bears one as an alternative name: a URI, `spiffe://host/path/*`
    /// for all below, a host, `*.host` for one label, an e-mail address. The common name is none.
    pub(in crate::config) san: Vec<Spanned<NameText>>,
    /// SHA-256 of certificates, in hex, with or without colons.
    pub(in crate::config) sha256: OneOrMany<Spanned<String>>,
}
