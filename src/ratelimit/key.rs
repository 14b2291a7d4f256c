//! Whose bucket a request takes from.
//!
//! The parts of a key are fed one after the other, each with its kind and its length, so that no
//! two different keys read alike. In this process they become a hash that no client can foresee; in
//! Redis a digest, because what is hashed may be an API key.

use super::settings::{KeyPart, MissingKey, RateLimitSettings};
use super::table::KeyHash;
use crate::message::cookie;
use aws_lc_rs::digest;
use http::HeaderMap;
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};

/// Bytes of the digest in a Redis key: 128 bits meet by chance in no lifetime.
const DIGEST_BYTES: usize = 16;

/// What keys are made of.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    /// The client, by trusted peers' word.
    pub client: IpAddr,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The name of its route.
    pub route: Option<&'a str>,
    /// The name of its listener.
    pub listener: &'a str,
    /// Whether it is a CORS preflight.
    pub is_preflight: bool,
    /// Who its client is, once that was proved.
    pub known: Option<Known<'a>>,
}

/// Who a client is.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The policy that knows it.
    pub policy: &'a str,
    /// Its name there.
    pub subject: &'a str,
    /// Which API key it showed; None: it is known by something else.
    pub api_key: Option<&'a str>,
}

/// Takes the parts of a key.
trait Sink {
    fn bytes(&mut self, bytes: &[u8]);
}

struct Keyed<H>(H);

impl<H: Hasher> Sink for Keyed<H> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }
}

impl Sink for digest::Context {
    fn bytes(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// The key's hash in this process. None: the limit does not apply.
pub(super) fn local(
    limit: &RateLimitSettings,
    facts: &KeyFacts<'_>,
    secret: &RandomState,
) -> Option<KeyHash> {
    let mut sink = Keyed(secret.build_hasher());
    feed(limit, facts, &mut sink)?;
    Some(KeyHash::new(sink.0.finish()))
}

/// The key in Redis. None: the limit does not apply.
pub(super) fn shared(
    limit: &RateLimitSettings,
    facts: &KeyFacts<'_>,
    prefix: &str,
) -> Option<String> {
    let mut sink = digest::Context::new(&digest::SHA256);
    feed(limit, facts, &mut sink)?;
    let digest = sink.finish();
    let mut key = String::with_capacity(prefix.len() + limit.name.len() + 1 + 2 * DIGEST_BYTES);
    key.push_str(prefix);
    key.push_str(&limit.name);
    key.push(':');
    for byte in digest.as_ref().iter().take(DIGEST_BYTES) {
        let written = write!(key, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
    Some(key)
}

fn feed(limit: &RateLimitSettings, facts: &KeyFacts<'_>, sink: &mut impl Sink) -> Option<()> {
    if facts.is_preflight && !limit.preflights {
        return None;
    }
    for part in &limit.key {
        let there = match part {
            KeyPart::Address => {
                address(facts.client, limit.ipv6_prefix, sink);
                true
            }
            KeyPart::Header(name) => {
                let mut there = false;
                for value in facts.headers.get_all(name) {
                    text(b'h', value.as_bytes(), sink);
                    there = true;
                }
                there
            }
            KeyPart::Cookie(name) => match cookie::values(facts.headers, name).next() {
                Some(value) => {
                    text(b'c', value, sink);
                    true
                }
                None => false,
            },
            KeyPart::Route => match facts.route {
                Some(route) => {
                    text(b'r', route.as_bytes(), sink);
                    true
                }
                // Not having a route is no choice of the client's: all these share a bucket.
                None => {
                    sink.bytes(b"-");
                    true
                }
            },
            KeyPart::Listener => {
                text(b'l', facts.listener.as_bytes(), sink);
                true
            }
            KeyPart::Identity => known(facts.known, sink),
            KeyPart::ApiKey => match facts.known.and_then(|known| known.api_key) {
                Some(api_key) => {
                    text(b'k', api_key.as_bytes(), sink);
                    known(facts.known, sink)
                }
                None => false,
            },
        };
        if !there {
            match limit.missing {
                MissingKey::Pass => return None,
                MissingKey::Share => sink.bytes(b"-"),
            }
        }
        sink.bytes(b"|");
    }
    Some(())
}

/// Two policies may know different clients by one name.
fn known(known: Option<Known<'_>>, sink: &mut impl Sink) -> bool {
    let Some(known) = known else { return false };
    text(b'p', known.policy.as_bytes(), sink);
    text(b's', known.subject.as_bytes(), sink);
    true
}

fn text(kind: u8, text: &[u8], sink: &mut impl Sink) {
    sink.bytes(&[kind]);
    sink.bytes(&(text.len() as u64).to_le_bytes());
    sink.bytes(text);
}

/// IPv4 as it is, whether or not it came within IPv6; of IPv6 the leading bits that one client
/// has: a household gets a /64 or more, and could use another address for each request.
fn address(client: IpAddr, ipv6_prefix: u8, sink: &mut impl Sink) {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            sink.bytes(b"4");
            sink.bytes(&address.octets());
        }
        IpAddr::V6(address) => {
            let below = 128_u32.saturating_sub(ipv6_prefix.into());
            let mask = u128::MAX.checked_shl(below).unwrap_or(0);
            let network = Ipv6Addr::from_bits(address.to_bits() & mask);
            sink.bytes(b"6");
            sink.bytes(&network.octets());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratelimit::gcra::Quota;
    use crate::ratelimit::settings::{LimitHeaders, RateLimitStore};
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn limit(key: Vec<KeyPart>) -> RateLimitSettings {
        RateLimitSettings {
            name: Arc::from("per-client"),
            quota: Quota::new(1, Duration::from_secs(1), 1),
            key,
            missing: MissingKey::Share,
            ipv6_prefix: 64,
            store: RateLimitStore::Local,
            keys_max: 16,
            enforce: true,
            preflights: true,
            headers: LimitHeaders::Off,
        }
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::try_from(*name).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn key(limit: &RateLimitSettings, client: &str, pairs: &[(&str, &str)]) -> Option<String> {
        let headers = headers(pairs);
        let facts = KeyFacts {
            client: client.parse().unwrap(),
            headers: &headers,
            route: Some("orders"),
            listener: "web",
            is_preflight: false,
            known: None,
        };
        shared(limit, &facts, "{edgespan}:")
    }

    #[test]
    fn one_client_is_one_ipv4_address_or_one_ipv6_network() {
        let by_64 = limit(vec![KeyPart::Address]);
        let by_128 = RateLimitSettings {
            ipv6_prefix: 128,
            ..by_64.clone()
        };
        let same =
            |limit: &RateLimitSettings, one, other| key(limit, one, &[]) == key(limit, other, &[]);

        assert!(same(&by_64, "10.0.0.1", "::ffff:10.0.0.1"));
        assert!(!same(&by_64, "10.0.0.1", "10.0.0.2"));
        assert!(same(&by_64, "2001:db8::1", "2001:db8::ffff:2"));
        assert!(!same(&by_64, "2001:db8::1", "2001:db8:0:1::1"));
        assert!(!same(&by_128, "2001:db8::1", "2001:db8::2"));
    }

    #[test]
    fn without_its_header_a_request_shares_a_bucket_or_is_not_limited() {
        let shares = limit(vec![KeyPart::Header(HeaderName::from_static("x-api-key"))]);
        let passes = RateLimitSettings {
            missing: MissingKey::Pass,
            ..shares.clone()
        };

        assert_eq!(key(&shares, "10.0.0.1", &[]), key(&shares, "10.0.0.2", &[]));
        assert_ne!(
            key(&shares, "10.0.0.1", &[]),
            key(&shares, "10.0.0.1", &[("x-api-key", "")])
        );
        assert_eq!(key(&passes, "10.0.0.1", &[]), None);
        assert!(key(&passes, "10.0.0.1", &[("x-api-key", "a")]).is_some());
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let limit = limit(vec![KeyPart::Cookie("sid".into())]);
        let with = |text| key(&limit, "10.0.0.1", &[("cookie", text)]);

        assert_eq!(with("sid=a"), with("other=b; sid=a"));
        assert_ne!(with("sid=a"), with("sid=b"));
        assert_eq!(with("xsid=a"), with("sidx=b"), "both lack it");
    }

    #[test]
    fn a_client_is_known_by_its_name_and_the_policy_that_knows_it() {
        let limits = [KeyPart::Identity, KeyPart::ApiKey].map(|part| limit(vec![part]));
        let [by_identity, by_key] = &limits;
        let headers = HeaderMap::new();
        let key = |limit: &RateLimitSettings, client: &str, known| {
            let facts = KeyFacts {
                client: client.parse().unwrap(),
                headers: &headers,
                route: None,
                listener: "web",
                is_preflight: false,
                known,
            };
            shared(limit, &facts, "").unwrap()
        };
        let known = |policy, subject, api_key| {
            let known = Known {
                policy,
                subject,
                api_key,
            };
            Some(known)
        };
        let ada = known("ops", "ada", None);

        assert!(limits.iter().all(RateLimitSettings::goes_by_identity));
        assert_eq!(
            key(by_identity, "10.0.0.1", ada),
            key(by_identity, "10.0.0.2", ada)
        );
        for other in [
            known("ops", "eve", None),
            known("partners", "ada", None),
            known("op", "sada", None),
            None,
        ] {
            assert_ne!(
                key(by_identity, "10.0.0.1", ada),
                key(by_identity, "10.0.0.1", other)
            );
        }
        let anonymous = key(by_key, "10.0.0.1", None);
        assert_eq!(key(by_key, "10.0.0.1", ada), anonymous, "shown no key");
        let by = |api_key| known("ops", "ada", Some(api_key));
        let first = key(by_key, "10.0.0.1", by("d0c04f4b"));
        assert_ne!(first, anonymous);
        assert_eq!(first, key(by_key, "10.0.0.2", by("d0c04f4b")));
        assert_ne!(first, key(by_key, "10.0.0.1", by("0badcafe")), "another");
        assert_eq!(
            key(by_identity, "10.0.0.1", by("d0c04f4b")),
            key(by_identity, "10.0.0.1", by("0badcafe")),
            "keys of one owner"
        );
    }

    #[test]
    fn preflights_are_left_out_where_that_is_set() {
        let counts = limit(vec![]);
        let exempts = RateLimitSettings {
            preflights: false,
            ..counts.clone()
        };
        let headers = HeaderMap::new();
        let facts = KeyFacts {
            client: "10.0.0.1".parse().unwrap(),
            headers: &headers,
            route: None,
            listener: "web",
            is_preflight: true,
            known: None,
        };

        assert!(shared(&counts, &facts, "").is_some());
        assert!(shared(&exempts, &facts, "").is_none());
        assert!(local(&exempts, &facts, &RandomState::new()).is_none());
    }

    #[test]
    fn a_key_in_redis_has_the_hash_tag_and_tells_nothing_of_a_secret() {
        let limit = limit(vec![KeyPart::Header(HeaderName::from_static("x-api-key"))]);

        let key = key(&limit, "10.0.0.1", &[("x-api-key", "hunter2")]).unwrap();

        assert!(key.starts_with("{edgespan}:per-client:"), "{key}");
        assert!(!key.contains("hunter2"));
        assert_eq!(key.len(), "{edgespan}:per-client:".len() + 32);
    }

    proptest! {
        #[test]
        fn different_headers_are_different_keys(
            one in proptest::collection::vec("[a-c|,:-]{0,4}", 0..3),
            other in proptest::collection::vec("[a-c|,:-]{0,4}", 0..3),
            split in any::<bool>(),
        ) {
            let parts = ["x-a", "x-b"].map(|name| KeyPart::Header(HeaderName::from_static(name)));
            let limit = limit(parts.to_vec());
            let name = if split { "x-b" } else { "x-a" };
            let pairs = |values: &[String], name: &'static str| -> Vec<(String, String)> {
                values.iter().map(|value| (name.to_owned(), value.clone())).collect()
            };
            let of = |pairs: &[(String, String)]| {
                let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
                key(&limit, "10.0.0.1", &pairs)
            };
            let (left, right) = (pairs(&one, "x-a"), pairs(&other, name));
            let alike = left == right;

            prop_assert_eq!(of(&left) == of(&right), alike);
        }
    }
}
