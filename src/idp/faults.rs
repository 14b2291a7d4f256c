//! What can be made to go wrong, so that a test sees what becomes of it. Nothing but a program's
//! own code sets it.

use super::Endpoint;
use http::StatusCode;
use std::time::Duration;

/// What goes wrong. Nothing, unless set.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How endpoints fail; the last one that names an endpoint counts.
    pub endpoints: Vec<(Endpoint, Trouble)>,
    /// What is wrong with ID tokens.
    pub id_token: Option<BadIdToken>,
    /// Whether refresh tokens are refused (`invalid_grant`).
    pub refuses_refresh: bool,
    /// Whether a refresh gives neither a new refresh token nor a new ID token.
    pub refresh_gives_less: bool,
    /// Whether a refreshed ID token is somebody else's.
    pub refresh_of_another: bool,
    /// Whether userinfo tells of somebody else.
    pub userinfo_of_another: bool,
    /// What answers to a browser say in `iss`, in place of the issuer; empty: nothing.
    pub answer_issuer: Option<String>,
    /// What its metadata say in `issuer`.
    pub metadata_issuer: Option<String>,
    /// Whether keys are published without those that sign.
    pub hides_keys: bool,
}

/// How an endpoint fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The connection closes without an answer.
    Down,
    /// It answers with this status and a line of text.
    Status(StatusCode),
    /// It answers with 200 and what nobody can read.
    Garbage,
    /// It answers with 200 and more than anybody wants to read (4 MiB).
    Flood,
    /// It answers as it should, this much later.
    Slow(Duration),
}

/// What is wrong with an ID token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadIdToken {
    /// There is none.
    Missing,
    /// Another `nonce`.
    Nonce,
    /// No `nonce`.
    NoNonce,
    /// `aud` of another client.
    Audience,
    /// `iss` of another provider.
    Issuer,
    /// It expired an hour ago.
    Expired,
    /// It was issued an hour from now.
    Future,
    /// No `exp`.
    NoExpiry,
    /// No `sub`.
    NoSubject,
    /// `alg: none`, and no signature.
    AlgNone,
    /// HS256, by the text of the public key.
    HmacOfPublicKey,
    /// Signed by a key that nobody published.
    UnknownKey,
    /// One bit of its signature is another.
    Signature,
    /// `at_hash` of another access token.
    AccessHash,
    /// `azp` of another client, beside several audiences.
    AuthorizedParty,
    /// No `auth_time`, although asked for.
    NoAuthTime,
}

impl Faults {
    /// How this endpoint fails.
    pub(super) fn trouble(&self, endpoint: Endpoint) -> Option<Trouble> {
        let mut found = self.endpoints.iter().rev();
        found.find(|(one, _)| *one == endpoint).map(|(_, how)| *how)
    }

    /// Makes an endpoint fail.
    #[must_use]
    pub fn with(mut self, endpoint: Endpoint, trouble: Trouble) -> Self {
        self.endpoints.push((endpoint, trouble));
        self
    }
}
