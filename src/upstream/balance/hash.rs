//! The key of a request, as a number.
//!
//! FNV-1a with a final mix. Neither secret nor seeded, so that every replica and every version
//! sends a key to the same endpoint; who chooses keys on purpose can therefore burden one endpoint,
//! as with any affinity.

use super::HashSource;
use crate::message::cookie;
use http::HeaderMap;
use std::net::IpAddr;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The hash of some bytes.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let folded = bytes.iter().fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    mix(folded)
}

/// Spreads every bit over all others (the finaliser of MurmurHash3).
pub(super) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ (word >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

impl HashSource {
    /// The hash of a request's key, if it has one. `client` is the client's address.
    pub(in crate::upstream) fn hash_of(&self, headers: &HeaderMap, client: IpAddr) -> Option<u64> {
        match self {
            Self::Header(name) => headers.get(name).map(|value| hash(value.as_bytes())),
            Self::Cookie(name) => cookie::values(headers, name).next().map(hash),
            Self::Address => Some(match client.to_canonical() {
                IpAddr::V4(address) => hash(&address.octets()),
                IpAddr::V6(address) => hash(&address.octets()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use std::sync::Arc;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::try_from(*name).unwrap();
                (name, HeaderValue::try_from(*value).unwrap())
            })
            .collect()
    }

    #[track_caller]
    fn check_cookie(lines: &[&str], expected: Option<&str>) {
        let mut map = HeaderMap::new();
        for line in lines {
            map.append(COOKIE, HeaderValue::try_from(*line).unwrap());
        }
        let source = HashSource::Cookie(Arc::from("sid"));
        let expected = expected.map(|text| hash(text.as_bytes()));
        assert_eq!(source.hash_of(&map, CLIENT), expected, "{lines:?}");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        check_cookie(&["sid=7"], Some("7"));
        check_cookie(&["a=1; sid=7 ; b=2"], Some("7"));
        check_cookie(&["a=1", "sid=7"], Some("7"));
        check_cookie(&["a=1;sid="], Some(""));
        check_cookie(&["xsid=7; sidx=8; sid"], None);
        check_cookie(&[], None);
    }

    #[test]
    fn a_header_is_a_key_and_its_absence_is_none() {
        let source = HashSource::Header(HeaderName::from_static("x-user"));

        let key = source.hash_of(&headers(&[("x-user", "ann")]), CLIENT);

        assert_eq!(key, Some(hash(b"ann")));
        assert_eq!(source.hash_of(&HeaderMap::new(), CLIENT), None);
    }

    #[test]
    fn an_address_is_the_same_key_within_ipv6() {
        let source = HashSource::Address;
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();

        let (key, other) = (
            source.hash_of(&HeaderMap::new(), CLIENT),
            source.hash_of(&HeaderMap::new(), mapped),
        );

        assert!(key.is_some());
        assert_eq!(key, other);
    }

    #[test]
    fn a_key_has_the_same_hash_in_every_version() {
        assert_eq!(hash(b""), mix(OFFSET));
        assert_eq!(hash(b"ann"), 0x6ef4_c3ab_a814_f113);
    }

    proptest! {
        #[test]
        fn no_cookie_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut map = HeaderMap::new();
                map.insert(COOKIE, value);
                let _unused = HashSource::Cookie(Arc::from("sid")).hash_of(&map, CLIENT);
            }
        }
    }
}
