//! Calls to a provider: each under a CLIENT span of its own, with a deadline and a bounded answer.

use super::line::Question;
use super::metadata::Metadata;
use super::proof::Towards;
use super::settings::{Audience, ClientAuth, OidcClient};
use super::{Provider, proof, reply};
use crate::auth::DecisionSpan;
use crate::auth::jose::Claims;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderCall;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value};
use std::time::Duration;
use url::Url;
use url::form_urlencoded::Serializer;

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

/// What the token endpoint gave. Its `Debug` text says nothing of whose it is.
#[derive(Clone)]
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
    /// What is known of whoever they are of from now on, by whoever has verified it; empty: what
    /// was known before. An answer has none.
    pub claims: Claims,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tokens(...)")
    }
}

impl Provider {
    /// A code becomes tokens (RFC 6749 section 4.1.3, with PKCE of RFC 7636).
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn redeem(
        &self,
        client: &OidcClient,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Tokens, ProviderError> {
        let url = self.token_endpoint(span.as_deref_mut()).await?;
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let question = self.form(ProviderCall::Token, url, client, &pairs).await?;
        self.desk.line.ask(question, span, reply::tokens).await
    }

    /// New tokens for a refresh token (RFC 6749 section 6).
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn refresh(
        &self,
        client: &OidcClient,
        refresh: &Secret,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Tokens, ProviderError> {
        let url = self.token_endpoint(span.as_deref_mut()).await?;
        let pairs = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
        ];
        let question = self
            .form(ProviderCall::Refresh, url, client, &pairs)
            .await?;
        self.desk.line.ask(question, span, reply::tokens).await
    }

    /// Leaves a request for authorization beforehand (RFC 9126): its `request_uri`.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn push(
        &self,
        client: &OidcClient,
        parameters: &[(&str, &str)],
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<String, ProviderError> {
        let told = |metadata: &Metadata| metadata.pushed_authorization.clone();
        let url = self
            .endpoint("endpoint for pushed requests", told, span.as_deref_mut())
            .await?;
        // `client_id` stands in the form in any case, and there once: with the proof.
        let is_proved_elsewhere = matches!(client.auth, ClientAuth::Basic(_));
        let pairs: Vec<(&str, &str)> = parameters
            .iter()
            .filter(|(name, _)| *name != "client_id" || is_proved_elsewhere)
            .copied()
            .collect();
        let question = self.form(ProviderCall::Par, url, client, &pairs).await?;
        self.desk.line.ask(question, span, reply::request_uri).await
    }

    /// What it knows of who logged in (OpenID Connect Core 1.0, section 5.3). The caller compares
    /// `sub`, which is there.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn userinfo(
        &self,
        access: &Secret,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Map<String, Value>, ProviderError> {
        let told = |metadata: &Metadata| metadata.userinfo.clone();
        let url = self
            .endpoint("userinfo endpoint", told, span.as_deref_mut())
            .await?;
        let mut question = Question::get(ProviderCall::Userinfo, url);
        let proof = proof::bearing("Bearer", access.expose())?;
        question.headers.insert(AUTHORIZATION, proof);
        self.desk.line.ask(question, span, reply::userinfo).await
    }

    /// What it says of a token (RFC 7662, section 2.2). `active` is there, true or false, and
    /// looked at by the caller.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn introspect(
        &self,
        client: &OidcClient,
        token: &str,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Map<String, Value>, ProviderError> {
        let told = |metadata: &Metadata| metadata.introspection.clone();
        let url = self
            .endpoint("introspection endpoint", told, span.as_deref_mut())
            .await?;
        let pairs = [("token", token)];
        let question = self
            .form(ProviderCall::Introspection, url, client, &pairs)
            .await?;
        self.desk
            .line
            .ask(question, span, reply::introspection)
            .await
    }

    /// Gives a token back (RFC 7009).
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn revoke(
        &self,
        client: &OidcClient,
        token: &Secret,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<(), ProviderError> {
        let told = |metadata: &Metadata| metadata.revocation.clone();
        let url = self
            .endpoint("revocation endpoint", told, span.as_deref_mut())
            .await?;
        let pairs = [("token", token.expose())];
        let question = self
            .form(ProviderCall::Revocation, url, client, &pairs)
            .await?;
        self.desk.line.ask(question, span, reply::revocation).await
    }

    async fn token_endpoint(
        &self,
        span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Url, ProviderError> {
        let told = |metadata: &Metadata| metadata.token.clone();
        self.endpoint("token endpoint", told, span).await
    }

    /// Where something is asked for. The provider is not asked where the file says it.
    async fn endpoint(
        &self,
        what: &'static str,
        of: fn(&Metadata) -> Option<Url>,
        span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Url, ProviderError> {
        if let Some(url) = of(&Metadata::of(self.settings())) {
            return Ok(url);
        }
        let metadata = self.metadata(span).await?;
        of(&metadata).ok_or(ProviderError::NoEndpoint(what))
    }

    /// A form with the proof of who we are.
    async fn form(
        &self,
        call: ProviderCall,
        url: Url,
        client: &OidcClient,
        pairs: &[(&str, &str)],
    ) -> Result<Question, ProviderError> {
        let known = self.desk.metadata.value();
        let algorithms = known
            .as_ref()
            .map(|known| known.token_auth_algorithms.as_slice());
        let token_endpoint = match client.audience {
            Audience::Issuer => None,
            Audience::TokenEndpoint => Some(self.token_endpoint(None).await?),
        };
        let towards = Towards {
            audience: token_endpoint
                .as_ref()
                .map_or(&*self.settings().issuer, Url::as_str),
            algorithms: algorithms.unwrap_or_default(),
        };
        let mut headers = HeaderMap::new();
        let mut form = Serializer::new(String::new());
        form.extend_pairs(pairs);
        proof::prove(client, towards, &mut headers, &mut form)?;
        Ok(Question::form(call, url, headers, form.finish()))
    }
}
