//! How an authorizer is told of a request.
//!
//! What speaks for the client (`X-Forwarded-*`, `X-Original-*`) is written here from the one
//! reading of the request, and is never what somebody sent. Of other fields those leave that the
//! settings name; a field that stands there several times leaves several times.

use super::settings::{Dialect, ForwardRules, ForwardSettings};
use super::{Asked, FieldPattern};
use crate::auth::transport;
use crate::message::forwarded;
use crate::trace::address::AddressText;
use crate::trace::propagate::is_context_header;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
/// Whether the body is only a part of the request's.
const BODY_PARTIAL: HeaderName = HeaderName::from_static("x-edgespan-body-partial");
/// The same in Envoy's words.
const ENVOY_PARTIAL: HeaderName = HeaderName::from_static("x-envoy-auth-partial-body");

/// Room for so many fields: what most questions have, our own and trace context among them. A map
/// that grows puts every field in its place again.
const FIELDS_USUAL: usize = 24;

/// What leaves: the request, and the host that it is for if not the authorizer's own.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) request: Request<Bytes>,
    pub(super) host: Option<HeaderValue>,
    /// Whether it carries only a part of the body.
    pub(super) is_cut: bool,
}

/// Which fields of a request leave because the settings say so; worked out once, since names are
/// compared in every spelling for it.
pub(super) struct ToldFields {
    /// Those named that may leave at all. As texts: most differ in length.
    names: Box<[Box<str>]>,
    /// Bit by bit, the lengths that they have; 63 is any from there on.
    lengths: u64,
    /// Which others are meant.
    others: Box<[FieldPattern]>,
}

impl ToldFields {
    pub(super) fn of(settings: &ForwardSettings) -> Self {
        let patterns = settings.request_headers.iter();
        let names = patterns.clone().filter_map(|pattern| match pattern {
            FieldPattern::Name(name) => Some(name),
            FieldPattern::All | FieldPattern::Prefix(_) => None,
        });
        let names = names.filter(|name| !is_ours(name) && !frames(name));
        let others = patterns.filter(|pattern| !matches!(pattern, FieldPattern::Name(_)));
        let names: Box<[Box<str>]> = names.map(|name| name.as_str().into()).collect();
        Self {
            lengths: names.iter().fold(0, |all, name| all | length_bit(name)),
            names,
            others: others.cloned().collect(),
        }
    }

    /// Whether a field is one of them.
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        let may_be_named = self.lengths & length_bit(text) != 0;
        (may_be_named && self.names.iter().any(|named| **named == *text))
            || (self.others.iter().any(|pattern| pattern.takes(name))
                && !is_ours(name)
                && !is_of_the_message(name))
    }
}

fn length_bit(text: &str) -> u64 {
    1 << text.len().min(63)
}

/// Tells of a request. None: it cannot be told, so that nobody can decide.
pub(super) fn tell(
    settings: &ForwardSettings,
    fields: &ToldFields,
    rules: &ForwardRules,
    asked: &Asked<'_>,
) -> Option<Told> {
    let authority = authority(asked);
    let mut headers = asked_fields(fields, asked.headers);
    let mut host = None;
    let mut request = Request::new(Bytes::new());
    headers.insert(X_FORWARDED_PROTO, scheme(asked)?);
    headers.insert(
        X_FORWARDED_FOR,
        value(AddressText::new(asked.client).as_str())?,
    );
    match settings.dialect {
        Dialect::Envoy => {
            *request.method_mut() = asked.method.clone();
            *request.uri_mut() = Uri::from(behind(&settings.path, asked.target)?);
            host = Some(value(&authority)?).filter(|host| !host.is_empty());
        }
        Dialect::Traefik | Dialect::AuthRequest | Dialect::Grpc => {
            *request.method_mut() = Method::GET;
            *request.uri_mut() = Uri::from(settings.path.clone());
            headers.insert(X_FORWARDED_METHOD, method(asked.method)?);
            headers.insert(X_FORWARDED_HOST, value(&authority)?);
            headers.insert(X_FORWARDED_URI, value(asked.target.as_str())?);
        }
    }
    if settings.dialect == Dialect::AuthRequest {
        let target = asked.target.as_str();
        let slash = if target.starts_with('?') { "/" } else { "" };
        let url = [asked.scheme, "://", &authority, slash, target].concat();
        headers.insert(X_ORIGINAL_METHOD, method(asked.method)?);
        headers.insert(X_ORIGINAL_URL, HeaderValue::try_from(url).ok()?);
    }
    let mut is_cut = false;
    if let (Some(rule), Some(body)) = (rules.body, asked.body) {
        let (data, cut) = body.first(rule.bytes_max);
        is_cut = cut;
        *request.body_mut() = data;
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            if let Some(value) = asked.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let name = match settings.dialect {
            Dialect::Envoy => ENVOY_PARTIAL,
            Dialect::Traefik | Dialect::AuthRequest | Dialect::Grpc => BODY_PARTIAL,
        };
        headers.insert(
            name,
            HeaderValue::from_static(if cut { "true" } else { "false" }),
        );
    }
    for (name, value) in &rules.context {
        forwarded::assert_field(&mut headers, name, Some(value));
    }
    *request.headers_mut() = headers;
    Some(Told {
        request,
        host,
        is_cut,
    })
}

fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(text).ok()
}

fn scheme(asked: &Asked<'_>) -> Option<HeaderValue> {
    match asked.scheme {
        "https" => Some(HeaderValue::from_static("https")),
        "http" => Some(HeaderValue::from_static("http")),
        other => value(other),
    }
}

fn method(method: &Method) -> Option<HeaderValue> {
    match *method {
        Method::GET => Some(HeaderValue::from_static("GET")),
        Method::POST => Some(HeaderValue::from_static("POST")),
        _ => value(method.as_str()),
    }
}

/// Host and port as a client names them: without the port that the scheme has anyway.
fn authority(asked: &Asked<'_>) -> String {
    let default = if asked.scheme == "https" { 443 } else { 80 };
    match asked.port.filter(|port| *port != default) {
        Some(port) => format!("{}:{port}", asked.host),
        None => asked.host.to_owned(),
    }
}

/// The original path and query behind a path of the authorizer's, byte for byte. As Envoy joins
/// them: a slash that ends the prefix stays, and some authorizers count on the two.
fn behind(prefix: &PathAndQuery, target: &PathAndQuery) -> Option<PathAndQuery> {
    let prefix = prefix.path();
    if prefix == "/" {
        return Some(target.clone());
    }
    let target = target.as_str();
    let joined = if target.starts_with('/') {
        format!("{prefix}{target}")
    } else {
        prefix.to_owned() // `OPTIONS *` has no path.
    };
    PathAndQuery::try_from(joined).ok()
}

/// The fields of the request that leave. Trace context does whatever the settings say: it is
/// replaced by that of the call where this is recorded.
fn asked_fields(fields: &ToldFields, headers: &HeaderMap) -> HeaderMap {
    let mut told = HeaderMap::with_capacity(FIELDS_USUAL);
    for (name, value) in headers {
        if is_context_header(name) || fields.has(name) {
            told.append(name, value.clone());
        }
    }
    told
}

/// Whether a field speaks for the client, under whatever spelling: nobody says that but us.
fn is_ours(name: &HeaderName) -> bool {
    forwarded::is_claim(name.as_str()) || [BODY_PARTIAL, ENVOY_PARTIAL].contains(name)
}

/// Whether a field frames the message, so that it would be a lie about another one, whoever names
/// it: a length without its body makes the next question a part of this one.
fn frames(name: &HeaderName) -> bool {
    *name == EXPECT || (transport::carries(name) && !is_context_header(name))
}

/// Whether a field frames the message or asks something of its very receiver, so that it makes no
/// sense in a question about it. Conditions and ranges would change the authorizer's own answer.
fn is_of_the_message(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-encoding"
            | "content-length"
            | "content-type"
            | "expect"
            | "host"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-unmodified-since"
            | "max-forwards"
            | "range"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "via"
    )
}
