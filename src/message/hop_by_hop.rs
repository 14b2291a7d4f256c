//! Takes off what was meant for one connection and not for the next server.
//!
//! Runs on requests before they go upstream and on responses before they go back (RFC 9110
//! section 7.6.1). `Connection` may nominate further fields for removal; a client uses that to
//! delete what a proxy proved about it, so fields that carry framing, context, addresses or
//! identity cannot be nominated away.

use http::header::{CONNECTION, TE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields that no nomination removes.
const PROTECTED: [&str; 18] = [
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "set-cookie",
    "traceparent",
    "tracestate",
    "trailer",
    "true-client-ip",
    "via",
    "x-request-id",
];

/// Families of fields that no nomination removes, by how their names begin.
const PROTECTED_PREFIXES: [&str; 5] = ["x-forwarded-", "x-b3-", "cf-", "x-real-ip", "x-original-"];

/// Removes what ends here from a request. `TE` is left as `trailers` if it said so.
///
/// `protected` are further lower-case names that no nomination removes. Returns the protocol to
/// upgrade to if the request asks for one on this connection; `h2c` is not offered, because a
/// tunnel of HTTP/2 would pass requests by that nobody looked at.
pub fn strip_request(headers: &mut HeaderMap, protected: &[HeaderName]) -> Option<HeaderValue> {
    let trailers = headers.get_all(TE).iter().any(says_trailers);
    let upgrade = strip(headers, protected);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    upgrade
}

/// The same for a request that a host only tells of. Its nominations are the host's to follow: a
/// field that was gone here would be one that the host is not told to take off.
pub fn strip_told(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let upgrade = upgrade_asked_for(headers);
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| ends_here(name))
        .cloned()
        .collect();
    for name in &found {
        headers.remove(name);
    }
    upgrade
}

/// Removes what ends here from a response. Returns the protocol that a 101 switches to.
pub fn strip_response(headers: &mut HeaderMap, protected: &[HeaderName]) -> Option<HeaderValue> {
    strip(headers, protected)
}

fn strip(headers: &mut HeaderMap, protected: &[HeaderName]) -> Option<HeaderValue> {
    // One look at the names is all that most messages cost.
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| ends_here(name))
        .cloned()
        .collect();
    if found.is_empty() {
        return None;
    }
    let upgrade = upgrade_asked_for(headers);
    remove_nominated(headers, protected);
    for name in found {
        headers.remove(name);
    }
    upgrade
}

/// Whether a field ends here whether nominated or not. `Trailer` does not: on HTTP/1.1 only
/// trailers that are announced arrive.
pub fn ends_here(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The one protocol in `Upgrade`, if `Connection` nominates the field (RFC 9110 section 7.8).
fn upgrade_asked_for(headers: &HeaderMap) -> Option<HeaderValue> {
    let nominated = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(tokens)
        .any(|token| token.eq_ignore_ascii_case("upgrade"));
    if !nominated {
        return None;
    }
    let mut values = headers.get_all(UPGRADE).iter();
    let (protocol, None) = (values.next()?, values.next()) else {
        return None;
    };
    let name = protocol.to_str().ok()?.trim();
    let offered = !name.is_empty() && !name.contains(',') && !name.eq_ignore_ascii_case("h2c");
    offered.then(|| protocol.clone())
}

fn remove_nominated(headers: &mut HeaderMap, protected: &[HeaderName]) {
    let harmless = |value: &HeaderValue| {
        value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || value.as_bytes().eq_ignore_ascii_case(b"close")
            || value.as_bytes().eq_ignore_ascii_case(b"upgrade")
    };
    if headers.get_all(CONNECTION).iter().all(harmless) {
        return;
    }
    let nominations: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    for token in nominations.iter().flat_map(tokens) {
        if !is_protected(token, protected) {
            headers.remove(token);
        }
    }
}

fn is_protected(name: &str, protected: &[HeaderName]) -> bool {
    let begins_with = |prefix: &&str| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    PROTECTED.iter().any(|kept| name.eq_ignore_ascii_case(kept))
        || PROTECTED_PREFIXES.iter().any(begins_with)
        || protected
            .iter()
            .any(|kept| name.eq_ignore_ascii_case(kept.as_str()))
}

/// The elements of a comma-separated list (RFC 9110 section 5.6.1); none if it is not ASCII.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value
        .to_str()
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// `trailers` stands among the transfer codings, whatever weight it was given.
fn says_trailers(value: &HeaderValue) -> bool {
    tokens(value).any(|token| {
        let coding = token.split(';').next().unwrap_or_default();
        coding.trim().eq_ignore_ascii_case("trailers")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect()
    }

    #[track_caller]
    fn check(before: &[(&str, &str)], after: &[(&str, &str)]) {
        let mut found = headers(before);

        strip_request(&mut found, &[HeaderName::from_static("x-auth-user")]);

        assert_eq!(found, headers(after));
    }

    #[test]
    fn what_ends_here_does_not_go_on() {
        check(
            &[
                ("connection", "close"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "keep-alive"),
                ("proxy-authorization", "Basic eDp5"),
                ("transfer-encoding", "chunked"),
                ("te", "gzip;q=0.5"),
                ("upgrade", "foo"),
                ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
                ("accept", "*/*"),
                ("trailer", "x-sum"),
            ],
            &[("accept", "*/*"), ("trailer", "x-sum")],
        );
    }

    #[test]
    fn what_connection_nominates_goes_as_well() {
        check(
            &[
                ("connection", "keep-alive, X-Hop"),
                ("connection", "x-other,,"),
                ("x-hop", "1"),
                ("x-hop", "2"),
                ("x-other", "3"),
                ("x-end", "4"),
            ],
            &[("x-end", "4")],
        );
    }

    #[test]
    fn a_nomination_never_deletes_context_addresses_or_identity() {
        let kept = [
            ("traceparent", "00-1"),
            ("tracestate", "a=b"),
            ("baggage", "a=b"),
            ("b3", "0"),
            ("x-b3-traceid", "1"),
            ("x-forwarded-for", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
            ("host", "a"),
            ("via", "1.1 a"),
            ("content-length", "0"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("cf-connecting-ip", "192.0.2.1"),
            ("x-request-id", "7"),
            ("x-auth-user", "ada"),
        ];
        for (name, value) in kept {
            let nomination = format!("close, {}", name.to_uppercase());

            check(
                &[("connection", &nomination), (name, value)],
                &[(name, value)],
            );
        }
    }

    #[test]
    fn te_keeps_trailers_and_nothing_else() {
        check(&[("te", "trailers")], &[("te", "trailers")]);
        check(
            &[("te", "gzip, Trailers;q=1"), ("connection", "TE")],
            &[("te", "trailers")],
        );
    }

    #[test]
    fn an_upgrade_is_told_only_when_it_is_nominated_and_one_protocol() {
        let upgrade = |lines: &[(&str, &str)]| strip_request(&mut headers(lines), &[]);

        let websocket = upgrade(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ]);

        assert_eq!(websocket, Some(HeaderValue::from_static("websocket")));
        assert_eq!(upgrade(&[("upgrade", "websocket")]), None);
        assert_eq!(upgrade(&[("connection", "upgrade")]), None);
        assert_eq!(
            upgrade(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")]),
            None
        );
    }

    #[test]
    fn http2_in_the_clear_is_never_tunnelled() {
        let mut request = headers(&[
            ("connection", "Upgrade, HTTP2-Settings"),
            ("upgrade", "H2C"),
            ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ]);

        let upgrade = strip_request(&mut request, &[]);

        assert_eq!(upgrade, None);
        assert!(request.is_empty());
    }

    #[test]
    fn a_response_says_what_it_switches_to() {
        let mut response = headers(&[
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-accept", "x"),
            ("proxy-authenticate", "Basic"),
        ]);

        let upgrade = strip_response(&mut response, &[]);

        assert_eq!(upgrade, Some(HeaderValue::from_static("websocket")));
        assert_eq!(response, headers(&[("sec-websocket-accept", "x")]));
    }

    proptest! {
        #[test]
        fn stripping_twice_is_the_same_as_once(
            nominations in "[a-zA-Z0-9 ,;=\\-]{0,40}",
            name in "[a-z0-9-]{1,8}",
        ) {
            let mut once = headers(&[
                ("connection", &nominations),
                (&name, "1"),
                ("traceparent", "00"),
                ("te", "trailers"),
            ]);
            strip_request(&mut once, &[]);

            let mut twice = once.clone();
            strip_request(&mut twice, &[]);

            prop_assert_eq!(&twice, &once);
            prop_assert!(once.contains_key("traceparent"));
            prop_assert!(!once.contains_key(CONNECTION));
        }
    }
}
