//! Who issues tokens, as the configuration says.

use super::client_key::ClientKey;
use crate::client::ClientTlsSettings;
use crate::secret::Secret;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// One issuer, and how it is asked. Two policies with equal settings share what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// `iss`, as its tokens have it, byte for byte.
    pub issuer: Arc<str>,
    /// Where its keys are.
    pub keys: KeySource,
    /// Addresses that are used in place of those that it tells.
    pub endpoints: Endpoints,
    /// Whom we believe that it is the provider, and what we show it.
    pub tls: ClientTlsSettings,
    /// How long one call to it may take.
    pub timeout: Duration,
    /// How often its keys and what it says of itself are fetched anew.
    pub refresh: Duration,
    /// After keys were asked for because of an unknown one: how long they are not again.
    pub cooldown: Duration,
    /// Whether it is asked nothing at all, because nothing of what goes on is real.
    pub is_rehearsed: bool,
}

impl ProviderSettings {
    /// Whether it need not be asked what it says of itself: for keys and for logins all is told.
    pub fn tells_all(&self) -> bool {
        self.is_rehearsed || self.says_all()
    }

    fn says_all(&self) -> bool {
        self.keys != KeySource::Discovery
            && self.endpoints.authorization.is_some()
            && self.endpoints.token.is_some()
    }
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Where its metadata says.
    Discovery,
    /// There.
    Url(Url),
    /// In this file, a JWK Set; read anew when it changes.
    File(PathBuf),
}

impl KeySource {
    /// Largest file of keys, in bytes.
    pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
}

/// Addresses of a provider that the file gives, for one that does not tell them, or tells others
/// than we can reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Where a browser logs in.
    pub authorization: Option<Url>,
    /// Where a code becomes tokens.
    pub token: Option<Url>,
    /// What it knows of who logged in.
    pub userinfo: Option<Url>,
    /// Where a logout goes.
    pub end_session: Option<Url>,
    /// Whether a token is valid.
    pub introspection: Option<Url>,
    /// Where tokens are given back.
    pub revocation: Option<Url>,
    /// Where a request for authorization is left beforehand.
    pub pushed_authorization: Option<Url>,
}

/// Who we are to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcClient {
    /// `client_id`
    pub id: Arc<str>,
    /// How we prove it.
    pub auth: ClientAuth,
    /// Whom a token that proves it is for.
    pub audience: Audience,
}

/// Whom a token is for that proves who a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// The issuer, whatever is asked: a provider that lies about its endpoints gets no token that
    /// another one takes.
    #[default]
    Issuer,
    /// The token endpoint, for providers that take nothing else.
    TokenEndpoint,
}

/// How a client proves to a provider who it is (OpenID Connect Core 1.0, section 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// A secret in `Authorization`.
    Basic(Secret),
    /// A secret in the body.
    Post(Secret),
    /// A token that a key of ours signs (RFC 7523).
    PrivateKeyJwt(Arc<ClientKey>),
    /// Not at all: a public client.
    Nothing,
}
