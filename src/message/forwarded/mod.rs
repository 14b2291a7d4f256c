//! Who a request comes from, and who may say so.
//!
//! Runs after `normalize` and before anything looks at the client's address. What a peer that is
//! not trusted says about others is removed under every spelling; then we say what we saw
//! ourselves. A trusted peer's word is kept and added to.

#[cfg(test)]
mod tests;

use super::authority::Authority;
use super::client_address::{client_of_chain, forwarded_parameter, last_element, parse_node};
use super::cloudflare;
use crate::net::TrustedPeers;
use http::header::{Entry, FORWARDED, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use std::net::{IpAddr, SocketAddr};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Fields by which a proxy speaks for its client, beside the families below.
const CLAIMS: [&str; 11] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-cert",
    "client-cert-chain",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-real-ip",
    "x-rewrite-url",
];

/// Families of such fields, by how their names begin.
const CLAIM_FAMILIES: [&str; 2] = ["x-forwarded-", "x-original-"];

/// Who may speak for others on a listener.
#[derive(Clone, Copy, Debug)]
pub struct ForwardedPolicy<'a> {
    /// Peers whose word is believed.
    pub trusted: &'a TrustedPeers,
    /// A header in which such a peer names the client, such as `CF-Connecting-IP`. Goes before
    /// `X-Forwarded-For`.
    pub client_address_header: Option<&'a HeaderName>,
    /// Peers by which Cloudflare speaks; None: the listener is not behind it.
    pub cloudflare: Option<&'a TrustedPeers>,
    /// [`text_of`] the peer, if it was made before: once for a connection, not for each request.
    pub peer_text: Option<&'a HeaderValue>,
}

/// The peer's address as `X-Forwarded-For` has it.
pub fn text_of(peer: SocketAddr) -> Option<HeaderValue> {
    HeaderValue::try_from(peer.ip().to_canonical().to_string()).ok()
}

/// The request as its client made it, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientView {
    /// The client's address. IPv4 within IPv6 is told as IPv4.
    pub client: IpAddr,
    /// The client's port; `None` if others stand between.
    pub port: Option<u16>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host that the client asked a trusted peer for; `None`: the request's own.
    pub host: Option<Authority>,
}

/// Reads who the client is and leaves `X-Forwarded-For`, `-Proto` and `-Host` true for the next
/// server; `Forwarded` (RFC 7239) is added to if it is there.
///
/// `scheme` and `host` are those of the request as it came to us.
pub fn apply_request(
    headers: &mut HeaderMap,
    peer: SocketAddr,
    scheme: &'static str,
    host: Option<&HeaderValue>,
    policy: &ForwardedPolicy<'_>,
) -> ClientView {
    let address = peer.ip().to_canonical();
    let trusted = policy.trusted.trusts(address);
    remove_claims(headers, trusted, policy.client_address_header);
    if policy.cloudflare.is_some() {
        cloudflare::remove_claims(headers, cloudflare::is_edge(policy.cloudflare, address));
    }
    let view = if trusted {
        view_of_trusted(headers, address, peer.port(), scheme, policy)
    } else {
        ClientView {
            client: address,
            port: Some(peer.port()),
            scheme,
            host: None,
        }
    };
    let peer_text = policy.peer_text.cloned().or_else(|| text_of(peer));
    append_element(headers, X_FORWARDED_FOR, peer_text);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(view.scheme));
    match (&view.host, host) {
        (Some(told), _) => headers.insert(X_FORWARDED_HOST, told.header().clone()),
        (None, Some(own)) => headers.insert(X_FORWARDED_HOST, own.clone()),
        (None, None) => headers.remove(X_FORWARDED_HOST),
    };
    if headers.contains_key(FORWARDED) {
        let element = HeaderValue::try_from(element(address, scheme, host)).ok();
        append_element(headers, FORWARDED, element);
    }
    view
}

/// Adds us to `Via` (RFC 9110 section 7.6.3). `received` is the version of the message as we got
/// it; where a version has no minor number, 0 is implied (section 2.5).
pub fn append_via(headers: &mut HeaderMap, received: Version) {
    let via = match received {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 edgespan",
        Version::HTTP_2 => "2.0 edgespan",
        Version::HTTP_3 => "3.0 edgespan",
        _ => "1.1 edgespan",
    };
    headers.append(VIA, HeaderValue::from_static(via));
}

/// Whether an element of a field's value is this address, as proxies write it.
pub fn names(value: &str, address: IpAddr) -> bool {
    let mut elements = value.split([',', ';', '=']);
    elements.any(|element| parse_node(element.trim().trim_matches('"')) == Some(address))
}

/// The client by the word of a trusted peer: the header of the setting, else the chain.
pub fn client_of(headers: &HeaderMap, peer: IpAddr, policy: &ForwardedPolicy<'_>) -> IpAddr {
    let header = if cloudflare::is_edge(policy.cloudflare, peer) {
        Some(&cloudflare::CF_CONNECTING_IP)
    } else {
        policy.client_address_header
    };
    let named = header
        .and_then(|name| only_value(headers, name))
        .and_then(parse_node);
    named.unwrap_or_else(|| client_of_chain(headers, peer, policy.trusted))
}

fn view_of_trusted(
    headers: &HeaderMap,
    peer: IpAddr,
    peer_port: u16,
    scheme: &'static str,
    policy: &ForwardedPolicy<'_>,
) -> ClientView {
    let client = client_of(headers, peer, policy);
    // One family alone: a proxy that writes `X-Forwarded-*` hands on the client's own `Forwarded`.
    let is_older = speaks_older(headers);
    let told = |name: &HeaderName, parameter: &str| match last_element(headers, name) {
        Some(told) => Some(told.to_owned()),
        None if is_older => None,
        None => forwarded_parameter(headers, parameter),
    };
    let scheme = match told(&X_FORWARDED_PROTO, "proto") {
        Some(told) if told.eq_ignore_ascii_case("https") => "https",
        Some(told) if told.eq_ignore_ascii_case("http") => "http",
        Some(_) | None => scheme,
    };
    let host = told(&X_FORWARDED_HOST, "host")
        .and_then(|told| HeaderValue::try_from(told).ok())
        .and_then(|told| Authority::from_header(&told).ok());
    ClientView {
        client,
        port: (client == peer).then_some(peer_port),
        scheme,
        host,
    }
}

/// Whether a peer tells of its client by `X-Forwarded-*`: then `Forwarded` is not its word.
pub(super) fn speaks_older(headers: &HeaderMap) -> bool {
    let family = [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST];
    family.into_iter().any(|name| headers.contains_key(name))
}

/// Removes what may not be said: everything from a peer that is not trusted, and from a trusted
/// one the spellings that it did not write itself. `X_Forwarded_For` passes a proxy that looks
/// for `X-Forwarded-For`, and is the same name to CGI, WSGI and PHP.
fn remove_claims(headers: &mut HeaderMap, trusted: bool, client_address: Option<&HeaderName>) {
    let removed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            let of_setting = client_address.filter(|setting| {
                folds_to(name, setting.as_str()) && name.len() == setting.as_str().len()
            });
            match of_setting {
                Some(setting) => !trusted || name != setting.as_str(),
                None => is_claim(name) && (!trusted || !is_plain_spelling(name)),
            }
        })
        .cloned()
        .collect();
    for name in &removed {
        headers.remove(name);
    }
}

/// Whether a field, in whatever spelling, is one by which proxies speak for their clients.
pub fn is_claim(name: &str) -> bool {
    CLAIMS
        .iter()
        .any(|claim| name.len() == claim.len() && folds_to(name, claim))
        || CLAIM_FAMILIES.iter().any(|family| folds_to(name, family))
}

/// Sets what we proved, or nothing: whatever stood there under any spelling is gone.
pub fn assert_field(headers: &mut HeaderMap, name: &HeaderName, value: Option<&HeaderValue>) {
    let spelt = |other: &&HeaderName| is_spelling_of(other.as_str(), name.as_str());
    let spellings: Vec<HeaderName> = headers.keys().filter(spelt).cloned().collect();
    for spelling in &spellings {
        headers.remove(spelling);
    }
    if let Some(value) = value {
        headers.insert(name.clone(), value.clone());
    }
}

/// Whether two names are one to a server that reads all punctuation alike.
pub fn is_spelling_of(name: &str, other: &str) -> bool {
    name.len() == other.len() && folds_to(name, other)
}

/// Whether a name begins like this to such a server.
pub fn is_spelt_behind(name: &str, prefix: &str) -> bool {
    folds_to(name, prefix)
}

fn is_plain_spelling(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether `name` begins with `claim` when all its punctuation is read as `-`.
fn folds_to(name: &str, claim: &str) -> bool {
    let fold = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            byte
        } else {
            b'-'
        }
    };
    name.len() >= claim.len()
        && name
            .bytes()
            .zip(claim.bytes())
            .all(|(left, right)| fold(left) == fold(right))
}

/// A field's value if it has exactly one.
fn only_value<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Adds to a list and makes one line of it: many servers read only the first or the last.
fn append_element(headers: &mut HeaderMap, name: HeaderName, element: Option<HeaderValue>) {
    let Some(element) = element else { return };
    match headers.entry(name) {
        Entry::Vacant(place) => {
            place.insert(element);
        }
        Entry::Occupied(mut lines) => {
            let mut joined = Vec::new();
            for line in lines.iter() {
                joined.extend_from_slice(line.as_bytes());
                joined.extend_from_slice(b", ");
            }
            joined.extend_from_slice(element.as_bytes());
            if let Ok(list) = HeaderValue::try_from(joined) {
                lines.insert(list);
            }
        }
    }
}

/// What we say of ourselves in `Forwarded`. A host that passed `normalize` needs no escapes.
fn element(peer: IpAddr, scheme: &str, host: Option<&HeaderValue>) -> String {
    let mut element = match peer {
        IpAddr::V4(address) => format!("for={address};proto={scheme}"),
        IpAddr::V6(address) => format!("for=\"[{address}]\";proto={scheme}"),
    };
    if let Some(host) = host.and_then(|host| host.to_str().ok()) {
        element.push_str(";host=\"");
        element.push_str(host);
        element.push('"');
    }
    element
}
