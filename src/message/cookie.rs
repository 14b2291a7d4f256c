//! Cookies of a request (RFC 6265 section 5.4).

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

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
    let has_one = |line: &HeaderValue| pairs(line).any(&is_meant);
    if !headers.get_all(COOKIE).iter().any(has_one) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let kept: Vec<&[u8]> = pairs(&line).filter(|pair| !is_meant(pair)).collect();
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
