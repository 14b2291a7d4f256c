//! Cookies of a request (RFC 6265 section 5.4).

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The pairs of name and value that a request brings, without the spaces around them. HTTP/2 may
/// spread them over several fields.
pub fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).into_iter();
    lines.flat_map(of_line).map(<[u8]>::trim_ascii)
}

/// The value of each cookie of this name, in the order in which they stand; names are
/// case-sensitive.
pub fn values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    pairs(headers).filter_map(move |pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Makes one `Cookie` field of several, as HTTP/1.1 has it (RFC 9113 section 8.2.3): who is told of
/// several takes the first one, or joins them by commas.
pub fn join(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(line.as_bytes());
    }
    // Every line was a header value, so what joins them is one.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// Removes every cookie of this name; names are case-sensitive.
pub fn remove(headers: &mut HeaderMap, name: &str) {
    remove_if(headers, |pair| {
        let behind = pair.trim_ascii().strip_prefix(name.as_bytes());
        behind.is_some_and(|behind| behind.first().is_none_or(|byte| *byte == b'='))
    });
}

/// Removes every cookie that is meant, told by its pair of name and value. What else a `Cookie`
/// field holds stays as it is, byte for byte, and a field without anything else goes.
pub fn remove_if(headers: &mut HeaderMap, is_meant: impl Fn(&[u8]) -> bool) {
    let has_one = |line: &HeaderValue| of_line(line).any(&is_meant);
    if !headers.get_all(COOKIE).iter().any(has_one) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let kept: Vec<&[u8]> = of_line(&line).filter(|pair| !is_meant(pair)).collect();
        let kept = kept.join(&b';');
        let kept = kept.trim_ascii();
        if !kept.is_empty()
            && let Ok(mut kept) = HeaderValue::from_bytes(kept)
        {
            kept.set_sensitive(line.is_sensitive());
            headers.append(COOKIE, kept);
        }
    }
}

/// What stands between semicolons. Found by `memchr`: a session may have eight kilobytes.
fn of_line(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line.as_bytes());
    std::iter::from_fn(move || {
        let line = rest?;
        let end = memchr::memchr(b';', line);
        let (pair, behind) = line.split_at_checked(end.unwrap_or(line.len()))?;
        rest = end.and(behind.get(1..));
        Some(pair)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let line = |line: &&str| HeaderValue::from_bytes(line.as_bytes()).unwrap();
        lines.iter().map(|text| (COOKIE, line(text))).collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_in_every_field() {
        let check = |lines: &[&str], expected: &[&str]| {
            let headers = headers(lines);
            let found: Vec<&[u8]> = values(&headers, "sid").collect();
            let expected: Vec<&[u8]> = expected.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(found, expected, "{lines:?}");
        };
        check(&[], &[]);
        check(&["sid=7"], &["7"]);
        check(&["a=1; sid=7 ; b=2"], &["7"]);
        check(&["a=1", "sid=7"], &["7"]);
        check(&["a=1;sid="], &[""]);
        check(&["sid=x=y"], &["x=y"]);
        check(&["sid=1; sid=2", "sid=3"], &["1", "2", "3"]);
        check(&["xsid=7; sidx=8; sid; Sid=9"], &[]);
        check(&["name=\u{e9}; sid=7"], &["7"]);
    }

    proptest::proptest! {
        #[test]
        fn a_line_is_cut_at_every_semicolon_and_nowhere_else(line in "[ab;= ]{0,40}") {
            let value = HeaderValue::from_str(&line).unwrap();

            let cut: Vec<&[u8]> = of_line(&value).collect();

            let naive: Vec<&[u8]> = line.split(';').map(str::as_bytes).collect();
            proptest::prop_assert_eq!(cut, naive);
        }
    }

    #[test]
    fn cookies_of_several_fields_are_one_field() {
        let mut several = headers(&["a=1", "b=2; c=3"]);
        let mut none = headers(&[]);

        join(&mut several);
        join(&mut none);

        let lines: Vec<_> = several.get_all(COOKIE).iter().collect();
        assert_eq!(lines, ["a=1; b=2; c=3"]);
        assert!(none.is_empty());
    }

    #[track_caller]
    fn check(before: &[&str], after: &[&str]) {
        let mut headers = headers(before);

        remove(&mut headers, "sid");

        let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(left, after, "{before:?}");
    }

    #[test]
    fn a_cookie_goes_and_the_others_stay_as_they_are() {
        check(&[], &[]);
        check(&["a=1;b=2"], &["a=1;b=2"]);
        check(&["sid=1"], &[]);
        check(&["a=1; sid=1; b=2"], &["a=1; b=2"]);
        check(&["sid=1; a=1"], &["a=1"]);
        check(&["a=1; sid=x=y"], &["a=1"]);
        check(&["a=1", "sid=1", "b=2; sid=2"], &["a=1", "b=2"]);
        check(&["sid"], &[]);
        check(&["Sid=1; sidx=2; xsid=3"], &["Sid=1; sidx=2; xsid=3"]);
    }
}
