//! Lengths and moments as they are typed: `30m`, `2026-11-21T14:00`, `14:00`.

use crate::clock::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use std::time::Duration;

/// Longest length that may be typed.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// `500ms`, `1.5s`, `30m`, `2h`, `7d`; more than nothing, at most a year.
///
/// # Errors
/// What is wrong, in words.
pub fn length(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|one: char| one.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = digits.parse::<f64>().ok().filter(|_| plain);
    let number = number.ok_or("write a number and its unit: 500ms, 30m, 2h, 7d")?;
    let seconds = match unit {
        "us" => number / 1_000_000.0,
        "ms" => number / 1_000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        "d" => number * 86_400.0,
        _ => return Err("it needs a unit: us, ms, s, m, h or d".to_owned()),
    };
    let length = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    if length.is_zero() {
        return Err("it has to be more than nothing".to_owned());
    }
    if length > LONGEST {
        return Err("it may be a year at most".to_owned());
    }
    Ok(length)
}

/// A moment as it is typed; which one it is depends on where its reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// With its offset: `2026-11-21T14:00:00+02:00`, `...Z`.
    Absolute(jiff::Timestamp),
    /// `2026-11-21T14:00`, `2026-11-21 14:00:30`, `2026-11-21`.
    Local(DateTime),
    /// `14:00`: today's.
    Today(Time),
}

/// Reads a moment.
///
/// # Errors
/// What may be written.
pub fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(absolute) = text.parse() {
        return Ok(Moment::Absolute(absolute));
    }
    // `Z` and offsets have been seen; what is left of a date has none.
    if let Ok(local) = text.parse() {
        return Ok(Moment::Local(local));
    }
    let today = text.parse().map(Moment::Today);
    today.map_err(|_| "write 2026-11-21T14:00, with Z or an offset, or 14:00 for today".to_owned())
}

impl Moment {
    /// Which moment it is for somebody in `zone` at `now`. None before 1970.
    pub fn at(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let in_zone = |local: DateTime| Some(local.to_zoned(zone.clone()).ok()?.timestamp());
        let at = match self {
            Self::Absolute(at) => at,
            Self::Local(local) => in_zone(local)?,
            Self::Today(time) => {
                let now = jiff::Timestamp::from_nanosecond(i128::from(now.as_unix_nanos())).ok()?;
                let today = now.to_zoned(zone.clone()).date();
                in_zone(today.to_datetime(time))?
            }
        };
        let nanos = u64::try_from(at.as_nanosecond()).ok()?;
        Some(Timestamp::from_unix_nanos(nanos))
    }
}

/// A length in the unit in which people would type it, rounded up: `30m`, `3h`, `2d`.
pub fn typed(length: Duration) -> String {
    let seconds = length.as_secs() + u64::from(length.subsec_nanos() > 0);
    let minutes = seconds.div_ceil(60);
    let hours = minutes.div_ceil(60);
    match (minutes, hours) {
        (0..=1, _) if seconds < 60 => format!("{seconds}s"),
        (0..=119, _) => format!("{minutes}m"),
        (_, 0..=47) => format!("{hours}h"),
        (_, _) => format!("{}d", hours.div_ceil(24)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_length_is_a_number_and_its_unit() {
        let check = |text: &str, millis: u64| {
            assert_eq!(length(text), Ok(Duration::from_millis(millis)), "{text}");
        };
        check("500ms", 500);
        check("1.5s", 1_500);
        check("30m", 1_800_000);
        check("2h", 7_200_000);
        check("7d", 604_800_000);
        check("366d", 366 * 86_400_000);
        for wrong in [
            "", "30", "m", "-1m", "0s", "367d", "1e3s", "1 m", "30min", "infs",
        ] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_moment_without_an_offset_is_the_readers() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now = Timestamp::from_unix_nanos(1_795_262_601_482_000_000); // 2026-11-21 14:03:21 +02
        let check = |text: &str, seconds: u64| {
            let at = moment(text).unwrap().at(&zone, now).unwrap();
            assert_eq!(at.as_unix_nanos(), seconds * 1_000_000_000, "{text}");
        };
        let noon = 1_795_262_400; // 2026-11-21 12:00 UTC
        check("2026-11-21T12:00:00Z", noon);
        check("2026-11-21T14:00:00+02:00", noon);
        check("2026-11-21T14:00", noon);
        check("2026-11-21 14:00", noon);
        check("14:00", noon);
        check("2026-11-21", noon - 14 * 3600);
        for wrong in ["", "yesterday", "25:00", "2026-13-01", "30m"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
        assert_eq!(moment("1969-12-31T00:00:00Z").unwrap().at(&zone, now), None);
    }

    #[test]
    fn a_length_is_told_as_it_would_be_typed() {
        let check = |seconds, expected: &str| {
            assert_eq!(typed(Duration::from_secs(seconds)), expected);
        };
        check(30, "30s");
        check(60, "1m");
        check(1_800, "30m");
        check(7_200, "2h");
        check(7_201, "3h");
        check(86_400, "24h");
        check(200_000, "3d");
    }

    proptest! {
        #[test]
        fn what_is_told_can_be_typed_and_is_no_less(seconds in 1_u64..31_000_000) {
            let told = length(&typed(Duration::from_secs(seconds))).unwrap();
            prop_assert!(told >= Duration::from_secs(seconds));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            drop(length(&text));
            drop(moment(&text));
        }
    }
}
