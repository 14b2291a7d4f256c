//! `250ms`, `1.5s`, `2m`, `1h`.

use super::Misread;
use std::time::Duration;

/// Longest duration of most settings, in hours.
const LONGEST: u64 = 24;

/// Reads a duration with its unit. Zero is a duration; whether it makes sense is the caller's to
/// say.
pub(in crate::config) fn duration(text: &str) -> Result<Duration, Misread> {
    duration_up_to(text, LONGEST)
}

/// The same of at most so many hours.
pub(in crate::config) fn duration_up_to(text: &str, hours: u64) -> Result<Duration, Misread> {
    let digits = text.trim_end_matches(|one: char| one.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let number = number(digits).ok_or_else(|| {
        Misread::new("this is not a duration").label("a number and ms, s, m or h")
    })?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        "" => {
            return Err(Misread::new("a duration needs a unit")
                .label("ms, s, m or h")
                // `15` is meant as seconds, `1500` hardly.
                .write(if number < 100.0 {
                    format!("{digits}s")
                } else {
                    format!("{digits}ms")
                }));
        }
        _ => return Err(Misread::new("a duration has no such unit").label("ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| *duration <= Duration::from_hours(hours))
        .ok_or_else(|| Misread::new("this duration is too long").label(format!("at most {hours}h")))
}

/// Digits with at most one point between them.
fn number(digits: &str) -> Option<f64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|one| one.is_ascii_digit());
    (all_digits(whole) && all_digits(fraction))
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, millis: u64) {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
    }

    #[track_caller]
    fn refuse(text: &str, message: &str) {
        assert_eq!(
            duration(text).map_err(|error| error.message),
            Err(message.to_owned())
        );
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        check("250ms", 250);
        check("1.5s", 1500);
        check("2m", 120_000);
        check("24h", 86_400_000);
        check("0s", 0);
    }

    #[test]
    fn some_settings_last_for_days() {
        assert_eq!(
            duration_up_to("720h", 720),
            Ok(Duration::from_secs(2_592_000))
        );
        let label = duration_up_to("721h", 720).map_err(|error| error.label);
        assert_eq!(label, Err(Some("at most 720h".to_owned())));
    }

    #[test]
    fn a_duration_without_sense_is_refused() {
        refuse("15", "a duration needs a unit");
        refuse("15sec", "a duration has no such unit");
        refuse("15 s", "this is not a duration");
        refuse("-1s", "this is not a duration");
        refuse("1.s", "this is not a duration");
        refuse("1e3s", "this is not a duration");
        refuse("s", "this is not a duration");
        refuse("", "this is not a duration");
        refuse("25h", "this duration is too long");
        refuse("99999999999999999999999h", "this duration is too long");
    }

    proptest! {
        #[test]
        fn whole_milliseconds_come_back(millis in 0_u64..86_400_000) {
            let back = duration(&format!("{millis}ms"));

            prop_assert_eq!(back, Ok(Duration::from_millis(millis)));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _unused = duration(&text).is_ok();
        }
    }
}
