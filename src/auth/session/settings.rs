//! How sessions are kept, as the configuration says.

use std::sync::Arc;
use std::time::Duration;

/// How sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Where.
    pub store: SessionStore,
    /// How long one lasts that nobody uses.
    pub idle: Duration,
    /// How long one lasts at most.
    pub absolute: Duration,
    /// The cookies of logins.
    pub cookie: CookieSettings,
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStore {
    /// Sealed in cookies.
    Cookie,
    /// In the file's Redis, under a handle in a cookie.
    Redis,
}

/// The cookies of logins: sessions, logins that began, tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieSettings {
    /// What their names begin with, behind `__Host-` or `__Secure-`.
    pub name: Arc<str>,
    /// Whose they are beside the host's own; None: the host's alone.
    pub domain: Option<Arc<str>>,
    /// `SameSite` of sessions: `Lax`, `Strict` or `None`. Cookies of a login are `Lax` always,
    /// because the way back from a provider is from another site.
    pub same_site: &'static str,
}

/// When tokens are renewed, and what if they cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRules {
    /// How long before the access token's end.
    pub before: Duration,
    /// What becomes of a session whose provider is away.
    pub on_failure: RefreshFailure,
}

/// What becomes of a session whose tokens cannot be renewed because the provider is away. One
/// whose refresh token it refuses ends in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshFailure {
    /// It goes on until its access token has expired.
    KeepUntilExpiry,
    /// It ends.
    LogOut,
}
