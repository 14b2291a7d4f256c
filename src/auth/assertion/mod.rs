//! A signed assertion of who a client is: a short-lived JWT (RFC 7519) that an origin can verify
//! with published keys (RFC 7517), so that it need not believe whoever reaches its port.
//!
//! Comes after the decision. Knows nothing of requests: the same client gets the same assertion
//! for half of its life, since a signature costs more than all the rest of a decision.

mod key;
mod mint;

#[cfg(test)]
mod tests;

pub use key::{KeyError, SigningKey};
pub use mint::{Assertions, MintError};

use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// Where the keys are published, on every data listener.
pub const JWKS_PATH: &str = "/.well-known/edgespan/jwks.json";

/// Claims that edgespan writes itself.
pub const OWN_CLAIMS: [&str; 9] = [
    "iss", "sub", "aud", "iat", "nbf", "exp", "groups", "proof", "policy",
];

/// Assertions as compiled from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionSettings {
    /// Keys. The first one signs, all of them are published. Never empty.
    pub keys: Vec<Arc<SigningKey>>,
    /// `iss`
    pub issuer: Arc<str>,
    /// `aud`; None: the service behind the route.
    pub audience: Option<Arc<str>>,
    /// How long an assertion is valid, from when it was signed.
    pub ttl: Duration,
    /// The header field that carries it.
    pub header: HeaderName,
    /// Claims of an identity that are copied into it.
    pub claims: Vec<Arc<str>>,
}
