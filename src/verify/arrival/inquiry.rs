//! The question: a request that proves that its sender has the secret.
//!
//! `v1 <key id> <unix seconds> <nonce> <hmac>`, with one space between. The nonce is 16 random
//! bytes in hex, the HMAC-SHA256 covers label, method, path, seconds and nonce. The query is not
//! covered, since hops add to it; neither is the host, since they rewrite it.

use super::secret::{SharedSecret, unhex};
use super::{PATH, WINDOW};
use crate::trace::hex;
use aws_lc_rs::hmac;
use http::{HeaderValue, Method};
use std::fmt;

/// What makes two questions different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 16]);

impl Nonce {
    /// A fresh one, of the system's randomness. None if the system has none.
    pub fn fresh() -> Option<Self> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::text(&self.0))
    }
}

/// A question as it was read, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// Which secret signed it, see [`SharedSecret::id`].
    pub key_id: Box<str>,
    /// When, in seconds since 1970.
    pub unix_seconds: u64,
    /// What makes it different from all others.
    pub nonce: Nonce,
    tag: [u8; 32],
}

impl Inquiry {
    /// The value of [`VERIFY_HEADER`](super::VERIFY_HEADER) for one request. A WebSocket is signed
    /// with GET, whichever method opens it on the way.
    pub fn sign(
        secret: &SharedSecret,
        method: &Method,
        unix_seconds: u64,
        nonce: Nonce,
    ) -> Option<HeaderValue> {
        let covered = covered(method, unix_seconds, nonce);
        let tag = hmac::sign(&secret.inquiry, covered.as_bytes());
        let id = secret.id();
        let tag = hex::text(tag.as_ref());
        let value = format!("v1 {id} {unix_seconds} {nonce} {tag}");
        HeaderValue::try_from(value).ok()
    }

    /// Reads the header. None: it is not one of this version.
    pub fn read(value: &HeaderValue) -> Option<Self> {
        let mut fields = value.to_str().ok()?.split(' ');
        if fields.next()? != "v1" {
            return None;
        }
        let key_id = fields.next()?;
        let seconds = fields.next().filter(|text| is_number(text))?;
        let nonce = Nonce(unhex(fields.next()?)?);
        let tag = unhex(fields.next()?)?;
        if fields.next().is_some() {
            return None;
        }
        unhex::<2>(key_id)?;
        Some(Self {
            key_id: key_id.into(),
            unix_seconds: seconds.parse().ok()?,
            nonce,
            tag,
        })
    }

    /// Whether this secret signed it, for this method. Compared in constant time.
    pub fn is_signed_by(&self, secret: &SharedSecret, method: &Method) -> bool {
        let covered = covered(method, self.unix_seconds, self.nonce);
        hmac::verify(&secret.inquiry, covered.as_bytes(), &self.tag).is_ok()
    }

    /// Whether it was signed within [`WINDOW`] of `now`, before or after.
    pub const fn is_fresh(&self, now_unix_seconds: u64) -> bool {
        self.unix_seconds.abs_diff(now_unix_seconds) <= WINDOW.as_secs()
    }
}

fn covered(method: &Method, unix_seconds: u64, nonce: Nonce) -> String {
    format!("edgespan.arrival/1\n{method}\n{PATH}\n{unix_seconds}\n{nonce}")
}

/// Digits alone: `parse` would also take a sign.
fn is_number(text: &str) -> bool {
    text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(text: &str) -> SharedSecret {
        SharedSecret::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_question_is_believed_under_its_secret_and_method_alone() {
        let (own, other) = (secret("0123456789abcdef"), secret("0123456789abcdeF"));
        let nonce = Nonce([7; 16]);
        let value = Inquiry::sign(&own, &Method::GET, 1_763_766_000, nonce).unwrap();

        let read = Inquiry::read(&value).unwrap();

        assert_eq!((read.unix_seconds, read.nonce), (1_763_766_000, nonce));
        assert_eq!(*read.key_id, own.id());
        assert!(read.is_signed_by(&own, &Method::GET));
        assert!(!read.is_signed_by(&own, &Method::POST));
        assert!(!read.is_signed_by(&other, &Method::GET));
    }

    #[test]
    fn a_question_is_fresh_for_a_minute_before_and_after() {
        let value = Inquiry::sign(
            &secret("0123456789abcdef"),
            &Method::GET,
            1000,
            Nonce([0; 16]),
        );
        let read = Inquiry::read(&value.unwrap()).unwrap();

        assert!([940, 1000, 1060].iter().all(|now| read.is_fresh(*now)));
        assert!([939, 1061, 0].iter().all(|now| !read.is_fresh(*now)));
    }

    #[test]
    fn what_is_not_exactly_a_question_is_none() {
        let (id, nonce, tag) = ("7f3a", "00".repeat(16), "11".repeat(32));
        let read = |text: String| Inquiry::read(&HeaderValue::try_from(text).unwrap());

        assert!(read(format!("v1 {id} 1 {nonce} {tag}")).is_some());
        for bad in [
            String::new(),
            format!("v2 {id} 1 {nonce} {tag}"),
            format!("v1 {id} +1 {nonce} {tag}"),
            format!("v1 {id}  {nonce} {tag}"),
            format!("v1 {id} 1 {nonce} {tag} "),
            format!("v1  {id} 1 {nonce} {tag}"),
            format!("v1 {id} 1 {nonce}0 {tag}"),
            format!("v1 {id} 1 {nonce} {}", "A1".repeat(32)),
            format!("v1 zzzz 1 {nonce} {tag}"),
            format!("v1 {id} 1234567890123 {nonce} {tag}"),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_change_of_a_question_is_believed(seconds in 0_u64..9_999_999_999, bytes: [u8; 16], at in 0_usize..120, to in b'!'..=b'~') {
            let own = secret("0123456789abcdef");
            let value = Inquiry::sign(&own, &Method::GET, seconds, Nonce(bytes)).unwrap();
            let mut changed = value.as_bytes().to_vec();
            let at = at % changed.len();
            prop_assume!(changed[at] != to);
            changed[at] = to;

            let read = Inquiry::read(&HeaderValue::from_bytes(&changed).unwrap());

            // The key's name only helps to choose: it is no part of the proof.
            let by_name = (3..7).contains(&at);
            prop_assert!(by_name || read.is_none_or(|read| !read.is_signed_by(&own, &Method::GET)));
        }
    }
}
