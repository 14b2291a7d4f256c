//! Percent-encoding (RFC 3986 section 2.1), read only.

use std::borrow::Cow;

/// The bytes that `text` stands for. What is no escape stays as it is.
pub(crate) fn decoded_bytes(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        if let &[b'%', high, low, ref after @ ..] = rest
            && let (Some(high), Some(low)) = (hex_digit(high), hex_digit(low))
        {
            rest = after;
            return Some((high << 4) | low);
        }
        let (&first, after) = rest.split_first()?;
        rest = after;
        Some(first)
    })
}

/// The text that `text` stands for; bytes that are no UTF-8 become U+FFFD.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes: Vec<u8> = decoded_bytes(text).collect();
    match String::from_utf8(bytes) {
        Ok(decoded) => Cow::Owned(decoded),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// A hexadecimal digit of either case.
const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(decode(text), expected);
    }

    #[test]
    fn escapes_are_read_and_everything_else_stays() {
        check("", "");
        check("plain", "plain");
        check("a%20b", "a b");
        check("%C3%BC", "ü");
        check("%c3%bc", "ü");
        check("%", "%");
        check("%4", "%4");
        check("%zz", "%zz");
        check("%%41", "%A");
        check("%ff", "\u{fffd}");
        check("a+b", "a+b");
    }

    proptest! {
        #[test]
        fn what_was_escaped_reads_back(text in ".{0,80}") {
            let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decode(&escaped), text);
        }

        #[test]
        fn any_text_can_be_read(text in ".{0,80}") {
            let length = decode(&text).chars().count();
            prop_assert!(length <= text.chars().count());
        }
    }
}
