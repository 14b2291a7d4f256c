//! Assertions are made, and kept for half of their life.

use super::{AssertionSettings, SigningKey};
use crate::auth::Identity;
use crate::clock;
use bytes::Bytes;
use http::HeaderValue;
use jsonwebtoken::Header;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Parts of the memory, so that requests seldom wait for each other.
pub(super) const SHARDS: usize = 16;
/// Assertions that are remembered in one part. One more makes room by forgetting the part.
pub(super) const SHARD_MAX: usize = 512;
/// Longest assertion, in bytes. Many servers take heads of 8 KiB in all.
const TOKEN_BYTES_MAX: usize = 6 * 1024;
/// How far in the past an assertion begins, for origins whose clocks are late.
const LATE_CLOCKS: Duration = Duration::from_secs(5);

/// Why there is no assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The claims that it should carry make it too large for a header.
    #[error("the assertion is larger than {TOKEN_BYTES_MAX} bytes")]
    TooLarge,
    /// It could not be signed.
    #[error("the assertion could not be signed")]
    Unsigned,
}

/// What signs assertions.
pub struct Assertions {
    settings: AssertionSettings,
    jwks: Bytes,
    hasher: RandomState,
    minted: Vec<Mutex<HashMap<Arc<str>, Minted>>>,
}

/// An assertion, and until when it is given out.
struct Minted {
    token: HeaderValue,
    until: Instant,
}

impl Assertions {
    /// Makes it.
    pub fn new(settings: AssertionSettings) -> Self {
        let keys: Vec<&Value> = settings.keys.iter().map(|key| key.public()).collect();
        let jwks = Bytes::from(json!({ "keys": keys }).to_string());
        Self {
            settings,
            jwks,
            hasher: RandomState::new(),
            minted: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// What it was made of.
    pub const fn settings(&self) -> &AssertionSettings {
        &self.settings
    }

    /// The published keys: a JWK set (RFC 7517, section 5).
    pub fn jwks(&self) -> Bytes {
        self.jwks.clone()
    }

    /// An assertion of who a client is, for whom `service` stands if no audience is configured.
    ///
    /// # Errors
    /// There is none, and so nothing may be told to the origin.
    pub fn token(&self, identity: &Identity, service: &str) -> Result<HeaderValue, MintError> {
        let audience = self.settings.audience.as_deref().unwrap_or(service);
        let claims = self.claims(identity, audience);
        let told = Value::Object(claims).to_string();
        let now = clock::instant();
        if let Some(token) = self.remembered(&told, now) {
            return Ok(token);
        }
        let token = self.sign(&told)?;
        self.remember(told, &token, now);
        Ok(token)
    }

    /// All that an assertion says, but for its times.
    fn claims(&self, identity: &Identity, audience: &str) -> Map<String, Value> {
        let mut claims = Map::new();
        let mut say = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        say("iss", json!(&*self.settings.issuer));
        if let Some(subject) = &identity.subject {
            say("sub", json!(&**subject));
        }
        say("aud", json!(audience));
        if !identity.groups.is_empty() {
            let groups = identity.groups.iter().map(|group| json!(&**group));
            say("groups", groups.collect());
        }
        say("proof", json!(identity.proof.name()));
        say("policy", json!(&*identity.policy));
        for name in &self.settings.claims {
            if let Some(value) = identity.claims.get(&**name) {
                say(name, value.clone());
            }
        }
        claims
    }

    fn sign(&self, told: &str) -> Result<HeaderValue, MintError> {
        let key = self.settings.keys.first().ok_or(MintError::Unsigned)?;
        let mut claims: Map<String, Value> =
            serde_json::from_str(told).map_err(|_| MintError::Unsigned)?;
        let now = Duration::from_nanos(clock::wall().as_unix_nanos());
        let begin = now.saturating_sub(LATE_CLOCKS).as_secs();
        for (name, at) in [
            ("iat", begin),
            ("nbf", begin),
            ("exp", (now + self.settings.ttl).as_secs()),
        ] {
            claims.insert(name.to_owned(), json!(at));
        }
        let header = header(key);
        let token = jsonwebtoken::encode(&header, &claims, &key.encoding)
            .map_err(|_| MintError::Unsigned)?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(MintError::TooLarge);
        }
        let mut token = HeaderValue::try_from(token).map_err(|_| MintError::Unsigned)?;
        token.set_sensitive(true);
        Ok(token)
    }

    fn shard(&self, told: &str) -> Option<&Mutex<HashMap<Arc<str>, Minted>>> {
        let hash = self.hasher.hash_one(told);
        let place = usize::try_from(hash).unwrap_or_default() % SHARDS;
        self.minted.get(place)
    }

    fn remembered(&self, told: &str, now: Instant) -> Option<HeaderValue> {
        let shard = self.shard(told)?.lock();
        let shard = shard.unwrap_or_else(PoisonError::into_inner);
        let minted = shard.get(told)?;
        (now < minted.until).then(|| minted.token.clone())
    }

    fn remember(&self, told: String, token: &HeaderValue, now: Instant) {
        let Some(shard) = self.shard(&told) else {
            return;
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= SHARD_MAX {
            shard.retain(|_, minted| now < minted.until);
        }
        if shard.len() >= SHARD_MAX {
            shard.clear();
        }
        let minted = Minted {
            token: token.clone(),
            until: now + self.settings.ttl / 2,
        };
        shard.insert(told.into(), minted);
    }
}

#[cfg(test)]
impl Assertions {
    /// Remembers something in place of an assertion.
    pub(super) fn pretend(&self, told: &str) {
        let token = HeaderValue::from_static("none");
        self.remember(told.to_owned(), &token, clock::instant());
    }

    /// How many are remembered.
    pub(super) fn remembered_count(&self) -> usize {
        let lengths = self.minted.iter().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.len()
        });
        lengths.sum()
    }
}

fn header(key: &SigningKey) -> Header {
    let mut header = Header::new(key.algorithm);
    header.kid = Some(key.kid().to_owned());
    header
}
