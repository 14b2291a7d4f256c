//! Calls to a provider: each under a CLIENT span of its own, with a deadline and a bounded answer.

use super::{OidcClient, Provider};
use crate::auth::DecisionSpan;
use crate::secret::Secret;
use serde_json::{Map, Value};
use std::time::Duration;

/// Why a provider was of no help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached, or not in time; why, for the log.
    #[error("the provider cannot be asked: {0}")]
    Unavailable(Box<str>),
    /// It answered, and not what the specification says; why, for the log.
    #[error("the provider's answer makes no sense: {0}")]
    BadAnswer(Box<str>),
    /// It says no: `error` of RFC 6749, section 5.2, as a word of that register, or `other`.
    #[error("the provider refuses: {0}")]
    Refused(&'static str),
    /// It has no such endpoint.
    #[error("the provider has no {0}")]
    NoEndpoint(&'static str),
}

impl ProviderError {
    /// Whether trying again may help.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What the token endpoint gave.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `access_token`
    pub access: Secret,
    /// `id_token`, not verified yet.
    pub id: Option<Secret>,
    /// `refresh_token`
    pub refresh: Option<Secret>,
    /// `expires_in`: how long the access token is valid.
    pub expires_in: Option<Duration>,
    /// `scope`, if it differs from what was asked for.
    pub scope: Option<Box<str>>,
}

impl Provider {
    /// A code becomes tokens (RFC 6749 section 4.1.3, with PKCE of RFC 7636).
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn redeem(
        &self,
        _client: &OidcClient,
        _code: &str,
        _verifier: &str,
        _redirect_uri: &str,
        _span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Tokens, ProviderError> {
        std::future::ready(Err(ProviderError::NoEndpoint("token endpoint"))).await
    }

    /// New tokens for a refresh token (RFC 6749 section 6).
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn refresh(
        &self,
        _client: &OidcClient,
        _refresh: &Secret,
        _span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Tokens, ProviderError> {
        std::future::ready(Err(ProviderError::NoEndpoint("token endpoint"))).await
    }

    /// Leaves a request for authorization beforehand (RFC 9126): its `request_uri`.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn push(
        &self,
        _client: &OidcClient,
        _parameters: &[(&str, &str)],
        _span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<String, ProviderError> {
        std::future::ready(Err(ProviderError::NoEndpoint(
            "endpoint for pushed requests",
        )))
        .await
    }

    /// What it knows of who logged in (OpenID Connect Core 1.0, section 5.3). The caller compares
    /// `sub`.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn userinfo(
        &self,
        _access: &Secret,
        _span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Map<String, Value>, ProviderError> {
        std::future::ready(Err(ProviderError::NoEndpoint("userinfo endpoint"))).await
    }

    /// What it says of a token (RFC 7662, section 2.2). `active` is looked at by the caller.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn introspect(
        &self,
        _client: &OidcClient,
        _token: &str,
        _span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Map<String, Value>, ProviderError> {
        std::future::ready(Err(ProviderError::NoEndpoint("introspection endpoint"))).await
    }

    /// Gives a token back (RFC 7009).
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn revoke(
        &self,
        _client: &OidcClient,
        _token: &Secret,
        _span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<(), ProviderError> {
        std::future::ready(Err(ProviderError::NoEndpoint("revocation endpoint"))).await
    }
}
