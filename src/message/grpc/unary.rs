//! A call with one message each way: the message's prefix, and the status that ends the call.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write as _;
use std::time::Duration;

/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// Largest number that `grpc-timeout` can tell in one unit.
const TIMEOUT_NUMBER_MAX: u128 = 99_999_999;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Why a body is not one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOneMessage {
    /// It ends before its message does, or there is none.
    #[error("the message is cut off")]
    CutOff,
    /// It is compressed, and nothing said that this side could read that.
    #[error("the message is compressed")]
    Compressed,
    /// Something stands behind the message.
    #[error("there is more than one message")]
    More,
}

/// The message with its prefix.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}

/// The one message of a body.
///
/// # Errors
/// [`NotOneMessage`].
pub fn only_message(body: &Bytes) -> Result<Bytes, NotOneMessage> {
    let Some((&[compressed, a, b, c, d], rest)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(NotOneMessage::CutOff);
    };
    if compressed != 0 {
        return Err(NotOneMessage::Compressed);
    }
    let told = usize::try_from(u32::from_be_bytes([a, b, c, d]));
    match told.map(|told| rest.len().cmp(&told)) {
        Ok(std::cmp::Ordering::Equal) => Ok(body.slice_ref(rest)),
        Ok(std::cmp::Ordering::Greater) => Err(NotOneMessage::More),
        Ok(std::cmp::Ordering::Less) | Err(_) => Err(NotOneMessage::CutOff),
    }
}

/// `grpc-timeout` for this long, in the finest unit that can tell it; cut, never rounded up.
pub fn timeout_value(timeout: Duration) -> HeaderValue {
    let nanos = timeout.as_nanos();
    let units = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
    ];
    let fits = |&&(per, _): &&(u128, char)| nanos / per <= TIMEOUT_NUMBER_MAX;
    let text = match units.iter().find(fits) {
        Some((per, unit)) => format!("{}{unit}", nanos / per),
        None => format!("{TIMEOUT_NUMBER_MAX}S"),
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0n"))
}

/// The fields that end a call.
pub fn status_fields(code: u8, message: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(GRPC_STATUS, HeaderValue::from(u16::from(code)));
    if !message.is_empty()
        && let Ok(message) = HeaderValue::try_from(percent_encoded(message))
    {
        fields.insert(GRPC_MESSAGE, message);
    }
    fields
}

/// As `grpc-message` has it: printable ASCII without `%` as it is, the rest as `%XX` (gRPC over
/// HTTP/2, "Responses").
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::timeout;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read_only_if_it_is_whole_alone_and_plain() {
        let body = |bytes: &'static [u8]| only_message(&Bytes::from_static(bytes));
        assert_eq!(body(b"\0\0\0\0\x02ab"), Ok(Bytes::from_static(b"ab")));
        assert_eq!(body(b"\0\0\0\0\0"), Ok(Bytes::new()));
        assert_eq!(body(b""), Err(NotOneMessage::CutOff));
        assert_eq!(body(b"\0\0\0\0"), Err(NotOneMessage::CutOff));
        assert_eq!(body(b"\0\0\0\0\x02a"), Err(NotOneMessage::CutOff));
        assert_eq!(body(b"\0\xff\xff\xff\xffa"), Err(NotOneMessage::CutOff));
        assert_eq!(body(b"\0\0\0\0\x02abc"), Err(NotOneMessage::More));
        assert_eq!(body(b"\x01\0\0\0\x02ab"), Err(NotOneMessage::Compressed));
    }

    #[test]
    fn a_timeout_is_told_in_the_finest_unit_that_has_room() {
        for (duration, expected) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_millis(300), "300000u"),
            (Duration::from_secs(3600), "3600000m"),
            (Duration::from_secs(100_000_000), "99999999S"),
        ] {
            assert_eq!(timeout_value(duration), expected);
        }
    }

    #[test]
    fn a_status_message_is_escaped_where_a_header_could_not_hold_it() {
        let fields = status_fields(3, "no 100% ä\n");

        assert_eq!(fields["grpc-status"], "3");
        assert_eq!(fields["grpc-message"], "no 100%25 %C3%A4%0A");
        assert!(!status_fields(0, "").contains_key("grpc-message"));
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read_back(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            let body = frame(&message);
            prop_assert_eq!(only_message(&body).unwrap(), message);
        }

        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..30)) {
            let body = Bytes::from(body);
            if let Ok(message) = only_message(&body) {
                prop_assert_eq!(frame(&message), body);
            }
        }

        #[test]
        fn a_timeout_is_never_told_longer_than_it_is(nanos in any::<u64>()) {
            let told = timeout_value(Duration::from_nanos(nanos));
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", told);
            let read = timeout(&headers).unwrap();
            prop_assert!(read <= Duration::from_nanos(nanos));
        }
    }
}
