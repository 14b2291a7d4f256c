//! One line a span, for pipes: no tree, no escapes, whole ids, so that `grep` works.

use super::super::escape;
use super::request::{FinishedRequest, ShownSpan};
use crate::clock::Timestamp;

/// Every span of the request, the SERVER span first, each line ended.
pub(super) fn draw(request: &FinishedRequest) -> String {
    let mut out = String::new();
    for span in request.spans.iter().rev().take(1) {
        line(span, &mut out);
    }
    // What went on within it follows in the order in which it was begun.
    let mut inner: Vec<_> = request.spans.iter().rev().skip(1).collect();
    inner.sort_by_key(|span| span.start);
    for span in inner {
        line(span, &mut out);
    }
    out
}

fn line(span: &ShownSpan, out: &mut String) {
    let milliseconds = span.duration().as_secs_f64() * 1000.0;
    out.push_str(&rfc3339(Timestamp::from_unix_nanos(span.start)));
    out.push_str(&format!(" {} {} ", span.kind, escape::word(&span.service)));
    out.push_str(&escape::quoted(&span.name));
    if let Some(status) = &span.outcome.status {
        out.push_str(&format!(" status={}", escape::word(status)));
    }
    if let Some(error) = &span.outcome.error {
        out.push_str(&format!(" error={}", escape::word(error)));
    }
    out.push_str(&format!(" ms={milliseconds:.1}"));
    if let Some(flow) = &span.flow {
        out.push_str(&format!(" flow={}", escape::word(flow)));
    }
    if span.attempt > 1 {
        out.push_str(&format!(" try={}", span.attempt));
    }
    out.push_str(&format!(" trace={} span={}", span.trace_id, span.id));
    if !span.parent.is_empty() {
        out.push_str(&format!(" parent={}", span.parent));
    }
    out.push('\n');
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T12:03:21.482Z`.
fn rfc3339(at: Timestamp) -> String {
    const DAY: u64 = 86_400;
    let seconds = at.as_unix_nanos() / 1_000_000_000;
    let millis = at.as_unix_nanos() / 1_000_000 % 1000;
    let (year, month, day) = civil(seconds / DAY);
    let of_day = seconds % DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is a year's last; 400 of them are an era
/// of 146,097 days.
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::fixtures;

    #[test]
    fn a_moment_is_written_as_rfc_3339() {
        let check = |nanos, expected: &str| {
            assert_eq!(rfc3339(Timestamp::from_unix_nanos(nanos)), expected);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399_999_000_000, "2000-02-28T23:59:59.999Z");
        check(951_782_400_000_000_000, "2000-02-29T00:00:00.000Z");
        check(1_795_262_601_482_000_000, "2026-11-21T12:03:21.482Z");
        check(u64::MAX, "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn a_span_is_a_line_that_grep_can_read() {
        let request = FinishedRequest::read(&fixtures::release_failed(), "edgespan").unwrap();
        insta::assert_snapshot!(draw(&request));
    }

    #[test]
    fn span_data_cannot_forge_a_line() {
        let request = FinishedRequest::read(&fixtures::hostile(), "edge span").unwrap();

        let drawn = draw(&request);

        assert_eq!(drawn.lines().count(), 2);
        insta::assert_snapshot!(drawn);
    }
}
