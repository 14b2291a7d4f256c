//! Times of lines that `--every` writes.

pub(super) use crate::verify::changes::State;

use crate::clock::Timestamp;

/// Local time of day, as the log has it.
pub(super) fn clock_time(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_unix_nanos() / 1_000_000_000).unwrap_or(0);
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let local = moment.to_zoned(jiff::tz::TimeZone::system());
    local.strftime("%H:%M:%S").to_string()
}
