//! Trailers on their way through: what may not be a trailer does not become one.

use super::forwarded::is_claim;
use super::reserved::Reserved;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, HOST, HeaderName, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http_body::Frame;

/// Fields that frame, route, authorise or carry context, and so have no place in trailers (RFC
/// 9110 section 6.5.1): a server that merges trailers into headers would believe them. So it
/// would what a client says of itself, see [`is_claim`].
const NEVER_TRAILERS: [HeaderName; 14] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Trace context: read from headers, written to headers.
const CONTEXT: [&str; 4] = ["b3", "baggage", "traceparent", "tracestate"];

/// The frame, without fields that may not be trailers.
pub fn forwardable(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            let barred: Vec<HeaderName> = trailers
                .keys()
                .filter(|name| is_barred(name))
                .cloned()
                .collect();
            for name in &barred {
                trailers.remove(name);
            }
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// The frame, without fields that only we write.
pub fn without(frame: Frame<Bytes>, reserved: &Reserved) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            reserved.strip(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

fn is_barred(name: &HeaderName) -> bool {
    NEVER_TRAILERS.contains(name)
        || CONTEXT.contains(&name.as_str())
        || name.as_str().starts_with("x-b3-")
        || name.as_str().starts_with("proxy-")
        || is_claim(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn what_only_we_write_is_no_trailer_under_any_spelling() {
        let reserved = Reserved::new([HeaderName::from_static("x-auth-user")]);
        let mut sent = HeaderMap::new();
        for name in ["x-auth-user", "x_auth_user", "x-sum"] {
            sent.append(name, HeaderValue::from_static("1"));
        }

        let passed = without(Frame::trailers(sent), &reserved);

        let passed = passed.into_trailers().unwrap();
        assert_eq!(passed.keys().collect::<Vec<_>>(), ["x-sum"]);
    }
}
