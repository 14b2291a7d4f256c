//! Whether an answer is compressed, and what that does to its head.

use super::accept::{Choice, choose};
use super::encoder::Encoder;
use super::{CompressionRules, StreamPlace};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, response};

/// Digests of what the origin sent (RFC 9530, and what came before it). They do not hold for what
/// leaves, and nobody but the origin can vouch for it.
pub(super) const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Kinds of content that are never compressed, whatever the configuration says: what streams
/// events, and what has framing and compression of its own.
const NEVER: [&str; 2] = ["text/event-stream", "application/grpc"];

/// What a request says about the compression of its answer.
#[derive(Clone, Debug)]
pub struct Wanted {
    choice: Choice,
    /// Whether an answer to this request can be compressed at all.
    possible: bool,
    if_none_match: Option<HeaderValue>,
}

/// What becomes of an answer.
pub enum Verdict {
    /// It goes as it is.
    AsItIs,
    /// It would have been compressed, had there been a place.
    NoPlace,
    /// It is compressed; its head says so already.
    Compress(Box<Work>),
}

/// An encoder and its place, for one body.
pub struct Work {
    pub(super) encoder: Encoder,
    pub(super) place: StreamPlace,
}

impl Wanted {
    /// Reads a request. HTTP/1.0 has no chunks, so that a body whose length is not known could
    /// be cut short unseen: it gets none.
    pub fn of(
        rules: &CompressionRules,
        method: &Method,
        version: Version,
        headers: &HeaderMap,
    ) -> Self {
        let possible =
            version >= Version::HTTP_11 && *method != Method::HEAD && !says_no_transform(headers);
        Self {
            choice: choose(headers, &rules.algorithms),
            possible,
            if_none_match: headers.get(IF_NONE_MATCH).cloned(),
        }
    }

    /// Decides at the head of the answer, and rewrites it if it is compressed. `length` is the
    /// body's, if it is known.
    pub fn applies(
        &self,
        rules: &CompressionRules,
        head: &mut response::Parts,
        length: Option<u64>,
    ) -> Verdict {
        let headers = &mut head.headers;
        if head.status == StatusCode::NOT_MODIFIED {
            self.weaken_like_the_clients(headers);
        }
        if !is_eligible(rules, head.status, headers) {
            return Verdict::AsItIs;
        }
        // Caches have to know even of answers that go as they are: others would not.
        vary(headers);
        let (algorithm, only) = match self.choice {
            Choice::Coded { algorithm, only } if self.possible => (algorithm, only),
            Choice::Coded { .. } | Choice::AsItIs => return Verdict::AsItIs,
        };
        let empty = length == Some(0);
        let small = length.is_some_and(|length| length < rules.bytes_min);
        if empty || (small && !only) {
            return Verdict::AsItIs;
        }
        let Some(place) = rules.enter() else {
            return Verdict::NoPlace;
        };
        let Ok(encoder) = Encoder::new(algorithm, rules.effort) else {
            return Verdict::NoPlace;
        };
        let name = HeaderValue::from_static(algorithm.name());
        headers.insert(CONTENT_ENCODING, name);
        headers.remove(CONTENT_LENGTH);
        headers.remove(ACCEPT_RANGES);
        for name in &DIGESTS {
            headers.remove(name);
        }
        if let Some(weak) = headers.get(ETAG).and_then(weakened) {
            headers.insert(ETAG, weak);
        }
        Verdict::Compress(Box::new(Work { encoder, place }))
    }

    /// A client that holds what we compressed knows it by the weak form of its tag. A 304 with the
    /// strong one would be about something that it does not have (RFC 9111 section 4.3.4).
    fn weaken_like_the_clients(&self, headers: &mut HeaderMap) {
        let Some(weak) = headers.get(ETAG).and_then(weakened) else {
            return;
        };
        let held = self.if_none_match.as_ref().is_some_and(|held| {
            let tags = held.as_bytes().split(|&byte| byte == b',');
            tags.map(<[u8]>::trim_ascii)
                .any(|tag| tag == weak.as_bytes())
        });
        if held {
            headers.insert(ETAG, weak);
        }
    }
}

/// Whether answers like this one are compressed for whoever wants that.
fn is_eligible(rules: &CompressionRules, status: StatusCode, headers: &HeaderMap) -> bool {
    let has_body = !status.is_informational()
        && !matches!(
            status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::NOT_MODIFIED
                | StatusCode::PARTIAL_CONTENT
        );
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    has_body
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && !says_no_transform(headers)
        && !NEVER.iter().any(|never| {
            content_type
                .get(..never.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(never))
        })
        && rules.takes(content_type)
}

/// `no-transform` of a request or an answer (RFC 9111 sections 5.2.1.6 and 5.2.2.6).
fn says_no_transform(headers: &HeaderMap) -> bool {
    list(headers, &CACHE_CONTROL).any(|one| one.eq_ignore_ascii_case("no-transform"))
}

/// Says that the answer depends on `Accept-Encoding`, unless it is said already.
fn vary(headers: &mut HeaderMap) {
    let said =
        list(headers, &VARY).any(|one| one == "*" || one.eq_ignore_ascii_case("accept-encoding"));
    if !said {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// The weak form of a strong tag (RFC 9110 section 8.8.3); None if it is weak already, or no tag.
fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let bytes = tag.as_bytes();
    if !bytes.starts_with(b"\"") {
        return None;
    }
    HeaderValue::from_bytes(&[b"W/", bytes].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;
    use http::Response;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    }

    fn decide(
        asked: &[(&'static str, &'static str)],
        status: u16,
        answered: &[(&'static str, &'static str)],
        length: Option<u64>,
    ) -> (bool, HeaderMap) {
        let rules = rules();
        let wanted = Wanted::of(&rules, &Method::GET, Version::HTTP_11, &headers(asked));
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = StatusCode::from_u16(status).unwrap();
        head.headers = headers(answered);
        let verdict = wanted.applies(&rules, &mut head, length);
        (matches!(verdict, Verdict::Compress(_)), head.headers)
    }

    const GZIP: (&str, &str) = ("accept-encoding", "gzip");
    const TEXT: (&str, &str) = ("content-type", "text/plain");

    #[test]
    fn a_compressed_answers_head_holds_for_what_leaves() {
        let (compressed, head) = decide(
            &[GZIP],
            200,
            &[
                TEXT,
                ("content-length", "5000"),
                ("accept-ranges", "bytes"),
                ("etag", "\"v1\""),
                ("vary", "origin"),
                ("content-digest", "sha-256=:x:"),
                ("repr-digest", "sha-256=:x:"),
                ("content-md5", "x"),
            ],
            Some(5000),
        );

        assert!(compressed);
        assert_eq!(head.get("content-encoding").unwrap(), "gzip");
        assert_eq!(head.get("etag").unwrap(), "W/\"v1\"");
        let vary: Vec<_> = head.get_all("vary").iter().collect();
        assert_eq!(vary, ["origin", "accept-encoding"]);
        for gone in [
            "content-length",
            "accept-ranges",
            "content-digest",
            "repr-digest",
            "content-md5",
        ] {
            assert!(!head.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn what_may_not_be_compressed_is_not_touched() {
        let refused: [(u16, &[(&'static str, &'static str)]); 9] = [
            (204, &[TEXT]),
            (206, &[TEXT]),
            (304, &[TEXT]),
            (200, &[TEXT, ("content-range", "bytes 0-1/9")]),
            (200, &[TEXT, ("content-encoding", "br")]),
            (200, &[TEXT, ("cache-control", "public, No-Transform")]),
            (200, &[("content-type", "text/event-stream; charset=utf-8")]),
            (200, &[("content-type", "image/png")]),
            (200, &[]),
        ];
        for (status, fields) in refused {
            let (compressed, head) = decide(&[GZIP], status, fields, None);
            assert!(!compressed, "{status} {fields:?}");
            assert_eq!(head, headers(fields), "{status} {fields:?}");
        }
    }

    #[test]
    fn who_does_not_ask_gets_it_as_it_is_but_caches_are_told() {
        for asked in [&[][..], &[("accept-encoding", "br")]] {
            let (compressed, head) = decide(asked, 200, &[TEXT], None);
            assert!(!compressed);
            assert_eq!(head.get("vary").unwrap(), "accept-encoding");
        }
        let (_, head) = decide(&[], 200, &[TEXT, ("vary", "x, Accept-Encoding")], None);
        assert_eq!(head.get_all("vary").iter().count(), 1);
        let (_, head) = decide(&[], 200, &[TEXT, ("vary", "*")], None);
        assert_eq!(head.get("vary").unwrap(), "*");
    }

    #[test]
    fn the_least_size_holds_unless_the_client_takes_nothing_else() {
        assert!(!decide(&[GZIP], 200, &[TEXT], Some(99)).0);
        assert!(decide(&[GZIP], 200, &[TEXT], Some(100)).0);
        assert!(decide(&[GZIP], 200, &[TEXT], None).0);
        let only = ("accept-encoding", "gzip, identity;q=0");
        assert!(decide(&[only], 200, &[TEXT], Some(99)).0);
        assert!(!decide(&[only], 200, &[TEXT], Some(0)).0);
    }

    #[test]
    fn a_request_can_rule_it_out() {
        assert!(
            !decide(
                &[GZIP, ("cache-control", "no-transform")],
                200,
                &[TEXT],
                None
            )
            .0
        );
        let rules = rules();
        for (method, version) in [
            (Method::HEAD, Version::HTTP_11),
            (Method::GET, Version::HTTP_10),
        ] {
            let wanted = Wanted::of(&rules, &method, version, &headers(&[GZIP]));
            assert!(!wanted.possible, "{method} {version:?}");
        }
    }

    #[test]
    fn a_304_speaks_of_the_tag_that_the_client_holds() {
        let tag = |asked: &'static str| {
            let asked = [GZIP, ("if-none-match", asked)];
            let (_, head) = decide(&asked, 304, &[("etag", "\"v1\"")], None);
            head.get("etag").unwrap().clone()
        };

        assert_eq!(tag("W/\"v1\""), "W/\"v1\"");
        assert_eq!(tag("\"v0\", W/\"v1\""), "W/\"v1\"");
        assert_eq!(tag("\"v1\""), "\"v1\"");
        assert_eq!(tag("*"), "\"v1\"");
    }

    #[test]
    fn without_a_place_nothing_but_vary_changes() {
        let rules = rules();
        let wanted = Wanted::of(&rules, &Method::GET, Version::HTTP_2, &headers(&[GZIP]));
        let answer = || {
            let (mut head, ()) = Response::new(()).into_parts();
            head.headers = headers(&[TEXT, ("content-length", "500")]);
            head
        };
        let held: Vec<Verdict> = (0..2)
            .map(|_| wanted.applies(&rules, &mut answer(), Some(500)))
            .collect();

        let mut head = answer();
        let verdict = wanted.applies(&rules, &mut head, Some(500));

        assert!(matches!(verdict, Verdict::NoPlace));
        assert_eq!(head.headers.get("content-length").unwrap(), "500");
        drop(held);
        let verdict = wanted.applies(&rules, &mut answer(), Some(500));
        assert!(matches!(verdict, Verdict::Compress(_)));
    }
}
