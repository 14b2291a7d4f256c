//! Bytes as lower-case hex digits. Digit by digit, because formatting takes several times as long.

/// Appends bytes as lower-case hex digits.
pub(crate) fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
}

/// Bytes as lower-case hex digits.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut digits = Vec::with_capacity(bytes.len() * 2);
    push(&mut digits, bytes);
    String::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_is_two_digits_as_formatting_has_them(bytes: Vec<u8>) {
            let formatted: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(text(&bytes), formatted);
        }
    }
}
