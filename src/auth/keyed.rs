//! Which texts are one, told by digests, so that no credential stays in memory.
//!
//! A digest is made in two steps with a key that only this process ever has. The first one makes 16
//! bytes of a text of any length: the tag of AES-256-GCM over it, that is a polynomial at a secret
//! point. Whoever does not know the point finds two texts of one tag with a chance of less than one
//! in 2^116 a try, whatever he makes up, for texts of up to 64 KiB: and he is shown no tag, only
//! whether two texts were taken for one. It takes a fraction of what SHA-256 takes for a long text. But
//! whoever knows the point can reckon back from it, so that the second step is SHA-256 over key and
//! tag: a copy of our memory gives away no more of a password or a token than lets one try whether a
//! guess is right.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};

/// The digest of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl Digest {
    #[cfg(test)]
    pub(super) const fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its last byte, by which a shard is chosen; a table goes by bytes that this leaves alone.
    pub(super) const fn last(self) -> u8 {
        let [.., last] = self.0;
        last
    }
}

/// Takes the first eight bytes of a digest as its hash: they cannot be chosen from outside.
#[derive(Default)]
pub(super) struct Front(u64);

impl std::hash::Hasher for Front {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(front) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*front);
        }
    }
}

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// The nonce of texts of several parts.
const PARTS: [u8; NONCE_LEN] = [0; NONCE_LEN];
/// That of a text that is one part: a list of several reads like none of these.
const ALONE: [u8; NONCE_LEN] = [1; NONCE_LEN];

/// Makes digests. Each memory has its own, so that the key of one says nothing in another.
pub(super) struct Keyed {
    tags: LessSafeKey,
    key: [u8; KEY_BYTES],
}

impl Keyed {
    /// With a new key. None if the machine gives no random bytes.
    pub(super) fn new() -> Option<Self> {
        let (mut tags, mut key) = ([0; KEY_BYTES], [0; KEY_BYTES]);
        rand::fill(&mut tags).ok()?;
        rand::fill(&mut key).ok()?;
        let tags = UnboundKey::new(&AES_256_GCM, &tags).ok()?;
        Some(Self {
            tags: LessSafeKey::new(tags),
            key,
        })
    }

    /// The digest of a text. None: it is longer than can be.
    pub(super) fn text(&self, text: &[u8]) -> Option<Digest> {
        self.of(PARTS, text)
    }

    fn of(&self, kind: [u8; NONCE_LEN], text: &[u8]) -> Option<Digest> {
        // Nobody is ever shown what comes of it, so one nonce serves for all of a kind.
        let nonce = Nonce::assume_unique_for_key(kind);
        let aad = Aad::from(text);
        let tag = self.tags.seal_in_place_separate_tag(nonce, aad, &mut []);
        let mut block = [0; KEY_BYTES + TAG_BYTES];
        let (key, tail) = block.split_at_mut(KEY_BYTES);
        key.copy_from_slice(&self.key);
        tail.copy_from_slice(tag.ok()?.as_ref());
        let digest = digest::digest(&digest::SHA256, &block);
        digest.as_ref().try_into().ok().map(Digest)
    }

    /// The digest of parts that stand for themselves.
    pub(super) fn parts(&self, parts: &[&[u8]]) -> Option<Digest> {
        if let [only] = parts {
            // As it stands, without a copy.
            return self.of(ALONE, only);
        }
        // Beside each part its kind and its length, of ten bytes at most.
        let bytes = parts.iter().map(|part| part.len() + 11).sum();
        let mut text = Text(Vec::with_capacity(bytes));
        for part in parts {
            text.part(b'p', part);
        }
        self.text(&text.0)
    }
}

/// Parts behind each other, each with its kind and its length, so that no two different lists read
/// alike, whichever bytes somebody moves from one to the next.
pub(super) struct Text(pub(super) Vec<u8>);

impl Text {
    pub(super) fn part(&mut self, kind: u8, bytes: &[u8]) {
        self.0.push(kind);
        // Seven bits to a byte, the last one below 128: most lengths take one byte.
        let mut rest = bytes.len();
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self.0.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_memory_has_a_key_of_its_own() {
        let digest = || Keyed::new().unwrap().text(b"hunter2").unwrap();

        assert_ne!(digest(), digest());
    }

    #[test]
    fn a_digest_is_none_of_the_tags_that_it_was_made_of() {
        let keyed = Keyed::new().unwrap();
        let text = b"hunter2";
        let nonce = Nonce::assume_unique_for_key(PARTS);
        let sealed = keyed
            .tags
            .seal_in_place_separate_tag(nonce, Aad::from(text), &mut []);
        let tag = sealed.unwrap();

        let Digest(digest) = keyed.text(text).unwrap();

        assert!(
            !digest
                .windows(4)
                .any(|four| tag.as_ref().windows(4).any(|one| one == four))
        );
    }

    #[test]
    fn one_part_is_another_text_than_any_list_of_parts() {
        let keyed = Keyed::new().unwrap();
        let written = keyed.parts(&[b"a", b"b"]).unwrap();

        let as_it_is_written = keyed.parts(&[b"p\x01ap\x01b"]).unwrap();

        assert_ne!(written, as_it_is_written);
        assert_eq!(keyed.parts(&[b"a"]), keyed.parts(&[b"a"]));
        assert_ne!(keyed.parts(&[b"a"]), keyed.parts(&[b"a", b""]));
    }

    #[test]
    fn lengths_of_several_bytes_hold_parts_apart_too() {
        let keyed = Keyed::new().unwrap();
        let text = vec![b'a'; 40_000];
        let cuts = [
            0, 1, 127, 128, 129, 255, 256, 16_383, 16_384, 32_768, 40_000,
        ];
        let digests = cuts.map(|cut| {
            let (front, back) = text.split_at(cut);
            keyed.parts(&[front, back]).unwrap()
        });

        for (at, one) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(one), "cut at {}", cuts[at]);
        }
    }

    proptest! {
        /// CVE-2023-35941's shape: fields without borders between them.
        #[test]
        fn bytes_moved_from_one_part_to_the_next_make_another_question(
            text in "[a-z:|;=]{1,20}",
            one in 0usize..20,
            other in 0usize..20,
        ) {
            let keyed = Keyed::new().unwrap();
            let cut = |at: usize| {
                let (front, back) = text.split_at(at.min(text.len()));
                keyed.parts(&[front.as_bytes(), back.as_bytes()])
            };
            let same = one.min(text.len()) == other.min(text.len());
            prop_assert_eq!(cut(one) == cut(other), same);
        }

        #[test]
        fn texts_that_differ_in_a_bit_or_in_their_length_have_digests_of_their_own(
            text in prop::collection::vec(any::<u8>(), 1..3_000),
            at: prop::sample::Index,
            bit in 0_u8..8,
        ) {
            let keyed = Keyed::new().unwrap();
            let own = keyed.text(&text);
            let mut other = text.clone();
            other[at.index(text.len())] ^= 1 << bit;

            prop_assert_eq!(own, keyed.text(&text));
            prop_assert_ne!(own, keyed.text(&other));
            // Zeros behind a text are what a polynomial does not see without its length.
            prop_assert_ne!(own, keyed.text(&[&text[..], &[0; 16]].concat()));
            prop_assert_ne!(own, keyed.text(&text[..text.len() - 1]));
        }
    }
}
