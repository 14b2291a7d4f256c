//! What is known of one login of one browser.

use crate::secret::Secret;
use serde_json::{Map, Value};
use std::sync::Arc;

/// One login of one browser. Its `Debug` text says nothing of whose it is.
#[derive(Clone)]
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

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Session({})", self.policy)
    }
}

/// Tokens of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
