//! A request as an authorizer is asked about it.

use super::messages::{
    Address, AddressKind, AttributeContext, CheckRequest, HttpRequest, Peer, Request, SocketAddress,
};
use crate::auth::Asked;
use crate::auth::forward::FieldPattern;
use crate::clock::Timestamp;
use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use prost_types::Timestamp as WireTimestamp;
use std::collections::BTreeMap;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const REQUEST_ID: &str = "x-request-id";
/// How Envoy tells that the authorizer does not see all of the body.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// What the configuration has to say about a question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling<'a> {
    /// Which header fields are told.
    pub(super) headers: &'a [FieldPattern],
    /// `context_extensions`
    pub(super) context: &'a [(HeaderName, HeaderValue)],
    /// How many bytes of the body are told; None: it is not told.
    pub(super) body_bytes: Option<usize>,
}

/// The question about a request that came at `time`.
pub(super) fn of(asked: &Asked<'_>, telling: &Telling<'_>, time: Timestamp) -> CheckRequest {
    let context = telling.context.iter();
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source(asked)),
            request: Some(Request {
                time: Some(wire_time(time)),
                http: Some(http(asked, telling)),
            }),
            context_extensions: context
                .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
                .collect(),
            ..AttributeContext::default()
        }),
    }
}

fn source(asked: &Asked<'_>) -> Peer {
    let is_peer = asked.peer.ip().to_canonical() == asked.client;
    let address = SocketAddress {
        protocol: 0,
        address: asked.client.to_string(),
        port_value: if is_peer { asked.peer.port().into() } else { 0 },
    };
    let principal = asked.certificate.and_then(|certificate| {
        let facts = &certificate.facts;
        facts.identity().map(ToString::to_string)
    });
    Peer {
        address: Some(Address {
            address: Some(AddressKind::SocketAddress(address)),
        }),
        principal: principal.unwrap_or_default(),
        ..Peer::default()
    }
}

fn wire_time(time: Timestamp) -> WireTimestamp {
    let nanos = time.as_unix_nanos();
    WireTimestamp {
        seconds: i64::try_from(nanos / NANOS_PER_SECOND).unwrap_or_default(),
        nanos: i32::try_from(nanos % NANOS_PER_SECOND).unwrap_or_default(),
    }
}

fn http(asked: &Asked<'_>, telling: &Telling<'_>) -> HttpRequest {
    let host = match asked.port {
        Some(port) => format!("{}:{port}", asked.host),
        None => asked.host.to_owned(),
    };
    // Nothing is said of a body that is not ours to see: of an upgrade, or as another's authorizer.
    let body = telling.body_bytes.zip(asked.body).map(|(bytes_max, body)| {
        let (data, is_cut) = body.first(bytes_max);
        (String::from_utf8(data.to_vec()), data, is_cut)
    });
    let mut headers = fields(asked, telling.headers);
    let pseudo = [
        (":authority", host.as_str()),
        (":method", asked.method.as_str()),
        (":path", asked.target.as_str()),
        (":scheme", asked.scheme),
    ];
    for (name, value) in pseudo {
        headers.insert(name.to_owned(), value.to_owned());
    }
    if let Some((_, _, is_cut)) = &body {
        headers.insert(PARTIAL_BODY.to_owned(), is_cut.to_string());
    }
    let id = asked.headers.get(REQUEST_ID);
    // As Envoy does: text where it is text, bytes where it is not.
    let (body, raw_body) = match body {
        Some((Ok(text), _, _)) => (text, bytes::Bytes::new()),
        Some((Err(_), data, _)) => (String::new(), data),
        None => Default::default(),
    };
    HttpRequest {
        id: id.map(|id| text(id.as_bytes())).unwrap_or_default(),
        method: asked.method.to_string(),
        headers,
        path: asked.target.to_string(),
        host,
        scheme: asked.scheme.to_owned(),
        size: size(asked.headers),
        protocol: protocol(asked.version).to_owned(),
        body,
        raw_body,
        ..HttpRequest::default()
    }
}

/// Names are in lower case already. Lines of one name become one, so that none of them is seen by
/// one side only.
fn fields(asked: &Asked<'_>, told: &[FieldPattern]) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in asked.headers {
        // The host stands in `:authority`, as in Envoy.
        if *name == HOST || !told.iter().any(|pattern| pattern.takes(name)) {
            continue;
        }
        let separator = if *name == COOKIE { "; " } else { "," };
        let value = text(value.as_bytes());
        match fields.get_mut(name.as_str()) {
            Some(line) => {
                line.push_str(separator);
                line.push_str(&value);
            }
            None => {
                fields.insert(name.as_str().to_owned(), value);
            }
        }
    }
    fields
}

/// Bytes as protobuf's text: what is no UTF-8 becomes `!`, as from Envoy.
fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| '!'));
    }
    out
}

fn size(headers: &HeaderMap) -> i64 {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse().ok());
    length.unwrap_or(-1)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
