//! The lines of a request as they arrived: from the bytes themselves where those are at hand.

use crate::message::credential;
use crate::verify::arrival::{Fidelity, latin1};
use bytes::Bytes;
use http::{HeaderMap, Version};

/// What arrived, before anything was changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// Name and value of each line that may be told.
    pub(super) told: Vec<(String, String)>,
    /// Names of the others, for each line.
    pub(super) removed: Vec<String>,
    pub(super) fidelity: Fidelity,
}

impl Lines {
    /// Of the head as it came, if it is this request's, else of what the parser made of it.
    pub(super) fn of(headers: &HeaderMap, version: Version, head: Option<&Bytes>) -> Self {
        let exact = head.and_then(|head| raw(head, headers));
        let fidelity = match (&exact, version) {
            (Some(_), _) => Fidelity::Exact,
            (None, Version::HTTP_2) => Fidelity::Decoded,
            (None, _) => Fidelity::Grouped,
        };
        let parsed = || {
            let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                (name.as_str().to_owned(), latin1(value.as_bytes()))
            };
            headers.iter().map(line).collect()
        };
        let lines: Vec<(String, String)> = exact.unwrap_or_else(parsed);
        let (removed, told): (Vec<_>, Vec<_>) = lines
            .into_iter()
            .partition(|(name, _)| credential::may_be_credential(name));
        Self {
            told,
            removed: removed.into_iter().map(|(name, _)| name).collect(),
            fidelity,
        }
    }
}

/// The lines of a head. None unless they are exactly those that the parser read: whatever else
/// came by on the connection is not told as this request's.
fn raw(head: &[u8], headers: &HeaderMap) -> Option<Vec<(String, String)>> {
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.next()?;
    let lines = lines
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, rest) = line.split_at_checked(colon)?;
            let value = rest.strip_prefix(b":")?.trim_ascii();
            Some((std::str::from_utf8(name).ok()?, value))
        })
        .collect::<Option<Vec<_>>>()?;
    let same = lines.len() == headers.len()
        && headers.keys().all(|name| {
            let parsed = headers.get_all(name).iter().map(|value| value.as_bytes());
            let came = lines.iter();
            let came = came.filter(|(other, _)| other.eq_ignore_ascii_case(name.as_str()));
            parsed.eq(came.map(|(_, value)| *value))
        });
    same.then(|| {
        let line = |(name, value): (&str, &[u8])| (name.to_owned(), latin1(value));
        lines.into_iter().map(line).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn parsed(lines: &[(&str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn told(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        let line = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        lines.iter().map(line).collect()
    }

    const HEAD: &[u8] =
        b"GET /a HTTP/1.1\r\nTraceState: a=1\r\nB3:0\r\nCookie: a=b\r\ntracestate:  b=2 \r\nX-L: \xfc\r\n\r\n";

    fn headers() -> HeaderMap {
        parsed(&[
            ("tracestate", b"a=1"),
            ("tracestate", b"b=2"),
            ("b3", b"0"),
            ("cookie", b"a=b"),
            ("x-l", b"\xfc"),
        ])
    }

    #[test]
    fn lines_are_told_with_their_case_and_order_and_without_credentials() {
        let head = Bytes::from_static(HEAD);

        let lines = Lines::of(&headers(), Version::HTTP_11, Some(&head));

        let expected = Lines {
            told: told(&[
                ("TraceState", "a=1"),
                ("B3", "0"),
                ("tracestate", "b=2"),
                ("X-L", "\u{fc}"),
            ]),
            removed: vec!["Cookie".to_owned()],
            fidelity: Fidelity::Exact,
        };
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_head_that_is_not_this_requests_is_not_told() {
        let mut other = headers();
        other.insert("b3", HeaderValue::from_static("1"));
        let head = Bytes::from_static(HEAD);

        let lines = Lines::of(&other, Version::HTTP_11, Some(&head));

        let grouped = [
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
            ("b3", "1"),
            ("x-l", "\u{fc}"),
        ];
        assert_eq!(
            (lines.told, lines.fidelity),
            (told(&grouped), Fidelity::Grouped)
        );
        let decoded = Lines::of(&other, Version::HTTP_2, None);
        assert_eq!(decoded.fidelity, Fidelity::Decoded);
    }

    #[test]
    fn a_line_more_or_in_another_order_is_another_head() {
        let mut more = headers();
        more.append("b3", HeaderValue::from_static("0"));
        assert_eq!(raw(HEAD, &more), None);
        let swapped = parsed(&[
            ("tracestate", b"b=2"),
            ("tracestate", b"a=1"),
            ("b3", b"0"),
            ("cookie", b"a=b"),
            ("x-l", b"\xfc"),
        ]);
        assert_eq!(raw(HEAD, &swapped), None);
        assert_eq!(
            raw(b"GET / HTTP/1.1\r\nno line\r\n\r\n", &HeaderMap::new()),
            None
        );
    }
}
