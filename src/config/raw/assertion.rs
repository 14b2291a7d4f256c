//! Signed assertions, as they are written.

use super::scalar::SecretSource;
use super::{DurationText, HeaderName};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// Signed assertions of who a client is, for origins that verify them: a short-lived JWT in a
/// header of every request whose client a policy proved. Its keys are published at
/// `/.well-known/edgespan/jwks.json` on every listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["keys", "issuer"]))]
pub(in crate::config) struct Assertion {
    /// Private keys, PEM of PKCS#8, each P-256 (ES256) or Ed25519 (EdDSA), the same on all
    /// replicas. The first one signs, all of them are published: a new key is added at the end
    /// first, and signs once origins have had time to fetch it.
    #[schemars(length(min = 1, max = 16))]
    pub(in crate::config) keys: Vec<Spanned<SecretSource>>,
    /// `iss`, by which origins know whose assertion it is, such as `https://edge.example.com`.
    pub(in crate::config) issuer: Option<Spanned<String>>,
    /// `aud`, whom it is for. Without it the `service` of the upstream that the request goes to,
    /// or the route's name if it goes to none.
    pub(in crate::config) audience: Option<Spanned<String>>,
    /// How long one is valid, from 10 seconds to 10 minutes. It is given out for half of that.
    #[schemars(extend("default" = "60s"))]
    pub(in crate::config) ttl: Option<Spanned<DurationText>>,
    /// The header that carries it. What a client says there itself is removed.
    #[schemars(extend("default" = "x-edgespan-assertion"))]
    pub(in crate::config) header: Option<Spanned<HeaderName>>,
    /// Claims of the client's identity that are copied into it, by name. Subject, groups, proof
    /// and policy are in it anyway.
    pub(in crate::config) claims: Vec<Spanned<String>>,
}

/// Whether a route's requests carry the assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "`on` or `off`")]
pub(in crate::config) enum RouteAssertion {
    /// They do, if a policy proved who their client is.
    On,
    /// They do not.
    Off,
}
