//! A moment as text: RFC 3339 for machines, the time of day for people. Always UTC.

use crate::clock::Timestamp;
use std::fmt::{self, Display, Write};

const NANOS_A_MILLI: u64 = 1_000_000;
const NANOS_A_SECOND: u64 = 1_000_000_000;
const SECONDS_A_DAY: u64 = 86_400;

/// `2026-11-21T12:03:21.482Z` (RFC 3339, milliseconds, cut and not rounded).
pub fn rfc3339(at: Timestamp) -> impl Display {
    Rfc3339(at)
}

/// `12:03:21`.
pub fn clock_time(at: Timestamp) -> impl Display {
    ClockTime(at)
}

/// Seconds since the Unix epoch with three decimals, as OpenMetrics writes moments.
pub(super) fn unix_seconds(at: Timestamp) -> impl Display {
    UnixSeconds(at)
}

struct Rfc3339(Timestamp);

impl Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_unix_nanos();
        let (year, month, day) = civil(nanos / NANOS_A_SECOND / SECONDS_A_DAY);
        let millis = nanos / NANOS_A_MILLI % 1000;
        decimal(f, year, 4)?;
        f.write_char('-')?;
        decimal(f, month, 2)?;
        f.write_char('-')?;
        decimal(f, day, 2)?;
        f.write_char('T')?;
        ClockTime(self.0).fmt(f)?;
        f.write_char('.')?;
        decimal(f, millis, 3)?;
        f.write_char('Z')
    }
}

struct ClockTime(Timestamp);

impl Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0.as_unix_nanos() / NANOS_A_SECOND % SECONDS_A_DAY;
        decimal(f, second / 3600, 2)?;
        f.write_char(':')?;
        decimal(f, second / 60 % 60, 2)?;
        f.write_char(':')?;
        decimal(f, second % 60, 2)
    }
}

struct UnixSeconds(Timestamp);

impl Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_unix_nanos() / NANOS_A_MILLI;
        write!(f, "{}.", millis / 1000)?;
        decimal(f, millis % 1000, 3)
    }
}

/// Exactly `width` digits. Every access log line has a date in it, and the padding machinery of
/// `write!` costs several times this.
fn decimal(f: &mut fmt::Formatter<'_>, value: u64, width: u32) -> fmt::Result {
    for place in (0..width).rev() {
        let digit = value / 10_u64.pow(place) % 10;
        f.write_char(char::from_digit(u32::try_from(digit).unwrap_or(0), 10).unwrap_or('0'))?;
    }
    Ok(())
}

/// Year, month and day of the `days`th day after 1970-01-01 in the Gregorian calendar.
///
/// Counted in eras of 400 years that begin on 1 March, so that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_AN_ERA: u64 = 146_097;
    const DAYS_TO_1970: u64 = 719_468; // from 0000-03-01

    let days = days + DAYS_TO_1970;
    let era = days / DAYS_AN_ERA;
    let day_of_era = days % DAYS_AN_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[track_caller]
    fn check(unix_seconds: u64, expected: &str) {
        let at = Timestamp::from_unix_nanos(unix_seconds * NANOS_A_SECOND + 482_999_999);
        assert_eq!(rfc3339(at).to_string(), expected);
    }

    #[test]
    fn known_moments_are_written_as_rfc_3339_says() {
        check(0, "1970-01-01T00:00:00.482Z");
        check(951_782_400, "2000-02-29T00:00:00.482Z");
        check(1_709_251_199, "2024-02-29T23:59:59.482Z");
        check(4_102_444_800, "2100-01-01T00:00:00.482Z");
        check(4_107_542_400, "2100-03-01T00:00:00.482Z");
    }

    #[test]
    fn the_last_moment_that_fits_has_a_date() {
        let last = Timestamp::from_unix_nanos(u64::MAX);
        assert_eq!(rfc3339(last).to_string(), "2554-07-21T23:34:33.709Z");
        assert_eq!(clock_time(last).to_string(), "23:34:33");
    }

    proptest::proptest! {
        #[test]
        fn any_moment_is_the_one_that_another_library_reads(seconds in 0_u64..4_000_000_000) {
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            let text = rfc3339(Timestamp::from_unix_nanos(seconds * NANOS_A_SECOND)).to_string();

            // `Sun, 06 Nov 1994 08:49:37 GMT` beside `1994-11-06T08:49:37.000Z`
            proptest::prop_assert_eq!(&date[5..7], &text[8..10]);
            proptest::prop_assert_eq!(&date[12..16], &text[..4]);
            proptest::prop_assert_eq!(&date[17..25], &text[11..19]);
        }
    }
}
