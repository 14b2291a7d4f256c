//! Proofs that need no other program: an address, a key, a password, a certificate.
//!
//! Each reads the request and says allow, deny, or that there is nothing of its kind in it. What
//! proves is taken out of the request unless the configuration says otherwise: an upstream that
//! never sees a credential cannot lose it.

mod api_key;
mod basic;
mod client_cert;
mod ip;
mod keys;
mod lines;
mod passwords;

pub use api_key::ApiKeySettings;
pub use basic::BasicSettings;
pub use client_cert::ClientCertSettings;
pub use keys::{ApiKeys, KeyEntry};
pub use lines::LineError;
pub use passwords::Passwords;

pub(super) use basic::{BasicChecks, quoted};

use super::{Asked, Denial, DenialAnswer, Grant, Identity, Proof, Reason, Verdict};
use crate::net::TrustedPeers;
use http::HeaderValue;
use std::sync::Arc;

/// Largest number of entries in a file of keys or passwords.
const ENTRIES_MAX: usize = 100_000;

/// By the client's address.
pub(super) fn ip(policy: &Arc<str>, networks: &TrustedPeers, asked: &Asked<'_>) -> Verdict {
    ip::check(policy, networks, asked)
}

/// By an API key.
pub(super) fn api_key(policy: &Arc<str>, settings: &ApiKeySettings, asked: &Asked<'_>) -> Verdict {
    api_key::check(policy, settings, asked)
}

/// By the client's certificate.
pub(super) fn client_cert(
    policy: &Arc<str>,
    settings: &ClientCertSettings,
    asked: &Asked<'_>,
) -> Verdict {
    client_cert::check(policy, settings, asked)
}

/// What a client that proves nothing is told, with how it could (RFC 9110 section 11.6.1).
fn challenged(reason: Reason, challenge: Option<&HeaderValue>) -> Box<Denial> {
    let answer = DenialAnswer::Own(challenge.into_iter().cloned().collect());
    Box::new(Denial::new(reason, answer))
}
