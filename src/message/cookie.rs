//! Cookies of a request (RFC 6265 section 5.4).

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// Removes every cookie of this name; names are case-sensitive. What else a `Cookie` field holds
/// stays as it is, byte for byte, and a field without anything else goes.
pub fn remove(headers: &mut HeaderMap, name: &str) {
    let is_meant = |pair: &[u8]| {
        let (own, rest) = pair.trim_ascii().split_at_checked(name.len())?;
        (own == name.as_bytes() && rest.first().is_none_or(|byte| *byte == b'=')).then_some(())
    };
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    let has_it = |line: &HeaderValue| pairs(line).any(|pair| is_meant(pair).is_some());
    if !lines.iter().any(has_it) {
        return;
    }
    headers.remove(COOKIE);
    for line in lines {
        let kept: Vec<&[u8]> = pairs(&line)
            .filter(|pair| is_meant(pair).is_none())
            .collect();
        let kept = kept.join(&b';');
        let kept = kept.trim_ascii();
        if !kept.is_empty()
            && let Ok(kept) = HeaderValue::from_bytes(kept)
        {
            headers.append(COOKIE, kept);
        }
    }
}

fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &[&str], after: &[&str]) {
        let mut headers = HeaderMap::new();
        for line in before {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }

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
