//! What is given to a browser and nobody but us may read or change: sealed by a ring of keys.
//!
//! AES-256-GCM-SIV (RFC 8452) with random nonces. Replicas share a key and cannot share a counter,
//! and one key may seal for years. Under plain GCM two equal nonces give away the key that
//! authenticates; under this they tell that two texts are equal, and nothing else.
//!
//! Sealed text is base64url of: version (1 byte), key id (4), nonce (12), cipher text, tag (16).

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes by which a sealed text names its key.
const ID_BYTES: usize = 4;
/// What a sealed text begins with: this form of it.
const VERSION: u8 = 1;
/// Bytes in front of the cipher text.
const HEAD_BYTES: usize = 1 + ID_BYTES + NONCE_LEN;
/// Bytes behind it.
const TAG_BYTES: usize = 16;
/// Largest text that is sealed, in bytes.
pub const PLAIN_BYTES_MAX: usize = 64 * 1024;
/// Longest sealed text that is looked at, in characters.
const SEALED_CHARS_MAX: usize = (HEAD_BYTES + PLAIN_BYTES_MAX + TAG_BYTES).div_ceil(3) * 4;

/// Keys are taken with and without padding.
const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING);

/// What something was sealed for. Nothing that was sealed for one purpose opens for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A login that began.
    Flow,
    /// A session.
    Session,
    /// The trace context of a request that is repeated after its login.
    Ticket,
    /// The provider that was chosen last.
    Choice,
    /// That a logout was asked for on a page of ours.
    Logout,
}

impl Purpose {
    /// What stands for it under the seal. Never given to another one.
    const fn tag(self) -> u8 {
        match self {
            Self::Flow => 1,
            Self::Session => 2,
            Self::Ticket => 3,
            Self::Choice => 4,
            Self::Logout => 5,
        }
    }
}

/// A key of the ring. Its `Debug` text shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; KEY_BYTES]);

/// A text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealKeyError {
    /// It is no base64.
    #[error("this is not base64")]
    NotBase64,
    /// It has another length.
    #[error("a key has {KEY_BYTES} bytes, this has {0}")]
    Length(usize),
}

impl SealKey {
    /// Reads 32 bytes in base64 of either alphabet, with or without padding.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, SealKeyError> {
        let text = text.trim();
        let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
        let bytes = bytes.map_err(|_| SealKeyError::NotBase64)?;
        let found = bytes.len();
        let key = bytes.try_into().map_err(|_| SealKeyError::Length(found))?;
        Ok(Self(key))
    }

    /// A new one.
    fn random() -> Option<Self> {
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key).ok()?;
        Some(Self(key))
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SealKey(...)")
    }
}

/// Seals and opens. The first key seals, every key opens.
pub struct Sealer {
    ring: Vec<RingKey>,
    is_lasting: bool,
}

/// What is made of one key, once.
struct RingKey {
    id: [u8; ID_BYTES],
    aead: LessSafeKey,
    /// Makes the keys of handles.
    handles: hmac::Key,
}

impl RingKey {
    /// Each use gets a key of its own, so that none says anything of another.
    fn new(key: &SealKey) -> Option<Self> {
        let master = hmac::Key::new(hmac::HMAC_SHA256, &key.0);
        let of = |what: &str| hmac::sign(&master, what.as_bytes());
        Some(Self {
            id: *of("edgespan seal: id").as_ref().first_chunk()?,
            aead: aead(of("edgespan seal: browser").as_ref())?,
            handles: hmac::Key::new(hmac::HMAC_SHA256, of("edgespan seal: handles").as_ref()),
        })
    }

    /// The key of what lies under a handle.
    fn under(&self, handle: &[u8]) -> Option<LessSafeKey> {
        aead(hmac::sign(&self.handles, handle).as_ref())
    }
}

fn aead(key: &[u8]) -> Option<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM_SIV, key).ok()?;
    Some(LessSafeKey::new(key))
}

impl Sealer {
    /// With these keys, the newest first. None: one that is made now and lasts as long as the
    /// process.
    pub fn new(keys: &[SealKey]) -> Self {
        let made = if keys.is_empty() {
            SealKey::random()
        } else {
            None
        };
        Self {
            ring: keys.iter().chain(&made).filter_map(RingKey::new).collect(),
            is_lasting: !keys.is_empty(),
        }
    }

    /// Whether its keys came from the file, so that others open what it seals.
    pub const fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// Seals; what comes out fits into a cookie or a URL, four characters for three bytes and 44
    /// more. `bound` has to be told again to open it. What is larger than [`PLAIN_BYTES_MAX`]
    /// becomes an empty text, which nobody opens.
    pub fn seal(&self, purpose: Purpose, bound: &str, plain: &[u8]) -> String {
        let sealed = self.ring.first().and_then(|key| {
            let aad = associated(purpose, bound);
            seal(&key.aead, key.id, &aad, plain)
        });
        sealed.unwrap_or_default()
    }

    /// Opens; None if it was sealed by nobody of ours, for something else, or was changed.
    pub fn open(&self, purpose: Purpose, bound: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = decode(sealed)?;
        let aad = associated(purpose, bound);
        self.ring
            .iter()
            .find_map(|key| open(&key.aead, key.id, &aad, &mut sealed))
    }

    /// A digest of a text that nobody makes without the newest key: tells that two texts are one,
    /// and not what they are.
    pub fn digest(&self, text: &str) -> [u8; 16] {
        let tag = self.ring.first().map(|key| {
            let mut context = hmac::Context::with_key(&key.handles);
            context.update(b"edgespan digest: ");
            context.update(text.as_bytes());
            context.sign()
        });
        let tag = tag.as_ref().map_or(&[][..], |tag| tag.as_ref());
        tag.first_chunk().copied().unwrap_or_default()
    }

    /// Seals what is kept elsewhere under a handle that only the browser has: whoever reads or
    /// writes there can neither open it nor make one up, for want of the ring, and whoever has the
    /// ring, for want of the handle.
    pub fn seal_under(&self, handle: &[u8], purpose: Purpose, plain: &[u8]) -> String {
        let sealed = self.ring.first().and_then(|key| {
            let aad = associated(purpose, "");
            seal(&key.under(handle)?, key.id, &aad, plain)
        });
        sealed.unwrap_or_default()
    }

    /// Opens what was sealed under this handle.
    pub fn open_under(&self, handle: &[u8], purpose: Purpose, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = decode(sealed)?;
        let aad = associated(purpose, "");
        let named: [u8; ID_BYTES] = *sealed.get(1..)?.first_chunk()?;
        let mut ring = self.ring.iter().filter(|key| key.id == named);
        ring.find_map(|key| open(&key.under(handle)?, key.id, &aad, &mut sealed))
    }
}

/// What the tag vouches for beside the text: each part with its length, so that no byte moves
/// from one to the other.
fn associated(purpose: Purpose, bound: &str) -> Vec<u8> {
    let length = bound.len().to_be_bytes();
    let mut aad = Vec::with_capacity(2 + length.len() + bound.len());
    aad.extend([VERSION, purpose.tag()]);
    aad.extend(length);
    aad.extend(bound.as_bytes());
    aad
}

fn seal(key: &LessSafeKey, id: [u8; ID_BYTES], aad: &[u8], plain: &[u8]) -> Option<String> {
    if plain.len() > PLAIN_BYTES_MAX {
        return None;
    }
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).ok()?;
    let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
    sealed.push(VERSION);
    sealed.extend(id);
    sealed.extend(nonce);
    sealed.extend(plain);
    let (_, text) = sealed.split_at_mut_checked(HEAD_BYTES)?;
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), text);
    sealed.extend(tag.ok()?.as_ref());
    Some(URL_SAFE_NO_PAD.encode(&sealed))
}

/// The bytes of a sealed text. None beyond the bound, which is looked at first.
fn decode(sealed: &[u8]) -> Option<Vec<u8>> {
    if sealed.len() > SEALED_CHARS_MAX {
        return None;
    }
    URL_SAFE_NO_PAD.decode(sealed).ok()
}

/// `sealed` is spoilt only where its tag is wrong, and then nothing opens it.
fn open(
    key: &LessSafeKey,
    id: [u8; ID_BYTES],
    aad: &[u8],
    sealed: &mut Vec<u8>,
) -> Option<Vec<u8>> {
    let (head, text) = sealed.split_at_mut_checked(HEAD_BYTES)?;
    let (&version, named) = head.split_first()?;
    let (named, nonce) = named.split_first_chunk::<ID_BYTES>()?;
    if version != VERSION || *named != id {
        return None;
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let length = key.open_in_place(nonce, Aad::from(aad), text).ok()?.len();
    // Where it lies, since it is long: no second copy of it.
    let mut plain = std::mem::take(sealed);
    plain.truncate(HEAD_BYTES + length);
    plain.drain(..HEAD_BYTES);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "HxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo";
    const PURPOSES: [Purpose; 5] = [
        Purpose::Flow,
        Purpose::Session,
        Purpose::Ticket,
        Purpose::Choice,
        Purpose::Logout,
    ];

    fn sealer(keys: &[&str]) -> Sealer {
        let keys: Vec<SealKey> = keys
            .iter()
            .map(|key| SealKey::parse(key).unwrap())
            .collect();
        Sealer::new(&keys)
    }

    #[test]
    fn a_key_is_32_bytes_of_base64_and_nothing_else() {
        let url = KEY.replace('=', "");

        assert_eq!(SealKey::parse(KEY), SealKey::parse(&url));
        assert_eq!(
            SealKey::parse(&format!(" {}\n", "_-".repeat(21) + "8")),
            SealKey::parse(&("/+".repeat(21) + "8="))
        );
        assert!(SealKey::parse(&("/+".repeat(21) + "8=")).is_ok());
        assert_eq!(SealKey::parse("AAAA"), Err(SealKeyError::Length(3)));
        assert_eq!(SealKey::parse(""), Err(SealKeyError::Length(0)));
        assert_eq!(SealKey::parse("hunter2!"), Err(SealKeyError::NotBase64));
        assert_eq!(format!("{:?}", SealKey::parse(KEY)), "Ok(SealKey(...))");
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_its_bound_alone() {
        let sealer = sealer(&[KEY]);
        let sealed = sealer.seal(Purpose::Flow, "web", b"secret");

        for purpose in PURPOSES {
            for bound in ["web", "we", "webs", ""] {
                let opened = sealer.open(purpose, bound, sealed.as_bytes());
                let ours = purpose == Purpose::Flow && bound == "web";
                assert_eq!(
                    opened,
                    ours.then(|| b"secret".to_vec()),
                    "{purpose:?} {bound}"
                );
            }
        }
        let under = sealer.open_under(b"", Purpose::Flow, sealed.as_bytes());
        assert_eq!(under, None);
    }

    #[test]
    fn what_lies_under_a_handle_opens_with_the_handle_and_the_ring() {
        let (ours, theirs) = (sealer(&[KEY]), sealer(&[OTHER]));
        let sealed = ours.seal_under(b"handle", Purpose::Session, b"secret");

        let open = |sealer: &Sealer, handle: &[u8], purpose| {
            sealer.open_under(handle, purpose, sealed.as_bytes())
        };
        assert_eq!(
            open(&ours, b"handle", Purpose::Session),
            Some(b"secret".to_vec())
        );
        assert_eq!(open(&ours, b"handlf", Purpose::Session), None);
        assert_eq!(open(&ours, b"handle", Purpose::Flow), None);
        assert_eq!(open(&theirs, b"handle", Purpose::Session), None);
        assert_eq!(ours.open(Purpose::Session, "", sealed.as_bytes()), None);
    }

    #[test]
    fn a_new_key_goes_in_front_and_the_old_one_opens_until_it_leaves() {
        let old = sealer(&[KEY]).seal(Purpose::Session, "", b"old");
        let both = sealer(&[OTHER, KEY]);
        let new = both.seal(Purpose::Session, "", b"new");

        let open =
            |sealer: &Sealer, sealed: &str| sealer.open(Purpose::Session, "", sealed.as_bytes());
        assert_eq!(open(&both, &old), Some(b"old".to_vec()));
        assert_eq!(open(&both, &new), Some(b"new".to_vec()));
        assert_eq!(open(&sealer(&[OTHER]), &new), Some(b"new".to_vec()));
        assert_eq!(open(&sealer(&[OTHER]), &old), None);
        assert_eq!(open(&sealer(&[KEY]), &new), None);
    }

    #[test]
    fn without_keys_each_process_has_its_own() {
        let (one, other) = (sealer(&[]), sealer(&[]));
        let sealed = one.seal(Purpose::Choice, "", b"web");

        assert!(!one.is_lasting() && sealer(&[KEY]).is_lasting());
        assert!(one.open(Purpose::Choice, "", sealed.as_bytes()).is_some());
        assert!(other.open(Purpose::Choice, "", sealed.as_bytes()).is_none());
    }

    #[test]
    fn no_bit_may_be_turned_and_nothing_may_be_cut_off() {
        let sealer = sealer(&[KEY]);
        let sealed = sealer.seal(Purpose::Session, "web", b"who: anybody");
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        let opens = |bytes: &[u8]| {
            let text = URL_SAFE_NO_PAD.encode(bytes);
            sealer
                .open(Purpose::Session, "web", text.as_bytes())
                .is_some()
        };

        assert!(opens(&bytes));
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&turned), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(!opens(&bytes[..length]), "{length} bytes");
        }
        assert!(!opens(&[&bytes[..], &[0]].concat()));
        for text in [
            "",
            "A",
            "====",
            "\u{e9}",
            &format!("{sealed}="),
            &format!(" {sealed}"),
        ] {
            assert_eq!(
                sealer.open(Purpose::Session, "web", text.as_bytes()),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn a_text_at_the_bound_is_sealed_and_one_over_it_is_not() {
        let sealer = sealer(&[KEY]);
        for (length, fits) in [
            (PLAIN_BYTES_MAX - 1, true),
            (PLAIN_BYTES_MAX, true),
            (PLAIN_BYTES_MAX + 1, false),
        ] {
            let sealed = sealer.seal(Purpose::Session, "", &vec![7; length]);
            let opened = sealer.open(Purpose::Session, "", sealed.as_bytes());
            assert_eq!(opened.map(|plain| plain.len()), fits.then_some(length));
        }
        let endless = vec![b'A'; SEALED_CHARS_MAX + 1];
        assert_eq!(decode(&endless[1..]).map(|_| ()), Some(()));
        assert_eq!(decode(&endless), None);
    }

    /// CVE-2021-32791: a nonce that is always the same.
    #[test]
    fn a_million_seals_have_a_million_nonces() {
        let sealer = sealer(&[KEY]);
        let mut nonces: Vec<u128> = (0..1_000_000)
            .map(|_| {
                let sealed = sealer.seal(Purpose::Flow, "", b"");
                let bytes = URL_SAFE_NO_PAD.decode(sealed).unwrap();
                let nonce = &bytes[1 + ID_BYTES..HEAD_BYTES];
                nonce
                    .iter()
                    .fold(0, |number, byte| number << 8 | u128::from(*byte))
            })
            .collect();
        nonces.sort_unstable();
        nonces.dedup();

        assert_eq!(nonces.len(), 1_000_000);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(plain: Vec<u8>, bound: String) {
            let sealer = sealer(&[OTHER, KEY]);
            let sealed = sealer.seal(Purpose::Ticket, &bound, &plain);
            prop_assert_eq!(sealer.open(Purpose::Ticket, &bound, sealed.as_bytes()), Some(plain));
        }

        /// CVE-2023-35941: fields that are signed one behind the other, without their lengths.
        #[test]
        fn no_byte_moves_from_what_it_is_bound_to_into_the_text(
            bound in "[a-z]{1,8}",
            plain in "[a-z]{1,8}",
            moved in 1_usize..8,
        ) {
            let sealer = sealer(&[KEY]);
            let sealed = sealer.seal(Purpose::Flow, &bound, plain.as_bytes());
            let all = format!("{bound}{plain}");
            for other in [moved.min(all.len()), all.len() - moved.min(all.len())] {
                let other = all.get(..other).unwrap();
                if other != bound {
                    prop_assert_eq!(sealer.open(Purpose::Flow, other, sealed.as_bytes()), None);
                }
            }
        }

        #[test]
        fn what_nobody_sealed_never_opens(text: Vec<u8>) {
            let sealer = sealer(&[KEY]);
            prop_assert_eq!(sealer.open(Purpose::Session, "", &text), None);
            prop_assert_eq!(sealer.open_under(b"handle", Purpose::Session, &text), None);
        }
    }
}
