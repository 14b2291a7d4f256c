//! Durations as a person reads them: with the digits that matter.

use std::time::Duration;

/// `0.3 ms`, `412.6 ms`, `1.204 s`.
pub fn duration_text(duration: Duration) -> String {
    let (number, unit) = parts(duration, duration);
    format!("{number} {unit}")
}

/// `part` in the unit that [`duration_text`] chooses for `whole`, without naming it.
pub fn number_like(part: Duration, whole: Duration) -> String {
    parts(part, whole).0
}

fn parts(part: Duration, whole: Duration) -> (String, &'static str) {
    let milliseconds = whole.as_secs_f64() * 1000.0;
    let (seconds, unit) = (part.as_secs_f64(), "s");
    if milliseconds < 0.05 {
        (format!("{:.2}", seconds * 1000.0), "ms")
    } else if milliseconds < 999.95 {
        (format!("{:.1}", seconds * 1000.0), "ms")
    } else if milliseconds < 100_000.0 {
        (format!("{seconds:.3}"), unit)
    } else {
        (format!("{seconds:.1}"), unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_the_digits_that_matter() {
        let check = |micros, expected: &str| {
            assert_eq!(duration_text(Duration::from_micros(micros)), expected);
        };
        check(20, "0.02 ms");
        check(300, "0.3 ms");
        check(412_600, "412.6 ms");
        check(999_940, "999.9 ms");
        check(999_950, "1.000 s");
        check(1_204_000, "1.204 s");
        check(100_000_000, "100.0 s");
    }

    #[test]
    fn a_part_is_told_in_the_unit_of_its_whole() {
        let check = |part, whole, expected: &str| {
            let (part, whole) = (Duration::from_micros(part), Duration::from_micros(whole));
            assert_eq!(number_like(part, whole), expected);
        };
        check(83_800, 412_600, "83.8");
        check(83_800, 1_204_000, "0.084");
        check(10, 412_600, "0.0");
    }
}
