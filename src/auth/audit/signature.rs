//! `edgespan-signature`: by it a receiver knows that an event is ours, and how old it is.
//!
//! `t={unix seconds},v1={hex of HMAC-SHA256(secret, t + "." + body)}`. The time is covered, so
//! that an event that somebody kept cannot be sent again later.

use crate::clock::Timestamp;
use crate::trace::hex;
use aws_lc_rs::hmac;
use http::{HeaderName, HeaderValue};

/// The header.
pub(super) const EDGESPAN_SIGNATURE: HeaderName = HeaderName::from_static("edgespan-signature");

/// Its value for a body that is sent now.
pub(super) fn of(key: &hmac::Key, now: Timestamp, body: &[u8]) -> Option<HeaderValue> {
    let seconds = now.as_unix_nanos() / 1_000_000_000;
    let mut signer = hmac::Context::with_key(key);
    signer.update(seconds.to_string().as_bytes());
    signer.update(b".");
    signer.update(body);
    let tag = hex::text(signer.sign().as_ref());
    HeaderValue::try_from(format!("t={seconds},v1={tag}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_any_other_program_computes() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        let now = Timestamp::from_unix_nanos(1_700_000_000_999_999_999);

        let value = of(&key, now, br#"{"a":1}"#).unwrap();

        assert_eq!(value, EXPECTED);
    }

    const EXPECTED: &str =
        "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
}
