//! What a host proxy tells of the request that it asks about.
//!
//! A dialect reads its own fields and no others: what else a client has sent means nothing here.
//! A field that is missing, repeated or strange is no request at all, and so no permission.

use crate::listener::Dialect;
use crate::message::hop_by_hop;
use crate::proxy::error::{NOTHING_TOLD, ProxyError};
use http::header::SEC_WEBSOCKET_VERSION;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Takes off what belongs to the host's own connection. Whether another protocol is asked for: by
/// `Upgrade`, or by what every WebSocket's request has where the host has taken that off before.
pub(super) fn upgrades(headers: &mut HeaderMap) -> bool {
    let upgrade = hop_by_hop::strip_told(headers);
    upgrade.is_some() || headers.contains_key(SEC_WEBSOCKET_VERSION)
}

/// A request as its host told it, not yet normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Told {
    pub(in crate::proxy) method: Method,
    /// `http` or `https`.
    pub(in crate::proxy) scheme: &'static str,
    /// Host and port, as in a `Host` header.
    pub(in crate::proxy) host: HeaderValue,
    /// Path and query; or `*`.
    pub(in crate::proxy) target: PathAndQuery,
}

/// Why nothing was told: a word for the span and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Untold(pub(in crate::proxy) &'static str);

impl From<Untold> for ProxyError {
    fn from(untold: Untold) -> Self {
        Self::BadRequest { reason: untold.0 }
    }
}

/// The connection that a host asks by.
pub(super) struct Outer<'a> {
    /// Its request.
    pub(super) parts: &'a Parts,
    /// Its target as it came, before it was normalised.
    pub(super) raw: &'a PathAndQuery,
    /// `Host` of it.
    pub(super) host: Option<&'a HeaderValue>,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
}

/// Reads what a host tells at this endpoint.
pub(super) fn read(dialect: Dialect, endpoint: &str, outer: &Outer<'_>) -> Result<Told, Untold> {
    let told = match dialect {
        Dialect::Nginx => by_url(&outer.parts.headers),
        Dialect::Traefik | Dialect::Caddy | Dialect::Haproxy => by_fields(&outer.parts.headers),
        Dialect::Envoy => by_path(endpoint, outer),
        // It tells in a message, see `grpc`.
        Dialect::EnvoyGrpc => Err(Untold("no_grpc")),
    }?;
    if told.method == Method::CONNECT {
        return Err(Untold("connect"));
    }
    Ok(told)
}

/// `X-Original-Method` and `X-Original-URL`.
fn by_url(headers: &HeaderMap) -> Result<Told, Untold> {
    let url = sole(headers, &X_ORIGINAL_URL)?;
    let (scheme, rest) = url.split_once("://").ok_or(Untold("original_url"))?;
    let path_at = rest.find('/').ok_or(Untold("original_url"))?;
    let (host, target) = rest
        .split_at_checked(path_at)
        .ok_or(Untold("original_url"))?;
    Ok(Told {
        method: method(sole(headers, &X_ORIGINAL_METHOD)?)?,
        scheme: self::scheme(scheme)?,
        host: HeaderValue::try_from(host).map_err(|_| Untold("original_url"))?,
        target: self::target(target)?,
    })
}

/// `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`.
fn by_fields(headers: &HeaderMap) -> Result<Told, Untold> {
    let host = sole(headers, &X_FORWARDED_HOST)?;
    Ok(Told {
        method: method(sole(headers, &X_FORWARDED_METHOD)?)?,
        scheme: scheme(sole(headers, &X_FORWARDED_PROTO)?)?,
        host: HeaderValue::try_from(host).map_err(|_| Untold("telling_header"))?,
        target: target(sole(headers, &X_FORWARDED_URI)?)?,
    })
}

/// The request itself, its path behind the endpoint's. Envoy tells the scheme only if it is let.
fn by_path(endpoint: &str, outer: &Outer<'_>) -> Result<Told, Untold> {
    let behind = outer.raw.as_str().strip_prefix(endpoint);
    let scheme = if outer.parts.headers.contains_key(X_FORWARDED_PROTO) {
        scheme(sole(&outer.parts.headers, &X_FORWARDED_PROTO)?)?
    } else {
        outer.scheme
    };
    Ok(Told {
        method: outer.parts.method.clone(),
        scheme,
        host: outer.host.cloned().ok_or(Untold("host_missing"))?,
        target: target(behind.ok_or(Untold("endpoint_spelling"))?)?,
    })
}

/// The value of a field that stands exactly once, in visible ASCII.
fn sole<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Untold> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Untold(NOTHING_TOLD))?;
    if values.next().is_some() {
        return Err(Untold("telling_header_repeated"));
    }
    value.to_str().map_err(|_| Untold("telling_header"))
}

pub(super) fn method(text: &str) -> Result<Method, Untold> {
    Method::from_bytes(text.as_bytes()).map_err(|_| Untold("original_method"))
}

/// The scheme of what is asked for. Traefik has told `ws` of WebSockets.
pub(super) fn scheme(text: &str) -> Result<&'static str, Untold> {
    match text {
        "http" | "ws" => Ok("http"),
        "https" | "wss" => Ok("https"),
        _ => Err(Untold("original_scheme")),
    }
}

/// Path and query. The library would cut a fragment off, which the origin may not.
pub(super) fn target(text: &str) -> Result<PathAndQuery, Untold> {
    if text.contains('#') || !(text.starts_with('/') || text == "*") {
        return Err(Untold("target_character"));
    }
    let target = PathAndQuery::try_from(text).map_err(|_| Untold("target_character"))?;
    if target.as_str() == text {
        Ok(target)
    } else {
        Err(Untold("target_character"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    fn parts(target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::new(());
        *request.uri_mut() = target.parse().unwrap();
        for (name, value) in fields {
            request.headers_mut().append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        request.into_parts().0
    }

    fn tell(dialect: Dialect, target: &str, fields: &[(&str, &str)]) -> Result<Told, Untold> {
        let parts = parts(target, fields);
        let host = parts.headers.get("host").cloned();
        let outer = Outer {
            parts: &parts,
            raw: parts.uri.path_and_query().unwrap(),
            host: host.as_ref(),
            scheme: "http",
        };
        read(dialect, dialect.default_path(), &outer)
    }

    fn told(method: &str, scheme: &'static str, host: &str, target: &str) -> Told {
        Told {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            scheme,
            host: HeaderValue::from_str(host).unwrap(),
            target: target.parse().unwrap(),
        }
    }

    const FORWARDED: [(&str, &str); 4] = [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example.com:8443"),
        ("x-forwarded-uri", "/a/b?c=d"),
    ];

    #[test]
    fn each_dialect_tells_of_the_same_request_in_its_own_way() {
        let expected = told("POST", "https", "app.example.com:8443", "/a/b?c=d");
        for dialect in [Dialect::Traefik, Dialect::Caddy, Dialect::Haproxy] {
            let target = format!("{}?c=d", dialect.default_path());
            assert_eq!(tell(dialect, &target, &FORWARDED), Ok(expected.clone()));
        }
        let url = "https://app.example.com:8443/a/b?c=d";
        let nginx = [("x-original-method", "POST"), ("x-original-url", url)];
        assert_eq!(
            tell(Dialect::Nginx, "/auth/nginx", &nginx),
            Ok(expected.clone())
        );
        let envoy = [
            ("host", "app.example.com:8443"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(
            tell(Dialect::Envoy, "/auth/envoy/a/b?c=d", &envoy),
            Ok(Told {
                method: Method::GET,
                ..expected
            })
        );
    }

    #[test]
    fn a_dialect_reads_no_field_of_another() {
        let mut fields = FORWARDED.to_vec();
        fields.push(("x-original-url", "https://evil.example/public"));
        fields.push(("x-original-method", "GET"));
        fields.push(("forwarded", "host=evil.example;proto=http"));
        fields.push(("x_forwarded_uri", "/public"));
        let expected = told("POST", "https", "app.example.com:8443", "/a/b?c=d");
        assert_eq!(
            tell(Dialect::Traefik, "/auth/traefik?uri=/public", &fields),
            Ok(expected)
        );
        assert_eq!(
            tell(Dialect::Nginx, "/auth/nginx", &FORWARDED),
            Err(Untold("telling_header_missing"))
        );
    }

    #[test]
    fn what_is_missing_repeated_or_strange_is_no_request() {
        for left_out in 0..FORWARDED.len() {
            let mut fields = FORWARDED.to_vec();
            let (name, value) = fields.remove(left_out);
            let missing = tell(Dialect::Caddy, "/auth/caddy", &fields);
            assert_eq!(missing, Err(Untold("telling_header_missing")), "{name}");
            fields.extend([(name, value), (name, value)]);
            let repeated = tell(Dialect::Caddy, "/auth/caddy", &fields);
            assert_eq!(repeated, Err(Untold("telling_header_repeated")), "{name}");
        }
        for url in [
            "",
            "/a",
            "app.example.com/a",
            "ftp://a/b",
            "HTTP://a/b",
            "http://a",
            "http://a?b",
            "http://a/b#c",
            "http://a/b c",
            "http://a/\u{e4}",
        ] {
            let fields = [("x-original-method", "GET"), ("x-original-url", url)];
            assert!(
                tell(Dialect::Nginx, "/auth/nginx", &fields).is_err(),
                "{url}"
            );
        }
        let fields = [
            ("x-original-method", "CONNECT"),
            ("x-original-url", "http://a/"),
        ];
        assert_eq!(
            tell(Dialect::Nginx, "/auth/nginx", &fields),
            Err(Untold("connect"))
        );
    }

    #[test]
    fn an_endpoint_spelt_otherwise_is_not_read() {
        let host = [("host", "a")];
        assert_eq!(
            tell(Dialect::Envoy, "/%61uth/envoy/a", &host),
            Err(Untold("endpoint_spelling"))
        );
    }

    proptest! {
        #[test]
        fn what_is_told_is_what_was_written(
            target in "/[!-~]{0,40}",
            host in "[a-z0-9.:-]{1,20}",
            text in ".{0,60}",
        ) {
            let url = format!("http://{host}{target}");
            let fields = [("x-original-method", "GET"), ("x-original-url", url.as_str())];
            if let Ok(told) = tell(Dialect::Nginx, "/auth/nginx", &fields) {
                prop_assert_eq!(told.host.to_str().unwrap(), host);
                prop_assert_eq!(told.target.as_str(), target);
            }
            if HeaderValue::from_bytes(text.as_bytes()).is_ok() {
                let fields = [("x-original-method", "GET"), ("x-original-url", text.as_str())];
                drop(tell(Dialect::Nginx, "/auth/nginx", &fields));
            }
        }
    }
}
