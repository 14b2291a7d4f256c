//! `100/s`, `600/m`, `5000/h`: how many requests in which time.

use super::Misread;
use std::time::Duration;

/// Most requests of a rate.
const COUNT_MAX: u32 = 1_000_000_000;
/// Highest rate a second: a request then uses up a whole microsecond, which Redis still counts.
const PER_SECOND_MAX: u64 = 1_000_000;

/// Reads a number of requests and its unit of time.
pub(in crate::config) fn request_rate(text: &str) -> Result<(u32, Duration), Misread> {
    let misread =
        || Misread::new("this is not a rate of requests").label("such as 100/s, 600/m or 5000/h");
    let (count, unit) = text.split_once('/').ok_or_else(|| {
        let digits = !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit());
        if digits {
            Misread::new("a rate needs a unit of time")
                .label("/s, /m, /h or /d")
                .write(format!("{text}/s"))
        } else {
            misread()
        }
    })?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => {
            return Err(Misread::new("a rate has no such unit of time").label("/s, /m, /h or /d"));
        }
    };
    if count.is_empty() || !count.bytes().all(|one| one.is_ascii_digit()) {
        return Err(misread());
    }
    let count: u64 = count.parse().unwrap_or(u64::MAX);
    if count == 0 {
        return Err(Misread::new("a rate of none lets nothing pass")
            .label("at least one")
            .help("a route without an upstream can answer 403 by itself"));
    }
    u32::try_from(count)
        .ok()
        .filter(|_| count <= PER_SECOND_MAX.saturating_mul(seconds))
        .filter(|count| *count <= COUNT_MAX)
        .map(|count| (count, Duration::from_secs(seconds)))
        .ok_or_else(|| {
            Misread::new("this rate is too high").label("at most 1000000/s and 1000000000 together")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u32, u64)>) {
        let read = request_rate(text).ok();
        let expected = expected.map(|(count, seconds)| (count, Duration::from_secs(seconds)));
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_rate_is_a_number_and_a_unit_of_time() {
        check("100/s", Some((100, 1)));
        check("600/m", Some((600, 60)));
        check("5000/h", Some((5_000, 3_600)));
        check("1/d", Some((1, 86_400)));
        check("1000000/s", Some((1_000_000, 1)));
    }

    #[test]
    fn a_rate_without_sense_is_refused() {
        check("100", None);
        check("0/s", None);
        check("1.5/s", None);
        check("-1/s", None);
        check("/s", None);
        check("100/", None);
        check("100/w", None);
        check("100 / s", None);
        check("1000001/s", None);
        check("1000000001/d", None);
        check("99999999999999999999/s", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _unused = request_rate(&text).is_ok();
        }

        #[test]
        fn every_count_comes_back(count in 1_u32..=1_000_000) {
            let read = request_rate(&format!("{count}/s"));
            prop_assert_eq!(read, Ok((count, Duration::from_secs(1))));
        }
    }
}
