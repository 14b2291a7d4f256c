//! What Cloudflare's edge writes into requests, and whose word that is.
//!
//! Only what stands in a request of a peer at the edge's addresses, or of a local `cloudflared`,
//! was written by Cloudflare. Where a listener says that it stands behind Cloudflare, the same
//! fields of everybody else are removed, under every spelling.

use super::forwarded::is_spelling_of;
use crate::net::TrustedPeers;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The edge's addresses, as published at `cloudflare.com/ips-v4` and `ips-v6`: the list whose page
/// gives 2023-09-28 as its last change. A setting replaces it, since the list may change.
const EDGE: [&str; 22] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

/// Where a `cloudflared` connects from that runs beside edgespan.
const LOCAL: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// In which the edge names the client.
pub const CF_CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");
const CF_RAY: HeaderName = HeaderName::from_static("cf-ray");
const CF_IPCOUNTRY: HeaderName = HeaderName::from_static("cf-ipcountry");

/// What the edge writes and nobody else may. Not `cf-access-*`: those prove themselves, and a
/// client has them from Cloudflare.
const WRITTEN: [&str; 18] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-connecting-o2o",
    "cf-ew-via",
    "cf-ipcity",
    "cf-ipcontinent",
    "cf-ipcountry",
    "cf-iplatitude",
    "cf-iplongitude",
    "cf-metro-code",
    "cf-postal-code",
    "cf-pseudo-ipv4",
    "cf-ray",
    "cf-region",
    "cf-region-code",
    "cf-timezone",
    "cf-visitor",
    "cf-worker",
];

/// The edge's networks.
pub fn edge() -> Vec<IpNet> {
    networks(&EDGE)
}

/// The networks of a local `cloudflared`.
pub fn local() -> Vec<IpNet> {
    networks(&LOCAL)
}

fn networks(texts: &[&str]) -> Vec<IpNet> {
    let read = texts.iter().filter_map(|text| text.parse().ok());
    read.collect()
}

/// Removes what only the edge writes. Of what the edge sent, the plain spellings stay.
pub(super) fn remove_claims(headers: &mut HeaderMap, from_edge: bool) {
    let is_claim = |name: &&HeaderName| {
        WRITTEN.iter().any(|written| {
            is_spelling_of(name.as_str(), written) && !(from_edge && name.as_str() == *written)
        })
    };
    let claims: Vec<HeaderName> = headers.keys().filter(is_claim).cloned().collect();
    for name in &claims {
        headers.remove(name);
    }
}

/// What the edge says of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeFacts<'a> {
    /// `cloudflare.ray_id`: 16 hex digits, as Cloudflare's own logs and spans have it.
    pub ray_id: Option<&'a str>,
    /// `cloudflare.colo`: the data center, three letters.
    pub colo: Option<&'a str>,
    /// `geo.country.iso_code`: not `XX` (unknown), and not `T1` (Tor), which is no country.
    pub country: Option<&'a str>,
}

/// Reads what the edge wrote. Only for requests of listeners behind Cloudflare, of which others'
/// words were removed. What has not the form that Cloudflare documents is left out.
pub fn facts(headers: &HeaderMap) -> EdgeFacts<'_> {
    let (ray_id, colo) = match sole(headers, &CF_RAY).map(|ray| ray.split_once('-')) {
        Some(Some((id, colo))) => (Some(id), Some(colo)),
        Some(None) => (sole(headers, &CF_RAY), None),
        None => (None, None),
    };
    let is_hex = |text: &&str| (8..=32).contains(&text.len()) && text.bytes().all(is_hex_digit);
    let is_upper = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
    let ray_id = ray_id.filter(is_hex);
    EdgeFacts {
        ray_id,
        colo: colo.filter(|colo| ray_id.is_some() && colo.len() == 3 && is_upper(colo)),
        country: sole(headers, &CF_IPCOUNTRY)
            .filter(|country| country.len() == 2 && is_upper(country) && *country != "XX"),
    }
}

const fn is_hex_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// Whose word it is, on a listener behind Cloudflare.
pub(super) fn is_edge(peers: Option<&TrustedPeers>, peer: std::net::IpAddr) -> bool {
    peers.is_some_and(|peers| peers.trusts(peer))
}

fn sole<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn every_network_of_the_lists_can_be_read() {
        assert_eq!((edge().len(), local().len()), (EDGE.len(), LOCAL.len()));
        let trusted = TrustedPeers::new(edge());
        for (address, expected) in [
            ("104.16.0.1", true),
            ("104.27.255.255", true),
            ("104.28.0.0", false),
            ("2606:4700::1111", true),
            ("::ffff:162.158.1.1", true),
            ("127.0.0.1", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(trusted.trusts(address), expected, "{address}");
        }
    }

    #[track_caller]
    fn check(lines: &[(&str, &str)], ray: Option<&str>, colo: Option<&str>, country: Option<&str>) {
        let headers = headers(lines);
        let facts = facts(&headers);
        assert_eq!(
            (facts.ray_id, facts.colo, facts.country),
            (ray, colo, country)
        );
    }

    #[test]
    fn a_ray_is_its_id_and_its_data_center() {
        let (id, de) = ("8f2a1c0de1b2c3d4", ("cf-ipcountry", "DE"));
        check(
            &[("cf-ray", "8f2a1c0de1b2c3d4-FRA"), de],
            Some(id),
            Some("FRA"),
            Some("DE"),
        );
        check(&[("cf-ray", id)], Some(id), None, None);
        check(&[("cf-ray", "8f2a1c0de1b2c3d4-fra")], Some(id), None, None);
        check(&[("cf-ray", "not a ray-FRA")], None, None, None);
        check(&[("cf-ray", id), ("cf-ray", id)], None, None, None);
        for none in ["XX", "T1", "de", "DEU", ""] {
            check(&[("cf-ipcountry", none)], None, None, None);
        }
    }

    proptest! {
        #[test]
        fn nothing_the_edge_writes_is_left_of_a_stranger(at in 0..WRITTEN.len(), punctuation in "[-_.]") {
            let name = WRITTEN[at].replace('-', &punctuation);
            let mut lines = headers(&[(&name, "a"), ("cf-access-jwt-assertion", "b"), ("b3", "0")]);

            remove_claims(&mut lines, false);

            prop_assert_eq!(lines, headers(&[("cf-access-jwt-assertion", "b"), ("b3", "0")]));
        }

        #[test]
        fn no_value_makes_it_panic(ray in "[ -~]{0,40}", country in "[ -~]{0,4}") {
            facts(&headers(&[("cf-ray", &ray), ("cf-ipcountry", &country)]));
        }
    }
}
