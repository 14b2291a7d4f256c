//! gRPC as spans tell it: RPC semantic conventions 1.44, and the status codes of gRPC.

use super::span::OpenSpan;
use http::{HeaderMap, HeaderName};

/// The names of the status codes, in the order of their numbers.
const STATUS_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Where a gRPC call says how it went.
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Longest `rpc.method` that is believed to be one, in bytes.
const METHOD_BYTES_MAX: usize = 255;

/// A gRPC status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcStatus(u8);

impl GrpcStatus {
    /// `OK`
    pub const OK: Self = Self(0);
    /// `DEADLINE_EXCEEDED`
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    /// `UNAVAILABLE`
    pub const UNAVAILABLE: Self = Self(14);

    /// From its number. Numbers that gRPC does not have are `UNKNOWN`, as its clients read them.
    pub fn from_number(number: u32) -> Self {
        let known = u8::try_from(number)
            .ok()
            .filter(|&code| usize::from(code) < STATUS_NAMES.len());
        Self(known.unwrap_or(2))
    }

    /// The `grpc-status` of trailers, or of the headers of a reply without a body.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(GRPC_STATUS)?.to_str().ok()?;
        // A status that is no number is UNKNOWN to every client.
        Some(Self::from_number(value.trim().parse().unwrap_or(2)))
    }

    /// Its name, as in `rpc.response.status_code`.
    pub fn name(self) -> &'static str {
        STATUS_NAMES
            .get(usize::from(self.0))
            .copied()
            .unwrap_or("UNKNOWN")
    }

    /// Whether a SERVER span with it is an error: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
    /// INTERNAL, UNAVAILABLE, DATA_LOSS. The others are the caller's doing.
    pub const fn is_server_error(self) -> bool {
        matches!(self.0, 2 | 4 | 12..=15)
    }

    /// Whether a CLIENT span with it is an error: everything but OK.
    pub const fn is_client_error(self) -> bool {
        self.0 != 0
    }
}

/// Messages of one call as one of its spans sees them: a SERVER span receives requests and sends
/// answers, a CLIENT span the other way round. The conventions have no names for these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Sent by the side whose span it is.
    pub sent: u64,
    /// Received by it.
    pub received: u64,
}

impl Messages {
    /// The same counts, seen from the other side.
    #[must_use]
    pub const fn from_the_other_side(self) -> Self {
        Self {
            sent: self.received,
            received: self.sent,
        }
    }

    pub(super) fn write(self, span: &mut OpenSpan) {
        let saturated = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        span.int("edgespan.rpc.messages_sent", saturated(self.sent));
        span.int("edgespan.rpc.messages_received", saturated(self.received));
    }
}

/// `rpc.method` out of a path: `pkg.Service/Method`. None if the path has another shape.
pub(super) fn method_of(path: &str) -> Option<&str> {
    let full = path.strip_prefix('/')?;
    let (service, method) = full.split_once('/')?;
    let part = |text: &str, extra: u8| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == extra;
        !text.is_empty() && text.bytes().all(fits)
    };
    let valid = full.len() <= METHOD_BYTES_MAX && part(service, b'.') && part(method, b'_');
    valid.then_some(full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_method_is_taken_only_from_a_path_that_has_one() {
        assert_eq!(method_of("/shop.v1.Orders/Get"), Some("shop.v1.Orders/Get"));
        assert_eq!(method_of("/Orders/Get_2"), Some("Orders/Get_2"));
        for path in [
            "",
            "/",
            "/Orders",
            "Orders/Get",
            "/Orders/",
            "//Get",
            "/a/b/c",
            "/a%20b/c",
            "/a/b.c",
        ] {
            assert_eq!(method_of(path), None, "{path}");
        }
        assert_eq!(method_of(&format!("/{}/m", "s".repeat(300))), None);
    }

    #[test]
    fn a_status_is_read_by_its_number_and_told_by_its_name() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", HeaderValue::from_static(value));
            GrpcStatus::from_headers(&headers).unwrap().name()
        };

        assert_eq!(read("0"), "OK");
        assert_eq!(read("14"), "UNAVAILABLE");
        assert_eq!(read("16"), "UNAUTHENTICATED");
        assert_eq!(read("17"), "UNKNOWN");
        assert_eq!(read("-1"), "UNKNOWN");
        assert_eq!(read("99999999999"), "UNKNOWN");
        assert_eq!(GrpcStatus::from_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn the_callers_mistakes_are_errors_of_the_client_only() {
        let server_errors: Vec<&str> = (0..17)
            .map(GrpcStatus::from_number)
            .filter(|status| status.is_server_error())
            .map(GrpcStatus::name)
            .collect();

        assert_eq!(
            server_errors,
            [
                "UNKNOWN",
                "DEADLINE_EXCEEDED",
                "UNIMPLEMENTED",
                "INTERNAL",
                "UNAVAILABLE",
                "DATA_LOSS"
            ]
        );
        assert!(
            (1..17)
                .map(GrpcStatus::from_number)
                .all(GrpcStatus::is_client_error)
        );
        assert!(!GrpcStatus::OK.is_client_error() && !GrpcStatus::OK.is_server_error());
    }
}
