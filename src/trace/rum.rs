//! The session of real user monitoring that a page is in, where the page says so:
//! `rum.session_id`.
//!
//! A navigation carries no header of a page's choosing, so a page has three places for it: a query
//! parameter, a member of `baggage` (for what it fetches), and a cookie, looked at in this order.

use super::percent;
use crate::message::cookie;
use http::{HeaderMap, HeaderName};

/// The span attribute, the parameter, the member and the cookie.
pub const KEY: &str = "rum.session_id";

/// Longest one, in bytes.
const BYTES_MAX: usize = 64;

static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// What the page says. Whatever could be more than an id (an e-mail address, a token with its
/// dots and length) is none: letters, digits, `-` and `_`, at most 64.
pub fn session(query: Option<&str>, headers: &HeaderMap) -> Option<Box<str>> {
    query
        .and_then(of_query)
        .or_else(|| of_baggage(headers))
        .or_else(|| of_cookie(headers))
}

fn of_query(query: &str) -> Option<Box<str>> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| *key == KEY);
    valid(found.next()?.1.as_bytes())
}

fn of_baggage(headers: &HeaderMap) -> Option<Box<str>> {
    let lines = headers.get_all(&BAGGAGE).iter();
    let mut members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members.find_map(|member| {
        let entry = member.split(|byte| *byte == b';').next()?;
        let value = entry
            .trim_ascii()
            .strip_prefix(KEY.as_bytes())?
            .trim_ascii();
        let value = std::str::from_utf8(value.strip_prefix(b"=")?).ok()?;
        let value: Vec<u8> = percent::decoded_bytes(value).collect();
        valid(value.trim_ascii())
    })
}

fn of_cookie(headers: &HeaderMap) -> Option<Box<str>> {
    cookie::values(headers, KEY).find_map(valid)
}

/// An id and nothing else.
pub fn valid(value: &[u8]) -> Option<Box<str>> {
    let is_id = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = (1..=BYTES_MAX).contains(&value.len()) && value.iter().all(is_id);
    let text = std::str::from_utf8(value).ok().filter(|_| fits)?;
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn check(query: &str, fields: &[(&'static str, &str)], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let found = session(Some(query), &headers);
        assert_eq!(found.as_deref(), expected, "{query} {fields:?}");
    }

    #[test]
    fn a_page_says_it_in_a_query_in_baggage_or_in_a_cookie() {
        let baggage = ("baggage", "a=1, rum.session_id = b-2;p=1 ,c=3");
        let cookie = ("cookie", "x=1; rum.session_id=c_3");
        check("rd=%2F&rum.session_id=a1", &[baggage, cookie], Some("a1"));
        check("rd=%2F", &[baggage, cookie], Some("b-2"));
        check("", &[cookie], Some("c_3"));
        check("", &[("cookie", "a=1"), cookie], Some("c_3"));
        check("", &[("baggage", "rum.session_id=%61b")], Some("ab"));
        check("", &[], None);
    }

    #[test]
    fn what_is_more_than_an_id_is_none() {
        let long = "x".repeat(65);
        for value in ["", "ada@example.com", "a.b.c", "a b", "a%00", "<b>", &long] {
            check(&format!("rum.session_id={value}"), &[], None);
            check("", &[("cookie", &format!("rum.session_id={value}"))], None);
        }
        check("", &[("baggage", "rum.session_id=ada%40example.com")], None);
        check(
            "",
            &[("cookie", "xrum.session_id=1; rum.session_idx=2")],
            None,
        );
        check(
            &format!("rum.session_id={}", "x".repeat(64)),
            &[],
            Some(&"x".repeat(64)),
        );
    }
}
