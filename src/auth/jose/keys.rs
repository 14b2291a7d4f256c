//! Keys of an issuer (JWK Set, RFC 7517).

use super::key::Key;
use super::{TokenHeader, strict};
use serde_json::Value;
use std::fmt;

/// Most keys of a set that are read.
pub(super) const KEYS_MAX: usize = 100;
/// Most keys that one token is tried with. Only a token that names none, or a set with several of
/// one name, needs more than one.
pub(super) const TRIES_MAX: usize = 8;

/// The keys of an issuer that verify signatures. What is there for something else, or of a kind
/// that is not known, is left out.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// Why a document is no set of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// No JSON, or no `keys`.
    #[error("no JSON Web Key Set")]
    Malformed,
    /// More than 100.
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
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let set = strict::object(json).ok_or(KeySetError::Malformed)?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(KeySetError::Malformed)?;
        if keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let objects = keys.iter().filter_map(Value::as_object);
        let keys: Vec<Key> = objects.filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(KeySetError::Nothing);
        }
        Ok(Self { keys })
    }

    /// The keys that may have signed a token, by its `kid` and by what they are for.
    pub(super) fn candidates<'a>(
        &'a self,
        header: &'a TokenHeader,
    ) -> impl Iterator<Item = &'a Key> {
        let kid = header.kid.as_deref();
        let fitting = self.keys.iter();
        let fitting = fitting.filter(move |key| key.fits(header.algorithm, kid));
        fitting.take(TRIES_MAX)
    }

    /// Whether it has a key for this token, by `kid` and by what the key is for.
    pub fn has(&self, header: &TokenHeader) -> bool {
        self.candidates(header).next().is_some()
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

impl fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.keys.iter().map(|key| key.kid.as_deref());
        formatter.debug_list().entries(names).finish()
    }
}
