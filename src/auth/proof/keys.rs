//! The file of API keys: who has which, by digests only.
//!
//! A key is long and random, so one round of SHA-256 is enough: there is nothing to guess. Nothing
//! here can be turned back into a key, and what looks like a key itself is refused.

use super::ENTRIES_MAX;
use super::lines::{LineError, Problems, entries, list, name};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// The digest of nothing: what becomes of a variable that is not set.
const DIGEST_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// How many hex digits of a digest tell one key of an owner from another.
const KEY_ID_DIGITS: usize = 8;

type KeyDigest = [u8; 32];

/// Who has which key.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeys(Arc<HashMap<KeyDigest, KeyHolder>>);

/// Who has a key, and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyHolder {
    pub(super) name: Arc<str>,
    pub(super) scopes: Vec<Arc<str>>,
    /// The first digits of its digest.
    pub(super) key_id: Box<str>,
}

/// One entry as it is written.
#[derive(Clone, Copy, Debug)]
pub struct KeyEntry<'a> {
    /// Its line, counted from one.
    pub line: usize,
    /// Who has the key. Several keys may have one owner.
    pub name: &'a str,
    /// SHA-256 of the key, as 64 hex digits.
    pub sha256: &'a str,
    /// What it is good for, between commas.
    pub scopes: &'a str,
}

impl ApiKeys {
    /// Reads a file of lines, `NAME:SHA256` or `NAME:SHA256:SCOPE,SCOPE`.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn read(text: &str) -> Result<Self, Vec<LineError>> {
        let (mut problems, mut read) = (Problems::default(), Vec::new());
        for (line, text) in entries(text) {
            let mut parts = text.splitn(3, ':').map(str::trim);
            let (Some(name), Some(sha256)) = (parts.next(), parts.next()) else {
                let error = LineError::new(line, "this is no `NAME:SHA256`");
                problems.push(error.help("a line is `NAME:SHA256` or `NAME:SHA256:SCOPE,SCOPE`"));
                continue;
            };
            read.push(KeyEntry {
                line,
                name,
                sha256,
                scopes: parts.next().unwrap_or_default(),
            });
        }
        problems.none_or(())?;
        Self::of(&read)
    }

    /// Of entries that were read from somewhere.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn of(entries: &[KeyEntry<'_>]) -> Result<Self, Vec<LineError>> {
        let mut problems = Problems::default();
        let mut keys = HashMap::with_capacity(entries.len().min(ENTRIES_MAX));
        if entries.is_empty() {
            problems.push(LineError::of_file("the file holds no key"));
        }
        if entries.len() > ENTRIES_MAX {
            problems.push(LineError::of_file("the file holds more than 100000 keys"));
        }
        for entry in entries.iter().take(ENTRIES_MAX) {
            match holder(entry) {
                Ok((digest, holder)) => match keys.entry(digest) {
                    Entry::Vacant(place) => {
                        place.insert(holder);
                    }
                    Entry::Occupied(_) => {
                        let problem = "this key stands in the file twice";
                        problems.push(LineError::new(entry.line, problem));
                    }
                },
                Err(problem) => problems.push(problem),
            }
        }
        problems.none_or(Self(Arc::new(keys)))
    }

    /// Who has this key. How long it takes depends on the digest, which nobody can choose.
    pub(super) fn holder(&self, key: &[u8]) -> Option<&KeyHolder> {
        let digest = digest(&SHA256, key);
        let digest: &KeyDigest = digest.as_ref().first_chunk()?;
        let (held, holder) = self.0.get_key_value(digest)?;
        verify_slices_are_equal(held, digest).ok()?;
        Some(holder)
    }
}

/// How many keys; nothing of them.
impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ApiKeys({} keys)", self.0.len())
    }
}

fn holder(entry: &KeyEntry<'_>) -> Result<(KeyDigest, KeyHolder), LineError> {
    let holder = KeyHolder {
        name: name(entry.line, entry.name)?,
        scopes: list(entry.line, entry.scopes)?,
        key_id: entry
            .sha256
            .chars()
            .take(KEY_ID_DIGITS)
            .map(|digit| digit.to_ascii_lowercase())
            .collect(),
    };
    if entry.sha256.eq_ignore_ascii_case(DIGEST_OF_NOTHING) {
        let error = LineError::new(entry.line, "this is the digest of nothing");
        return Err(error.help("the command that made it got no key"));
    }
    let digest = hex(entry.sha256).ok_or_else(|| {
        let problem = "this is no SHA-256 digest of 64 hex digits";
        let help = "the key itself does not belong here: `printf %s \"$KEY\" | sha256sum`";
        LineError::new(entry.line, problem).help(help)
    })?;
    Ok((digest, holder))
}

/// 64 hex digits.
pub(super) fn hex(text: &str) -> Option<KeyDigest> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (place, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = (digit(*high)? << 4) | digit(*low)?;
        *place = u8::try_from(byte).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    /// What `printf %s KEY | sha256sum` prints.
    fn sha256(key: &str) -> String {
        let mut text = String::new();
        for byte in digest(&SHA256, key.as_bytes()).as_ref() {
            write!(text, "{byte:02x}").unwrap();
        }
        text
    }

    #[track_caller]
    fn refuse(text: &str, line: Option<usize>, problem: &str) {
        let errors = ApiKeys::read(text).unwrap_err();
        let told: Vec<_> = errors.iter().map(|one| (one.line, one.problem)).collect();
        assert_eq!(told, [(line, problem)], "{text}");
    }

    #[test]
    fn a_key_is_found_by_its_digest_with_its_owner_and_scopes() {
        let (old, new, other) = (sha256("old"), sha256("new").to_uppercase(), sha256("x"));
        let file = format!(
            "\u{feff}# partners\r\n\r\nacme:{old}:orders.read, orders.write\r\n\
             acme:{new}\n  zeta : {other} :\n"
        );
        let keys = ApiKeys::read(&file).unwrap();

        let holder = keys.holder(b"old").unwrap();
        assert_eq!(&*holder.name, "acme");
        assert_eq!(
            holder.scopes,
            ["orders.read".into(), Arc::from("orders.write")]
        );
        assert_eq!(old.get(..8), Some(&*holder.key_id));
        let holder = keys.holder(b"new").unwrap();
        assert_eq!((&*holder.name, holder.scopes.len()), ("acme", 0));
        assert_eq!(&*keys.holder(b"x").unwrap().name, "zeta");
        assert_eq!(keys.holder(b"unknown"), None);
        assert_eq!(keys.holder(b""), None);
        assert_eq!(keys.holder(old.as_bytes()), None, "a digest is no key");
    }

    #[test]
    fn what_is_no_digest_is_refused_with_its_line() {
        let good = sha256("good");
        let short = good.get(..63).unwrap();
        let no_digest = "this is no SHA-256 digest of 64 hex digits";

        refuse("", None, "the file holds no key");
        refuse("# nothing\n", None, "the file holds no key");
        refuse("\nhunter2\n", Some(2), "this is no `NAME:SHA256`");
        refuse("acme:hunter2", Some(1), no_digest);
        refuse(&format!("a:{good}\nb:{good}0"), Some(2), no_digest);
        refuse(&format!("a:{short}g"), Some(1), no_digest);
        refuse(&format!("a:{short}"), Some(1), no_digest);
        refuse(&format!("a:+{short}"), Some(1), no_digest);
        refuse(&format!(":{good}"), Some(1), "the name is missing");
        refuse(&format!("a:{good}:x,,y"), Some(1), "the name is missing");
        let long = "n".repeat(257);
        let problem = "the name is longer than 256 bytes";
        refuse(&format!("{long}:{good}"), Some(1), problem);
        let twice = format!("a:{good}\nb:{}", good.to_uppercase());
        refuse(&twice, Some(2), "this key stands in the file twice");
        let nothing = format!("a:{}", sha256(""));
        refuse(&nothing, Some(1), "this is the digest of nothing");
    }

    #[test]
    fn every_bad_line_is_told_up_to_a_bound_and_none_is_quoted() {
        let file = "hunter2:hunter2\n".repeat(30);
        let errors = ApiKeys::read(&file).unwrap_err();

        assert_eq!(errors.len(), 20);
        assert!(!format!("{errors:?}").contains("hunter2"));
    }

    #[test]
    fn the_bound_holds_at_its_number() {
        let lines =
            |count: usize| -> String { (0..count).map(|n| format!("a:{n:064x}\n")).collect() };

        assert!(ApiKeys::read(&lines(ENTRIES_MAX)).is_ok());
        let problem = "the file holds more than 100000 keys";
        refuse(&lines(ENTRIES_MAX + 1), None, problem);
    }

    #[test]
    fn the_debug_text_shows_no_digest() {
        let keys = ApiKeys::read(&format!("a:{}", sha256("good"))).unwrap();
        assert_eq!(format!("{keys:?}"), "ApiKeys(1 keys)");
    }

    proptest! {
        #[test]
        fn no_text_of_a_file_panics(text in "[a-f0-9:,#\\n ]{0,200}") {
            drop(ApiKeys::read(&text));
        }

        #[test]
        fn a_key_that_was_written_is_found_and_no_other(key in ".{1,40}", other in ".{1,40}") {
            let keys = ApiKeys::read(&format!("a:{}", sha256(&key))).unwrap();
            prop_assert!(keys.holder(key.as_bytes()).is_some());
            prop_assert_eq!(keys.holder(other.as_bytes()).is_some(), key == other);
        }
    }
}
