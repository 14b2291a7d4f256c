//! What makes two questions one: everything that the answer may depend on, as one keyed digest.

use super::CacheKeyPart;
use crate::auth::Asked;
use crate::auth::keyed::{Digest, Keyed, Text};
use crate::message::cookie;
use crate::trace::propagate::is_context_header;
use http::{HeaderMap, HeaderName, Version};

/// What is asked about, as far as answers may depend on it.
#[derive(Clone, Copy)]
pub(in crate::auth) struct KeyFacts<'a> {
    /// The request.
    pub(in crate::auth) asked: &'a Asked<'a>,
    /// Whether the authorizer gets the fields of this name, apart from trace context.
    pub(in crate::auth) is_told: &'a dyn Fn(&HeaderName) -> bool,
}

impl Keyed {
    /// The digest of a question, by these parts; None: by everything that the authorizer gets.
    ///
    /// The route is always part of it: it may override what is asked and required, and one
    /// route's answer is no other's.
    pub(super) fn question(
        &self,
        parts: Option<&[CacheKeyPart]>,
        facts: &KeyFacts<'_>,
    ) -> Option<Digest> {
        let mut text = Text(Vec::with_capacity(2_048));
        text.part(b'r', facts.asked.route.as_bytes());
        // A redirect to a login is no answer to who asks for a WebSocket.
        text.part(b'u', &[u8::from(facts.asked.upgrades)]);
        // A credential that no field has to be named for.
        if let Some(certificate) = facts.asked.certificate {
            text.part(b'c', certificate.sha256.as_bytes());
        }
        match parts {
            Some(parts) => {
                for part in parts {
                    text.chosen(part, facts);
                }
            }
            None => text.everything(facts),
        }
        self.text(&text.0)
    }
}

impl Text {
    fn chosen(&mut self, part: &CacheKeyPart, facts: &KeyFacts<'_>) {
        let asked = facts.asked;
        match part {
            CacheKeyPart::Method => self.part(b'm', asked.method.as_str().as_bytes()),
            CacheKeyPart::Host => self.host(asked),
            CacheKeyPart::Path => self.part(b'a', asked.target.path().as_bytes()),
            CacheKeyPart::Query => {
                let query = asked.target.query();
                self.part(b'q', query.unwrap_or_default().as_bytes());
            }
            CacheKeyPart::Address => self.address(asked),
            CacheKeyPart::Header(name) => self.header(name, asked.headers),
            CacheKeyPart::Cookie(name) => self.cookie(name, asked.headers),
        }
        // Where a part begins and ends is told even if it occurs never or several times.
        self.0.push(b'|');
    }

    fn everything(&mut self, facts: &KeyFacts<'_>) {
        let asked = facts.asked;
        self.part(b'm', asked.method.as_str().as_bytes());
        self.host(asked);
        self.part(b't', asked.target.as_str().as_bytes());
        self.address(asked);
        self.part(b'v', version(asked.version));
        self.part(b'l', asked.listener.as_bytes());
        // Of trace context each request has its own, and no answer hangs on it.
        let told = |name: &HeaderName| (facts.is_told)(name) && !is_context_header(name);
        // As they stand, values of one name behind each other: no name is looked up again.
        for (name, value) in asked.headers.iter().filter(|(name, _)| told(name)) {
            self.part(b'n', name.as_str().as_bytes());
            self.part(b'h', value.as_bytes());
        }
    }

    fn host(&mut self, asked: &Asked<'_>) {
        self.part(b's', asked.scheme.as_bytes());
        self.part(b'o', asked.host.as_bytes());
        let port = asked.port.map(u16::to_le_bytes);
        self.part(b'o', port.as_ref().map_or(&[], <[u8; 2]>::as_slice));
    }

    fn address(&mut self, asked: &Asked<'_>) {
        match asked.client.to_canonical() {
            std::net::IpAddr::V4(address) => self.part(b'4', &address.octets()),
            std::net::IpAddr::V6(address) => self.part(b'6', &address.octets()),
        }
    }

    fn header(&mut self, name: &HeaderName, headers: &HeaderMap) {
        for value in headers.get_all(name) {
            self.part(b'h', value.as_bytes());
        }
    }

    /// Every cookie of the name: which of two an authorizer reads is its own affair.
    fn cookie(&mut self, name: &str, headers: &HeaderMap) {
        for value in cookie::values(headers, name) {
            self.part(b'k', value);
        }
    }
}

const fn version(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_2 => b"2",
        Version::HTTP_3 => b"3",
        _ => b"1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::cache::tests::asked;
    use http::{HeaderValue, Method};

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::try_from(*name).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    /// Whether two requests, each a target and headers, are one question.
    fn same(
        parts: Option<&[CacheKeyPart]>,
        one: (&str, &[(&str, &str)]),
        other: (&str, &[(&str, &str)]),
    ) -> bool {
        let keyed = Keyed::new().unwrap();
        let digest = |(target, headers): (&str, &[(&str, &str)])| {
            let (headers, target) = (map(headers), target.parse().unwrap());
            let asked = asked(&Method::GET, &target, &headers);
            let facts = KeyFacts {
                asked: &asked,
                is_told: &|_| true,
            };
            keyed.question(parts, &facts)
        };
        digest(one) == digest(other)
    }

    #[test]
    fn by_itself_everything_that_is_sent_counts() {
        let of = |one, other| same(None, one, other);

        assert!(of(
            ("/a?x=1", &[("cookie", "a=1")]),
            ("/a?x=1", &[("cookie", "a=1")])
        ));
        assert!(!of(("/a", &[]), ("/b", &[])));
        assert!(!of(("/a?x=1", &[]), ("/a?x=2", &[])));
        assert!(!of(
            ("/a", &[("cookie", "a=1")]),
            ("/a", &[("cookie", "a=2")])
        ));
        assert!(!of(("/a", &[("cookie", "a=1")]), ("/a", &[])));
        assert!(!of(
            ("/a", &[("x-a", "1"), ("x-a", "2")]),
            ("/a", &[("x-a", "1"), ("x-a", "3")])
        ));
    }

    #[test]
    fn trace_context_makes_no_question_of_its_own() {
        let traced = |id: &'static str| [("traceparent", id), ("baggage", id), ("accept", "a")];

        assert!(same(None, ("/a", &traced("1")), ("/a", &traced("2"))));
    }

    #[test]
    fn a_chosen_key_is_blind_for_everything_else() {
        let session = [CacheKeyPart::Cookie("sid".into())];
        let of = |one, other| same(Some(&session), one, other);

        assert!(of(
            ("/a", &[("cookie", "sid=1; theme=dark")]),
            ("/b", &[("cookie", "theme=light"), ("cookie", "sid=1")])
        ));
        assert!(!of(
            ("/a", &[("cookie", "sid=1")]),
            ("/a", &[("cookie", "sid=2")])
        ));
        assert!(!of(("/a", &[("cookie", "sid=")]), ("/a", &[])));
        assert!(!of(
            ("/a", &[("cookie", "sid=1")]),
            ("/a", &[("cookie", "sid=1; sid=2")])
        ));
    }

    #[test]
    fn cve_2026_33496_the_same_token_on_another_route_is_another_question() {
        let keyed = Keyed::new().unwrap();
        let (headers, target) = (map(&[("authorization", "Bearer x")]), "/".parse().unwrap());
        let one = asked(&Method::GET, &target, &headers);
        let other = Asked {
            route: "admin",
            ..one
        };
        let parts = [CacheKeyPart::Header(http::header::AUTHORIZATION)];
        for parts in [None, Some(parts.as_slice())] {
            let digest = |asked| {
                let is_told = &|_: &HeaderName| true;
                keyed.question(parts, &KeyFacts { asked, is_told })
            };
            assert_ne!(digest(&one), digest(&other));
            assert_eq!(digest(&one), digest(&one));
        }
    }
}
