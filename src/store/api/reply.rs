//! Answers: JSON, protobuf or text, packed where that pays.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use std::io::Write as _;

/// Shorter answers are sent as they are.
const PACKED_BYTES_MIN: usize = 1024;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const PROTOBUF: HeaderValue = HeaderValue::from_static("application/protobuf");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// One JSON value a line.
pub(super) const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// A question that is not answered, and why, for whoever asked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// Seconds.
    pub(super) retry_after: Option<u16>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The question itself is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn retry_after(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

/// Whether the asker takes gzip (RFC 9110 section 12.5.3).
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).into_iter();
    let offers = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    offers.into_iter().any(|offer| {
        let (name, weight) = offer.split_once(';').unwrap_or((offer, "q=1"));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        name.trim().eq_ignore_ascii_case("gzip")
            && weight
                .trim()
                .parse::<f32>()
                .is_ok_and(|weight| weight > 0.0)
    })
}

/// An answer's bytes, made where nothing waits for the processor.
pub(super) struct Made {
    kind: HeaderValue,
    bytes: Bytes,
    is_packed: bool,
}

impl Made {
    /// Packs it if that pays.
    pub(super) fn new(kind: HeaderValue, plain: Vec<u8>, takes_gzip: bool) -> Self {
        let packed = (takes_gzip && plain.len() >= PACKED_BYTES_MIN)
            .then(|| gzip(&plain))
            .flatten();
        Self {
            kind,
            is_packed: packed.is_some(),
            bytes: packed.unwrap_or(plain).into(),
        }
    }

    pub(super) fn json(value: &Value, takes_gzip: bool) -> Self {
        Self::new(JSON, value.to_string().into_bytes(), takes_gzip)
    }

    pub(super) fn response(self) -> Response {
        let mut response = Response::new(Body::from(self.bytes));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.kind);
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if self.is_packed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(plain).ok()?;
    writer.finish().ok()
}

/// A short answer as JSON.
pub(super) fn plain_json(value: &Value) -> Response {
    Made::json(value, false).response()
}

/// An answer as text.
pub(super) fn text(status: StatusCode, text: String) -> Response {
    let mut response = Made::new(TEXT, text.into_bytes(), false).response();
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_only_where_it_is_offered() {
        let takes = |offer: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(offer));
            takes_gzip(&headers)
        };
        assert!(takes("gzip"));
        assert!(takes("br, GZIP;q=0.5"));
        assert!(!takes("br"));
        assert!(!takes("gzip;q=0"));
        assert!(!takes("gzip;q=x"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn an_answer_is_packed_from_the_bound_on() {
        let made = |length| Made::new(JSON, vec![b'x'; length], true).is_packed;
        assert!(!made(PACKED_BYTES_MIN - 1));
        assert!(made(PACKED_BYTES_MIN));
        assert!(!Made::new(JSON, vec![0; PACKED_BYTES_MIN], false).is_packed);
    }
}
