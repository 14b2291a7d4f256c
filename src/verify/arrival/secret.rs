//! The secret that both ends share, as the keys that are made of it.

use crate::trace::hex;
use aws_lc_rs::hmac;

/// Shortest secret: what is shorter could be guessed from one answer.
pub const SECRET_BYTES_MIN: usize = 16;

/// A shared secret. Only what it derives is kept: the key that signs questions, another one that
/// signs answers, and a short name of both.
#[derive(Clone)]
pub struct SharedSecret {
    pub(super) inquiry: hmac::Key,
    pub(super) account: hmac::Key,
    id: [u8; 2],
}

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is empty.
    #[error("the secret is empty")]
    Empty,
    /// It is shorter than [`SECRET_BYTES_MIN`].
    #[error("the secret is shorter than 16 bytes")]
    Short,
}

impl SharedSecret {
    /// Of a file's or a variable's content; space around it does not count, so that an editor's
    /// line feed at the end makes no other secret.
    ///
    /// # Errors
    /// When it has fewer than [`SECRET_BYTES_MIN`] bytes.
    pub fn new(content: &[u8]) -> Result<Self, SecretError> {
        let content = content.trim_ascii();
        match content.len() {
            0 => return Err(SecretError::Empty),
            length if length < SECRET_BYTES_MIN => return Err(SecretError::Short),
            _ => {}
        }
        let secret = hmac::Key::new(hmac::HMAC_SHA256, content);
        let derive = |label: &str| hmac::sign(&secret, label.as_bytes());
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, derive(label).as_ref());
        let id = match derive("edgespan arrival v1 key id").as_ref() {
            [first, second, ..] => [*first, *second],
            _ => [0; 2], // a tag has 32 bytes
        };
        Ok(Self {
            inquiry: key("edgespan arrival v1 inquiry"),
            account: key("edgespan arrival v1 account"),
            id,
        })
    }

    /// Four hex digits by which people and rotations tell secrets apart: no secret themselves.
    pub fn id(&self) -> String {
        hex::text(&self.id)
    }
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedSecret")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// Two secrets are equal if they sign alike: their names are compared first, then what they sign.
impl PartialEq for SharedSecret {
    fn eq(&self, other: &Self) -> bool {
        let probe = hmac::sign(&self.inquiry, b"equal");
        self.id == other.id && hmac::verify(&other.inquiry, b"equal", probe.as_ref()).is_ok()
    }
}

impl Eq for SharedSecret {}

/// Exactly `N` bytes as lower-case hex digits.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let mut digits = pair.iter().map(|digit| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        });
        *byte = digits.try_fold(0_u8, |number, digit| Some((number << 4) | digit?))?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_secret_has_sixteen_bytes_at_least_and_no_space_around_it() {
        assert_eq!(SharedSecret::new(b" \n").err(), Some(SecretError::Empty));
        assert_eq!(
            SharedSecret::new(b"0123456789abcde").err(),
            Some(SecretError::Short)
        );
        assert_eq!(
            SharedSecret::new(b"0123456789abcdef\n"),
            SharedSecret::new(b"0123456789abcdef")
        );
        assert_ne!(
            SharedSecret::new(b"0123456789abcdeg"),
            SharedSecret::new(b"0123456789abcdef")
        );
    }

    #[test]
    fn a_secret_is_not_told_by_debug() {
        let told = format!("{:?}", SharedSecret::new(b"0123456789abcdef"));

        assert!(!told.contains("0123456789"), "{told}");
    }

    proptest! {
        #[test]
        fn hex_is_read_as_it_was_written(bytes: [u8; 8]) {
            prop_assert_eq!(unhex::<8>(&hex::text(&bytes)), Some(bytes));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,20}") {
            let read = unhex::<4>(&text);
            prop_assert!(read.is_none_or(|bytes| hex::text(&bytes) == text));
        }
    }
}
