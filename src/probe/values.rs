//! What holes are filled with in one run, and what of it nobody may see.

use crate::clock;
use crate::trace::{hex, ids};
use std::collections::BTreeMap;
use std::fmt;

/// What stands in place of a value that nobody may see.
pub(super) const MASK: &str = "***";
/// Letters and digits of a random text, unless said otherwise.
pub const RANDOM_LENGTH: usize = 12;
/// Most of them.
pub const RANDOM_LENGTH_MAX: usize = 64;

/// What is made anew for every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generated {
    /// A random UUID (RFC 9562 section 5.4).
    Uuid,
    /// So many lower case letters and digits.
    Random(usize),
    /// The moment, as RFC 3339 writes it.
    Now,
    /// The moment in seconds since 1970.
    Unix,
}

impl Generated {
    /// A value of this run.
    pub fn make(self) -> String {
        match self {
            Self::Uuid => uuid(),
            Self::Random(length) => {
                let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
                let one = |_| {
                    let at = fastrand::usize(..letters.len());
                    letters.get(at).copied().map_or('a', char::from)
                };
                (0..length).map(one).collect()
            }
            Self::Now => {
                let nanos = i128::from(clock::wall().as_unix_nanos());
                let moment = jiff::Timestamp::from_nanosecond(nanos).unwrap_or_default();
                format!("{moment:.3}")
            }
            Self::Unix => (clock::wall().as_unix_nanos() / 1_000_000_000).to_string(),
        }
    }
}

fn uuid() -> String {
    let mut bytes = ids::trace_id().to_bytes();
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let digits = hex::text(&bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)]
        .map(|(from, to)| part(from, to))
        .join("-")
}

/// What holes are filled with, and what is masked wherever it shows up.
#[derive(Clone, Default)]
pub struct Values {
    named: BTreeMap<String, String>,
    secrets: Vec<String>,
}

impl Values {
    /// Gives a name its value.
    pub fn set(&mut self, name: &str, value: String, is_secret: bool) {
        if is_secret {
            self.hide(&value);
        }
        self.named.insert(name.to_owned(), value);
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    /// Masks a value from now on, also as addresses, forms and JSON spell it.
    pub fn hide(&mut self, value: &str) {
        let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let json = serde_json::Value::from(value).to_string();
        let json = json
            .strip_prefix('"')
            .and_then(|json| json.strip_suffix('"'));
        let json = json.unwrap_or_default().to_owned();
        for spelling in [value.to_owned(), form, encoded(value), json] {
            if !spelling.is_empty() && !self.secrets.contains(&spelling) {
                self.secrets.push(spelling);
            }
        }
        // The longest first: a secret may be the beginning of another one.
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Whether something that nobody may see is in `text`.
    pub fn tells_secret(&self, text: &str) -> bool {
        let mut secrets = self.secrets.iter();
        secrets.any(|secret| text.contains(secret.as_str()))
    }

    /// `text` as it may be shown.
    pub fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASK);
            }
        }
        text
    }
}

/// Values may be secrets: only the names are told.
impl fmt::Debug for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.named.keys()).finish()
    }
}

/// `text` as one segment of a path (RFC 3986 section 2.3: only what is unreserved stays).
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_as_they_are_and_as_addresses_spell_them() {
        let mut values = Values::default();
        values.set("token", "a b/c".to_owned(), true);
        values.set("user", "alice".to_owned(), false);

        let shown = values.masked("alice: a b/c, a+b%2Fc, a%20b%2Fc");

        assert_eq!(shown, "alice: ***, ***, ***");
        assert!(!format!("{values:?}").contains("a b"));
    }

    #[test]
    fn a_secret_is_masked_as_json_spells_it() {
        let mut values = Values::default();
        values.hide("a\\b\"");
        let shown = serde_json::json!({"k": "a\\b\""}).to_string();
        assert_eq!(values.masked(&shown), r#"{"k":"***"}"#);
    }

    #[test]
    fn a_secret_that_begins_another_one_leaves_nothing_of_it() {
        let mut values = Values::default();
        values.hide("abc");
        values.hide("abcdef");
        assert_eq!(values.masked("abcdef abc"), "*** ***");
    }

    #[test]
    fn what_is_generated_has_the_form_that_it_is_called_by() {
        let uuid = Generated::Uuid.make();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.get(14..15), Some("4"), "{uuid}");
        assert!(
            matches!(uuid.get(19..20), Some("8" | "9" | "a" | "b")),
            "{uuid}"
        );
        assert_ne!(uuid, Generated::Uuid.make());
        assert_eq!(Generated::Random(7).make().len(), 7);
        assert!(Generated::Now.make().ends_with('Z'));
        assert!(Generated::Unix.make().parse::<u64>().unwrap() > 1_700_000_000);
    }
}
