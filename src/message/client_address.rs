//! Which address a chain of proxies names as the client's.
//!
//! Read by `forwarded`, and only from a peer that is trusted. A chain grows to the right, so its
//! right end was written by those we trust and its left end by anybody: the client is the first
//! address from the right that is not trusted itself.

use crate::net::TrustedPeers;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};

/// Longest chain that is followed.
const HOPS_MAX: usize = 64;

/// The client by the `X-Forwarded-For` lines, or by `Forwarded` if there are none; `peer` if
/// neither says more. An element that is no address ends the walk: what stands left of it was
/// written by somebody who writes what is no address.
pub(super) fn client_of_chain(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedPeers) -> IpAddr {
    let chain: &mut dyn Iterator<Item = Option<IpAddr>> = if super::forwarded::speaks_older(headers)
    {
        &mut headers
            .get_all(super::forwarded::X_FORWARDED_FOR)
            .iter()
            .rev()
            .flat_map(|value| value.to_str().unwrap_or_default().rsplit(','))
            .map(parse_node)
    } else {
        &mut headers
            .get_all(FORWARDED)
            .iter()
            .rev()
            .flat_map(|value| forwarded_elements(value).into_iter().rev())
            .map(|element| parse_node(&parameter(element, "for")?))
    };
    let mut client = peer;
    for address in chain.take(HOPS_MAX).map_while(|address| address) {
        client = address;
        if !trusted.trusts(address) {
            break;
        }
    }
    client
}

/// What the nearest proxy said in `Forwarded` about `name` (RFC 7239 section 5).
pub(super) fn forwarded_parameter(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get_all(FORWARDED).iter().next_back()?;
    parameter(forwarded_elements(value).pop()?, name)
}

/// The last element of the last line of a list.
pub(super) fn last_element<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let value = headers.get_all(name).iter().next_back()?;
    value.to_str().ok()?.rsplit(',').next().map(str::trim)
}

/// An address as proxies write it: bare, with a port, or in brackets. `unknown` and obfuscated
/// names (RFC 7239 section 6) are no addresses.
pub(super) fn parse_node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()
        .or_else(|| {
            let bracketed = text.strip_prefix('[')?.strip_suffix(']')?;
            bracketed.parse().ok().map(IpAddr::V6)
        })?;
    Some(address.to_canonical())
}

/// The elements of one `Forwarded` line, cut at commas outside quotes.
fn forwarded_elements(value: &HeaderValue) -> Vec<&str> {
    split_unquoted(value.to_str().unwrap_or_default(), b',')
}

/// One parameter of one element, unquoted.
fn parameter(element: &str, name: &str) -> Option<String> {
    split_unquoted(element, b';').into_iter().find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        if !key.trim().eq_ignore_ascii_case(name) {
            return None;
        }
        let value = value.trim();
        match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
            Some(quoted) => Some(quoted.replace('\\', "")),
            None => Some(value.to_owned()),
        }
    })
}

fn split_unquoted(text: &str, separator: u8) -> Vec<&str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(|character: char| {
        let splits = !quoted && character == char::from(separator);
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        splits
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trusted() -> TrustedPeers {
        TrustedPeers::new(vec![
            "10.0.0.0/8".parse().unwrap(),
            "::1/128".parse().unwrap(),
        ])
    }

    #[track_caller]
    fn check(name: &'static str, lines: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }

        let client = client_of_chain(&headers, IpAddr::from([10, 0, 0, 1]), &trusted());

        assert_eq!(client.to_string(), expected, "{lines:?}");
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
        check("x-forwarded-for", &["192.0.2.1"], "192.0.2.1");
        check("x-forwarded-for", &["6.6.6.6, 192.0.2.1"], "192.0.2.1");
        check(
            "x-forwarded-for",
            &["6.6.6.6, 192.0.2.1, 10.9.9.9"],
            "192.0.2.1",
        );
        check("x-forwarded-for", &["10.1.1.1, 10.2.2.2"], "10.1.1.1");
        check(
            "x-forwarded-for",
            &["6.6.6.6", "192.0.2.1", "10.2.2.2"],
            "192.0.2.1",
        );
        check("x-forwarded-for", &["192.0.2.1:4711"], "192.0.2.1");
        check(
            "x-forwarded-for",
            &["[2001:db8::1]:4711 , ::1"],
            "2001:db8::1",
        );
        check("x-forwarded-for", &["::ffff:192.0.2.1"], "192.0.2.1");
    }

    #[test]
    fn an_element_that_is_no_address_ends_the_walk() {
        check("x-forwarded-for", &["a"], "10.0.0.1");
        check("x-forwarded-for", &[""], "10.0.0.1");
        check(
            "x-forwarded-for",
            &["192.0.2.1, unknown, 10.2.2.2"],
            "10.2.2.2",
        );
        check("x-forwarded-for", &["192.0.2.1, ü"], "10.0.0.1");
        check("x-forwarded-for", &["192.0.2.1,"], "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_with_its_quotes() {
        check("forwarded", &["for=192.0.2.1;proto=https"], "192.0.2.1");
        check(
            "forwarded",
            &["for=6.6.6.6, For=\"[2001:db8::1]:80\";by=\"a,b;c\", for=10.2.2.2"],
            "2001:db8::1",
        );
        check("forwarded", &["for=192.0.2.1, for=_hidden"], "10.0.0.1");
        check("forwarded", &["proto=https"], "10.0.0.1");
        check("forwarded", &["for=\"192.0.2.1"], "10.0.0.1");
    }

    proptest! {
        #[test]
        fn no_chain_makes_it_panic(name in "x-forwarded-for|forwarded", line in "[ -~]{0,60}") {
            let mut headers = HeaderMap::new();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(&line).unwrap());

            client_of_chain(&headers, IpAddr::from([10, 0, 0, 1]), &trusted());
            forwarded_parameter(&headers, "proto");
        }
    }
}
