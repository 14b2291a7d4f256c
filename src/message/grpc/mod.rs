//! gRPC on the wire: which framing a message has, how long a call may take, how many messages
//! went by.
//!
//! Read from headers and from passing bytes; nothing is held back and nothing is changed.

mod messages;
pub mod unary;

pub use messages::MessageReader;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};
use std::time::Duration;

/// Where a call says how long it may take (gRPC over HTTP/2, "Timeout").
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Most digits of a timeout.
const TIMEOUT_DIGITS_MAX: usize = 8;
/// Longer than any call: a timeout beyond it means the same. Timers cannot count the 11,000 years
/// that eight digits of hours are.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// How gRPC's messages are framed, by the content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `application/grpc`: messages with a prefix of five bytes, the status in trailers.
    Grpc,
    /// `application/grpc-web`: the same, the trailers in a last frame of the body.
    Web,
    /// `application/grpc-web-text`: that in base64.
    WebText,
}

impl Wire {
    /// The framing of a request or answer with these headers; None if it is not gRPC.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.as_bytes();
        let (start, rest) = value.split_at_checked("application/grpc".len())?;
        if !start.eq_ignore_ascii_case(b"application/grpc") {
            return None;
        }
        let ends = |rest: &[u8]| matches!(rest, [] | [b'+' | b';' | b' ', ..]);
        let behind = |word: &[u8]| {
            let (start, rest) = rest.split_at_checked(word.len())?;
            (start.eq_ignore_ascii_case(word) && ends(rest)).then_some(())
        };
        if ends(rest) {
            Some(Self::Grpc)
        } else if behind(b"-web-text").is_some() {
            Some(Self::WebText)
        } else {
            behind(b"-web").map(|()| Self::Web)
        }
    }
}

/// How long the call may take from its start, by its own word. A value that the specification
/// does not know is none: it is forwarded, and the server judges it.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else {
        return None;
    };
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > TIMEOUT_DIGITS_MAX {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })?;
    let timeout = match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    };
    Some(timeout.min(TIMEOUT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn with(name: &'static str, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        headers
    }

    #[test]
    fn the_framing_is_told_by_the_whole_content_type() {
        let of = |value: &str| Wire::of(&with("content-type", value.as_bytes()));

        assert_eq!(of("application/grpc"), Some(Wire::Grpc));
        assert_eq!(of("Application/gRPC+proto"), Some(Wire::Grpc));
        assert_eq!(of("application/grpc; x=1"), Some(Wire::Grpc));
        assert_eq!(of("application/grpc-web"), Some(Wire::Web));
        assert_eq!(of("application/grpc-web+proto"), Some(Wire::Web));
        assert_eq!(of("application/grpc-web-text"), Some(Wire::WebText));
        assert_eq!(of("application/gRPC-Web-Text+proto"), Some(Wire::WebText));
        for other in [
            "application/grpcs",
            "application/grpc-webs",
            "application/grpc-web-texts",
            "application/json",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(Wire::of(&HeaderMap::new()), None);
    }

    #[track_caller]
    fn check(value: &str, expected: Option<Duration>) {
        let headers = with("grpc-timeout", value.as_bytes());
        assert_eq!(timeout(&headers), expected, "{value}");
    }

    #[test]
    fn a_timeout_is_up_to_eight_digits_and_a_unit() {
        check("1H", Some(Duration::from_secs(3600)));
        check("2M", Some(Duration::from_secs(120)));
        check("00000003S", Some(Duration::from_secs(3)));
        check("250m", Some(Duration::from_millis(250)));
        check("7u", Some(Duration::from_micros(7)));
        check("99999999n", Some(Duration::from_nanos(99_999_999)));
        check("0m", Some(Duration::ZERO));
        check("99999999H", Some(TIMEOUT_MAX));
        for other in [
            "",
            "S",
            "1",
            "100000000S",
            "1.5S",
            "-1S",
            "+1S",
            " 1S",
            "1 S",
            "1s",
            "1h",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn two_timeouts_are_none() {
        let mut headers = with("grpc-timeout", b"1S");
        headers.append("grpc-timeout", HeaderValue::from_static("2S"));

        assert_eq!(timeout(&headers), None);
    }

    proptest! {
        #[test]
        fn no_value_makes_the_reader_panic(value in "[ -~]{0,12}") {
            let headers = with("grpc-timeout", value.as_bytes());
            prop_assert!(timeout(&headers).is_none_or(|timeout| timeout <= TIMEOUT_MAX));
        }
    }
}
