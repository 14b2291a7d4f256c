//! Who may come in: programs and people that ask for this machine by its own address.
//!
//! Without this, any web page could reach the door through its visitor's browser: by a name that
//! its owner points at 127.0.0.1 (DNS rebinding; the `Host` is then foreign), or by a form that
//! posts here (the `Origin` is then foreign).

use axum::extract::Request;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, StatusCode};
use std::net::IpAddr;

/// Why a visitor is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The request asks for a host that we are not.
    #[error(
        "This is edgespan's admin interface. It answers to localhost, to loopback addresses and \
         to the address it listens on, not to other names."
    )]
    ForeignHost,
    /// The request comes from a web page that is not ours.
    #[error("This request was made by another site's page. It was refused.")]
    ForeignOrigin,
}

impl Refusal {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
        }
    }
}

/// Whether this request may come in on a connection to `local`.
pub(super) fn admit(request: &Request, local: IpAddr) -> Result<(), Refusal> {
    let host = only(request.headers(), &HOST)
        .flatten()
        .ok_or(Refusal::ForeignHost)?;
    // An absolute URI names the host once more, and HTTP lets it win.
    let target = request.uri().authority().map(Authority::as_str);
    for named in [Some(host), target].into_iter().flatten() {
        if !is_ours(named, local) {
            return Err(Refusal::ForeignHost);
        }
    }
    match only(request.headers(), &ORIGIN) {
        Some(None) => Ok(()),
        Some(Some(origin)) if is_same(origin, host) => Ok(()),
        _ => Err(Refusal::ForeignOrigin),
    }
}

/// The header's only value: `None` if there are several or if it is not text, `Some(None)` if
/// there is none.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return Some(None);
    };
    match values.next() {
        None => first.to_str().ok().map(Some),
        Some(_) => None,
    }
}

/// Whether an authority is this machine: by name, or by an address that the connection proves.
fn is_ours(authority: &str, local: IpAddr) -> bool {
    // User information has no business in a Host (RFC 9110 section 4.2.4).
    if authority.contains('@') {
        return false;
    }
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address == local.to_canonical()
        }
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

/// Whether an origin (RFC 6454) is the host asked for. The port counts: another program of this
/// machine is another site. Its scheme does not: something before us may speak TLS.
fn is_same(origin: &str, host: &str) -> bool {
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
        let request = Request::builder().uri(uri);
        headers
            .iter()
            .fold(request, |request, (name, value)| {
                request.header(*name, *value)
            })
            .body(Body::empty())
            .unwrap()
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: Result<(), Refusal>) {
        let local = "10.1.2.3".parse().unwrap();
        assert_eq!(
            admit(&request("/", headers), local),
            expected,
            "{headers:?}"
        );
    }

    #[test]
    fn a_host_is_ours_by_loopback_or_by_the_connections_own_address() {
        for ours in [
            "localhost",
            "LocalHost:9901",
            "127.0.0.1:9901",
            "127.8.9.1",
            "[::1]:9901",
            "[::ffff:127.0.0.1]",
            "10.1.2.3:9901",
            "[::ffff:10.1.2.3]:80",
        ] {
            check(&[("host", ours)], Ok(()));
        }
        for foreign in [
            "evil.example",
            "evil.example:9901",
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.evil.example",
            "10.1.2.4",
            "0.0.0.0:9901",
            "user@localhost",
            "local host",
            "",
            "[::1",
            "2130706433",
        ] {
            check(&[("host", foreign)], Err(Refusal::ForeignHost));
        }
        check(&[], Err(Refusal::ForeignHost));
        let twice = [("host", "localhost"), ("host", "localhost")];
        check(&twice, Err(Refusal::ForeignHost));
    }

    #[test]
    fn a_foreign_host_in_an_absolute_uri_is_no_way_round() {
        let headers = [("host", "localhost")];
        let foreign = request("http://evil.example/", &headers);
        let refused = admit(&foreign, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(refused, Err(Refusal::ForeignHost));

        let ours = request("http://localhost/", &headers);
        assert_eq!(admit(&ours, IpAddr::from([127, 0, 0, 1])), Ok(()));
    }

    #[test]
    fn an_origin_is_ours_only_if_it_is_the_host_asked_for() {
        let host = ("host", "localhost:9901");
        check(&[host, ("origin", "http://localhost:9901")], Ok(()));
        check(&[host, ("origin", "https://LOCALHOST:9901")], Ok(()));
        for foreign in [
            "null",
            "",
            "http://evil.example",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:9901",
            "localhost:9901",
        ] {
            check(&[host, ("origin", foreign)], Err(Refusal::ForeignOrigin));
        }
        let twice = ("origin", "http://localhost:9901");
        check(&[host, twice, twice], Err(Refusal::ForeignOrigin));
    }

    proptest::proptest! {
        #[test]
        fn no_name_but_localhost_is_ours(host in "[a-z0-9.:@\\[\\]-]{0,40}") {
            let name = host.split(':').next().unwrap_or_default();
            proptest::prop_assume!(name != "localhost" && !host.contains("127.") && !host.contains("::"));
            proptest::prop_assert!(!is_ours(&host, IpAddr::from([10, 1, 2, 3])) || host.starts_with("10.1.2.3"));
        }
    }
}
