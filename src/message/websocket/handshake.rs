//! The handshake on both HTTP versions: HTTP/1.1 proves with a key that the server knows
//! WebSocket (RFC 6455 section 4), HTTP/2 asks by extended CONNECT (RFC 8441).

use crate::message::refusal::Refusal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::SEC_WEBSOCKET_KEY;
use http::{HeaderMap, HeaderValue, Method, Request};
use hyper::ext::Protocol;

/// The name of the protocol in `Upgrade` and in `:protocol`.
pub const WEBSOCKET: &str = "websocket";

/// What a server appends to the key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key before base64.
const KEY_BYTES: usize = 16;

/// The one key of a request; None if there is none, or several, or it is no key.
pub fn key_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return None;
    };
    let plain = STANDARD.decode(key.as_bytes()).ok()?;
    (plain.len() == KEY_BYTES).then(|| key.clone())
}

/// A key of our own. It is no secret: it only shows that an answer is not an old one.
pub fn new_key() -> HeaderValue {
    let mut plain = [0; KEY_BYTES];
    fastrand::fill(&mut plain);
    // Base64 is always a header value.
    HeaderValue::try_from(STANDARD.encode(plain)).unwrap_or(HeaderValue::from_static(""))
}

/// `Sec-WebSocket-Accept` of a key (RFC 6455 section 4.2.2).
pub fn accept_of(key: &HeaderValue) -> HeaderValue {
    let hashed = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), GUID].concat());
    HeaderValue::try_from(STANDARD.encode(hashed)).unwrap_or(HeaderValue::from_static(""))
}

/// Whether the request is an extended CONNECT for a WebSocket (RFC 8441 section 5).
///
/// # Errors
/// [`Refusal::Connect`] for a plain `CONNECT`, [`Refusal::Protocol`] for one of another protocol.
pub fn is_extended_connect<B>(request: &Request<B>) -> Result<bool, Refusal> {
    if request.method() != Method::CONNECT {
        return Ok(false);
    }
    match request.extensions().get::<Protocol>() {
        None => Err(Refusal::Connect),
        Some(protocol) if protocol.as_str().eq_ignore_ascii_case(WEBSOCKET) => Ok(true),
        Some(_) => Err(Refusal::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(values: &[&str]) -> HeaderMap {
        let line = |value: &&str| (SEC_WEBSOCKET_KEY, HeaderValue::try_from(*value).unwrap());
        values.iter().map(line).collect()
    }

    #[test]
    fn the_accept_of_the_rfcs_example_is_that_of_the_rfc() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");

        assert_eq!(accept_of(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_sixteen_bytes_and_stands_once() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(key_of(&keys(&[key])).unwrap(), key);
        for none in [&[] as &[&str], &[key, key], &["AAAA"], &["no base64"]] {
            assert_eq!(key_of(&keys(none)), None, "{none:?}");
        }
    }

    #[test]
    fn keys_of_our_own_are_keys_and_differ() {
        let (one, other) = (new_key(), new_key());

        assert_ne!(one, other);
        assert!(key_of(&[(SEC_WEBSOCKET_KEY, one)].into_iter().collect()).is_some());
    }

    #[track_caller]
    fn check(method: Method, protocol: Option<&'static str>, expected: Result<bool, Refusal>) {
        let mut request = Request::new(());
        *request.method_mut() = method;
        if let Some(protocol) = protocol {
            let protocol = Protocol::from_static(protocol);
            request.extensions_mut().insert(protocol);
        }

        assert_eq!(is_extended_connect(&request), expected);
    }

    #[test]
    fn only_a_websocket_is_asked_for_by_connect() {
        check(Method::GET, None, Ok(false));
        check(Method::CONNECT, Some("websocket"), Ok(true));
        check(Method::CONNECT, Some("connect-udp"), Err(Refusal::Protocol));
        check(Method::CONNECT, None, Err(Refusal::Connect));
    }
}
