//! What an answer tells of a limit: draft-ietf-httpapi-ratelimit-headers-10, and the three fields
//! of its earlier versions.

use super::charge::Decision;
use super::settings::LimitHeaders;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Writes what the limit's settings say an answer tells. The structured fields are lists, so ours
/// stand beside those of an upstream that limits, too; of the separate ones the upstream's stay.
///
/// The quota is the burst, its window the time in which an unused burst comes back, and the reset
/// the time until it is whole: with a bucket that fills steadily these three fit together.
pub fn tell(decision: &Decision<'_>, headers: &mut HeaderMap) {
    let settings = decision.rule.settings();
    let (draft, separate) = match settings.headers {
        LimitHeaders::Draft => (true, false),
        LimitHeaders::Separate => (false, true),
        LimitHeaders::Both => (true, true),
        LimitHeaders::Off => (false, false),
    };
    let (limit, window) = (settings.quota.burst(), seconds_up(settings.quota.window()));
    let remaining = decision.verdict.remaining;
    let reset = seconds_up(decision.verdict.reset);
    if draft {
        let name = quoted(&settings.name);
        let policy = format!("{name};q={limit};w={window}");
        append(RATELIMIT_POLICY, &policy, headers);
        append(
            RATELIMIT,
            &format!("{name};r={remaining};t={reset}"),
            headers,
        );
    }
    if separate && !headers.contains_key(RATELIMIT_LIMIT) {
        headers.insert(RATELIMIT_LIMIT, HeaderValue::from(limit));
        headers.insert(RATELIMIT_REMAINING, HeaderValue::from(remaining));
        headers.insert(RATELIMIT_RESET, HeaderValue::from(reset));
    }
}

fn append(name: HeaderName, value: &str, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

/// Whole seconds, rounded up: who waits that long does not come too early.
pub(super) fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A string of RFC 9651 section 3.3.3: visible ASCII and spaces, quotes and backslashes escaped.
/// What it cannot hold becomes `?`.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for one in text.chars() {
        match one {
            '"' | '\\' => quoted.extend(['\\', one]),
            ' '..='~' => quoted.push(one),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_started_second_is_a_whole_one() {
        assert_eq!(seconds_up(Duration::ZERO), 0);
        assert_eq!(seconds_up(Duration::from_nanos(1)), 1);
        assert_eq!(seconds_up(Duration::from_secs(3)), 3);
    }

    proptest! {
        #[test]
        fn a_name_is_a_structured_string_whatever_it_is(name in ".{0,20}") {
            let text = quoted(&name);

            let inside = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let inside = inside.expect("quotes around it");
            let mut bytes = inside.bytes();
            while let Some(byte) = bytes.next() {
                prop_assert!((b' '..=b'~').contains(&byte));
                prop_assert!(byte != b'"');
                if byte == b'\\' {
                    prop_assert!(matches!(bytes.next(), Some(b'"' | b'\\')));
                }
            }
        }
    }
}
