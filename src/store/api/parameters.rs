//! What a question asks for: the parameters of its URL.

use super::reply::Refused;
use crate::clock::Timestamp;
use http::Uri;
use opentelemetry::trace::TraceId;
use std::borrow::Cow;
use std::time::Duration;

/// Digits of a trace id.
const ID_DIGITS: usize = 32;

/// The parameters, their escapes read.
pub(super) struct Parameters<'u>(Vec<(Cow<'u, str>, Cow<'u, str>)>);

impl<'u> Parameters<'u> {
    pub(super) fn of(uri: &'u Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(url::form_urlencoded::parse(query.as_bytes()).collect())
    }

    /// A parameter's value. One that is there and empty counts as absent, as at Tempo.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        let found = all.find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| &**value)
    }

    /// A whole number of at most `max`.
    pub(super) fn number(&self, name: &str, max: u64) -> Result<Option<u64>, Refused> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse::<u64>() {
            Ok(number) if number <= max => Ok(Some(number)),
            Ok(_) => Err(Refused::bad(format!("invalid {name}: at most {max}"))),
            Err(_) => Err(Refused::bad(format!(
                "invalid {name}: a whole number is needed"
            ))),
        }
    }

    /// The same as a count, from 1 on.
    pub(super) fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, Refused> {
        let bound = u64::try_from(max).unwrap_or(u64::MAX);
        match self.number(name, bound)? {
            Some(0) => Err(Refused::bad(format!(
                "invalid {name}: must be a positive number"
            ))),
            Some(number) => Ok(usize::try_from(number).unwrap_or(max)),
            None => Ok(default),
        }
    }

    /// `start` and `end`, in seconds since 1970.
    pub(super) fn range(&self) -> Result<(Option<Timestamp>, Option<Timestamp>), Refused> {
        let (start, end) = (self.seconds("start")?, self.seconds("end")?);
        if let (Some(start), Some(end)) = (start, end)
            && end <= start
        {
            return Err(Refused::bad(format!(
                "http parameter start must be before end. received start={start} end={end}"
            )));
        }
        let moment =
            |seconds: u64| Timestamp::from_unix_nanos(seconds.saturating_mul(1_000_000_000));
        Ok((start.map(moment), end.map(moment)))
    }

    fn seconds(&self, name: &str) -> Result<Option<u64>, Refused> {
        // Zero stands for none.
        Ok(self.number(name, u64::MAX)?.filter(|seconds| *seconds > 0))
    }

    /// A duration as Go writes it: `600ms`, `1.5s`, `1h2m`.
    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, Refused> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let read = duration(text).map(Some);
        read.ok_or_else(|| Refused::bad(format!("invalid {name}: a duration such as 600ms")))
    }
}

/// Reads a duration of Go (`time.ParseDuration`), without a sign.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("μs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut sum = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let unit = after.find(|sign: char| sign.is_ascii_digit() || sign == '.');
        let (unit, after) = after.split_at_checked(unit.unwrap_or(after.len()))?;
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let seconds = number.parse::<f64>().ok()? * scale;
        sum = sum.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// A trace id, of which leading zeros may be missing.
pub(super) fn trace_id(text: &str) -> Result<TraceId, Refused> {
    let is_id = !text.is_empty()
        && text.len() <= ID_DIGITS
        && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = is_id.then(|| TraceId::from_hex(text).ok()).flatten();
    let valid = id.filter(|id| *id != TraceId::INVALID);
    valid.ok_or_else(|| Refused::bad("a trace id is 1 to 32 hexadecimal digits, not all zero"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uri(query: &str) -> Uri {
        format!("/api/search?{query}").parse().unwrap()
    }

    #[test]
    fn a_duration_is_read_as_go_writes_it() {
        let check = |text, millis| {
            let expected = Some(Duration::from_micros(millis));
            assert_eq!(duration(text), expected, "{text}");
        };
        check("600ms", 600_000);
        check("1.5s", 1_500_000);
        check("1h2m", 3_720_000_000);
        check("20us", 20);
        check("20µs", 20);
        check("0", 0);
        check("0s", 0);
        for other in [
            "",
            "5",
            "ms",
            "5x",
            "-5s",
            "1.2.3s",
            "1e9s",
            ".",
            "s5",
            "9999999999999999999h",
        ] {
            assert_eq!(duration(other), None, "{other}");
        }
    }

    #[test]
    fn escapes_are_read_and_nothing_is_absent() {
        let uri = uri("q=%7B+.a+%3D+%22b%22+%7D&limit=&spss=5");
        let parameters = Parameters::of(&uri);

        assert_eq!(parameters.text("q"), Some("{ .a = \"b\" }"));
        assert_eq!(parameters.text("limit"), None);
        assert_eq!(parameters.count("limit", 20, 100), Ok(20));
        assert_eq!(parameters.count("spss", 3, 100), Ok(5));
        assert_eq!(parameters.text("tags"), None);
    }

    #[test]
    fn a_number_at_its_bound_is_taken_and_one_over_it_is_not() {
        let count = |text: &str| {
            let uri = uri(&format!("limit={text}"));
            Parameters::of(&uri).count("limit", 20, 100)
        };
        assert_eq!(count("1"), Ok(1));
        assert_eq!(count("99"), Ok(99));
        assert_eq!(count("100"), Ok(100));
        for refused in ["0", "101", "-1", "x", "1.0", "99999999999999999999"] {
            assert_eq!(count(refused).unwrap_err().status, 400, "{refused}");
        }
    }

    #[test]
    fn a_range_begins_before_it_ends() {
        let range = |text: &str| Parameters::of(&uri(text)).range();
        let at = |seconds: u64| Some(Timestamp::from_unix_nanos(seconds * 1_000_000_000));

        assert_eq!(range("start=5&end=6"), Ok((at(5), at(6))));
        assert_eq!(range("start=0&end=0"), Ok((None, None)));
        assert_eq!(range("end=6"), Ok((None, at(6))));
        for refused in ["start=6&end=6", "start=7&end=6", "start=x", "end=-1"] {
            assert!(range(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn an_id_may_be_short_and_is_never_zero() {
        let whole = "0000000000000000a6d3c1b2e0f49587";
        assert_eq!(trace_id("a6d3c1b2e0f49587"), trace_id(whole));
        assert_eq!(trace_id("A6D3C1B2E0F49587"), trace_id(whole));
        assert_eq!(trace_id(whole).unwrap().to_string(), whole);
        for refused in ["", "0", "x", "+1", "-1", "00000000000000000000000000000000"] {
            assert_eq!(trace_id(refused).unwrap_err().status, 400, "{refused}");
        }
        assert!(trace_id(&"1".repeat(32)).is_ok());
        assert!(trace_id(&"1".repeat(33)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_read_or_refused(text in ".{0,40}") {
            if let Some(read) = duration(&text) {
                prop_assert!(read <= Duration::MAX);
            }
            drop(trace_id(&text));
        }
    }
}
