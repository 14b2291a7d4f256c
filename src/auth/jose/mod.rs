//! Tokens of others (JWS, RFC 7515; JWT, RFC 7519): which key, whether the signature holds, and
//! whether the claims are those that were expected.
//!
//! `jsonwebtoken` checks signatures and nothing else. Claims are checked here, with our own clock,
//! because what is absent or of the wrong kind has to be refused, too.

mod algorithm;
mod claims;
mod keys;
mod token;

pub use algorithm::Algorithm;
pub use claims::{Claims, Expected};
pub use keys::{KeySet, KeySetError};
pub use token::{TokenError, TokenHeader};

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
    let header = TokenHeader::read(token)?;
    token::verify(token, &header, keys, expected, now)
}
