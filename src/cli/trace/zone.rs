//! In whose time a trace is told: the reader's own, with its offset, or UTC.

use crate::clock::Timestamp;
use jiff::Zoned;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A time zone, and what time it is now.
#[derive(Clone, Debug)]
pub struct Zone {
    zone: TimeZone,
    now: Timestamp,
}

/// How much of a moment a list has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// `14:03:21`: today.
    Clock,
    /// `11-20 14:03:21`: this year.
    Day,
    /// `2025-11-20 14:03:21`: any time.
    Year,
}

impl Zone {
    /// The reader's own, by `TZ` or the machine's setting; UTC where there is none.
    pub fn local(now: Timestamp) -> Self {
        Self::new(TimeZone::system(), now)
    }

    /// UTC, as `--utc` asks for.
    pub const fn utc(now: Timestamp) -> Self {
        Self::new(TimeZone::UTC, now)
    }

    /// A zone that is known.
    pub const fn new(zone: TimeZone, now: Timestamp) -> Self {
        Self { zone, now }
    }

    /// `2026-11-21 14:03:21.482 +02:00`.
    pub fn whole(&self, at: Timestamp) -> String {
        self.written(at, "%Y-%m-%d %H:%M:%S%.3f %:z")
    }

    /// The moment with as much as `precision` says, down to the second.
    pub fn short(&self, at: Timestamp, precision: Precision) -> String {
        let format = match precision {
            Precision::Clock => "%H:%M:%S",
            Precision::Day => "%m-%d %H:%M:%S",
            Precision::Year => "%Y-%m-%d %H:%M:%S",
        };
        self.written(at, format)
    }

    /// How much has to be told so that none of `moments` is taken for another day's.
    pub fn precision(&self, moments: impl IntoIterator<Item = Timestamp>) -> Precision {
        let today = self.date(self.now);
        let needed = moments.into_iter().map(|at| match self.date(at) {
            date if date == today => Precision::Clock,
            date if date.map(Date::year) == today.map(Date::year) => Precision::Day,
            _ => Precision::Year,
        });
        needed.max().unwrap_or(Precision::Clock)
    }

    fn date(&self, at: Timestamp) -> Option<Date> {
        self.zoned(at).map(|zoned| zoned.date())
    }

    fn written(&self, at: Timestamp, format: &str) -> String {
        let zoned = self.zoned(at);
        zoned.map_or_else(String::new, |zoned| zoned.strftime(format).to_string())
    }

    /// None never comes: 64 bits of nanoseconds end in 2554, jiff's years with 9999.
    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        let at = jiff::Timestamp::from_nanosecond(at.as_unix_nanos().into()).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::offset;

    const NOW: Timestamp = Timestamp::from_unix_nanos(1_795_262_700_000_000_000);

    fn in_helsinki() -> Zone {
        Zone::new(TimeZone::fixed(offset(2)), NOW)
    }

    #[test]
    fn a_moment_is_told_with_its_offset() {
        let at = Timestamp::from_unix_nanos(1_795_262_601_482_000_000);
        assert_eq!(in_helsinki().whole(at), "2026-11-21 14:03:21.482 +02:00");
        assert_eq!(Zone::utc(NOW).whole(at), "2026-11-21 12:03:21.482 +00:00");
    }

    #[test]
    fn a_list_tells_no_more_of_a_moment_than_it_has_to() {
        let zone = in_helsinki();
        let hours_ago = |hours: u64| {
            Timestamp::from_unix_nanos(NOW.as_unix_nanos() - hours * 3_600_000_000_000)
        };
        let check = |hours: &[u64], expected| {
            let precision = zone.precision(hours.iter().map(|hours| hours_ago(*hours)));
            assert_eq!(precision, expected, "{hours:?}");
        };
        check(&[], Precision::Clock);
        check(&[0, 1, 13], Precision::Clock);
        check(&[0, 15], Precision::Day);
        check(&[0, 15, 24 * 330], Precision::Year);
        assert_eq!(zone.short(hours_ago(15), Precision::Day), "11-20 23:05:00");
    }

    #[test]
    fn the_ends_of_time_are_told_too() {
        for at in [0, u64::MAX] {
            let at = Timestamp::from_unix_nanos(at);
            assert!(!in_helsinki().whole(at).is_empty());
        }
    }
}
