//! `4096`, `64KiB`, `10MB`.

use super::Misread;

/// Reads a number of bytes.
pub(in crate::config) fn size(text: &str) -> Result<u64, Misread> {
    let digits = text.trim_end_matches(|one: char| one.is_ascii_alphabetic());
    let misread =
        || Misread::new("this is not a number of bytes").label("such as 65536, 64KiB or 10MB");
    if digits.is_empty() || !digits.bytes().all(|one| one.is_ascii_digit()) {
        return Err(misread());
    }
    let factor: u64 = match text.get(digits.len()..).unwrap_or_default() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => {
            return Err(
                Misread::new("a size has no such unit").label("B, KiB, MiB, GiB, kB, MB or GB")
            );
        }
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| Misread::new("this size is too large").label("more than 64 bits can count"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(size(text).ok(), expected, "{text}");
    }

    #[test]
    fn sizes_have_units_of_both_kinds() {
        check("0", Some(0));
        check("4096", Some(4096));
        check("64KiB", Some(65_536));
        check("10MB", Some(10_000_000));
        check("1GiB", Some(1_073_741_824));
        check("2kB", Some(2_000));
    }

    #[test]
    fn sizes_without_sense_are_refused() {
        check("", None);
        check("KiB", None);
        check("1.5MB", None);
        check("-1", None);
        check("10M", None);
        check("10 MB", None);
        check("99999999999GiB", None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _unused = size(&text).is_ok();
        }

        #[test]
        fn plain_numbers_are_bytes(bytes in any::<u64>()) {
            prop_assert_eq!(size(&bytes.to_string()), Ok(bytes));
        }
    }
}
