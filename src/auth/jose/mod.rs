//! Tokens of others (JWS, RFC 7515; JWT, RFC 7519): which key, whether the signature holds, and
//! whether the claims are those that were expected.
//!
//! A token is read in one way or not at all: three parts, base64url without padding, JSON without
//! a member twice. The key is chosen by what the issuer published, never by what the token brings
//! along, and each key verifies only what it is for. Claims are checked with our own clock; what
//! is absent or of the wrong kind is refused like what is wrong (RFC 8725 is the list).

mod algorithm;
mod claims;
mod key;
mod keys;
mod strict;
#[cfg(test)]
pub(super) mod tests;
mod token;

pub use algorithm::Algorithm;
pub use claims::{Claims, Expected};
pub use keys::{KeySet, KeySetError};
pub use token::{TokenError, TokenHeader, Unverified};

pub(super) use claims::is_among;
pub(super) use token::is_signed;

use crate::clock::Timestamp;

/// Largest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Verifies a token by keys of one issuer.
///
/// # Errors
/// [`TokenError`]; [`TokenError::UnknownKey`] says that a newer set of keys may have it.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    Unverified::read(token)?.verify(keys, expected, now)
}
