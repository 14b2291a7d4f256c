//! What a provider says of itself.

use super::ProviderError;
use url::Url;

/// The members of a provider's metadata that are used. Addresses that the file gives win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `issuer`: exactly what the file says.
    pub issuer: String,
    /// Where a browser logs in.
    pub authorization: Option<Url>,
    /// Where a code becomes tokens.
    pub token: Option<Url>,
    /// Its keys.
    pub jwks: Option<Url>,
    /// What it knows of who logged in.
    pub userinfo: Option<Url>,
    /// Where a logout goes (RP-Initiated Logout 1.0).
    pub end_session: Option<Url>,
    /// Whether a token is valid (RFC 7662).
    pub introspection: Option<Url>,
    /// Where tokens are given back (RFC 7009).
    pub revocation: Option<Url>,
    /// Where a request for authorization is left beforehand (RFC 9126).
    pub pushed_authorization: Option<Url>,
    /// Whether it takes no request that was not left there before.
    pub requires_pushed: bool,
    /// Whether its answers name it: `authorization_response_iss_parameter_supported` (RFC 9207).
    pub names_itself: bool,
    /// `token_endpoint_auth_methods_supported`; empty: not told.
    pub token_auth_methods: Vec<String>,
    /// `id_token_signing_alg_values_supported`; empty: not told.
    pub id_token_algorithms: Vec<String>,
}

impl Metadata {
    /// Reads what was fetched for this issuer.
    ///
    /// # Errors
    /// [`ProviderError::BadAnswer`], if it is another one's or none.
    pub fn parse(_issuer: &str, _json: &[u8]) -> Result<Self, ProviderError> {
        Err(ProviderError::BadAnswer("no metadata".into()))
    }
}
