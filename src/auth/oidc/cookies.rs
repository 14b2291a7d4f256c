//! Cookies of a login, as browsers are told them (RFC 6265bis) and as they send them.

use crate::auth::session::CookieSettings;
use crate::message::cookie;
use http::{HeaderMap, HeaderValue};
use std::time::Duration;

/// Most cookies of one kind that are looked at in a request.
const LOOKED_AT_MAX: usize = 180;
/// Most of them that one answer takes from the browser: the head of an answer has a bound, too, at
/// whoever passes it on. A browser that was given more than there may be loses the rest later.
pub const TAKEN_AWAY_MAX: usize = 8;

/// The whole name of a cookie. `__Host-` binds it to its host and to `https`, `__Secure-` to
/// `https` alone, where a domain shares it; over `http`, which is for loopback hosts, browsers take
/// neither.
pub fn name(settings: &CookieSettings, secure: bool, rest: &str) -> String {
    format!("{}{}-{rest}", mark(settings, secure), settings.name)
}

/// What stands in front of the names of ours, by which browsers bind a cookie.
pub const fn mark(settings: &CookieSettings, secure: bool) -> &'static str {
    match (secure, &settings.domain) {
        (false, _) => "",
        (true, None) => "__Host-",
        (true, Some(_)) => "__Secure-",
    }
}

/// `Set-Cookie` of a cookie of a login: `Lax`, because the way back from a provider is from
/// another site. None if the value is none that a cookie can have.
pub fn set(
    settings: &CookieSettings,
    secure: bool,
    rest: &str,
    value: &str,
    max_age: Duration,
) -> Option<HeaderValue> {
    written(settings, secure, rest, value, max_age, "Lax")
}

/// `Set-Cookie` of a cookie of a session: to which sites it goes is the file's affair. None as
/// above.
pub fn set_session(
    settings: &CookieSettings,
    secure: bool,
    rest: &str,
    value: &str,
    max_age: Duration,
) -> Option<HeaderValue> {
    // Browsers take `None` only with `Secure`.
    let same_site = if secure { settings.same_site } else { "Lax" };
    written(settings, secure, rest, value, max_age, same_site)
}

fn written(
    settings: &CookieSettings,
    secure: bool,
    rest: &str,
    value: &str,
    max_age: Duration,
    same_site: &str,
) -> Option<HeaderValue> {
    let name = name(settings, secure, rest);
    let seconds = max_age.as_secs();
    let mut text =
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={same_site}");
    if secure {
        text.push_str("; Secure");
    }
    if let Some(domain) = &settings.domain {
        text.push_str("; Domain=");
        text.push_str(domain);
    }
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `Set-Cookie` that takes a cookie from the browser. Browsers refuse even that of a `__Host-`
/// cookie unless its attributes are those that it was set with (CVE-2025-55162).
pub fn clear(settings: &CookieSettings, secure: bool, rest: &str) -> Option<HeaderValue> {
    set(settings, secure, rest, "", Duration::ZERO)
}

/// The value of a cookie. None if there is none, or several: then somebody else has put one there.
pub fn value<'h>(
    headers: &'h HeaderMap,
    settings: &CookieSettings,
    secure: bool,
    rest: &str,
) -> Option<&'h str> {
    let name = name(settings, secure, rest);
    let mut found = pairs(headers).filter(|(own, _)| *own == name);
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value)
}

/// Cookies whose name goes on with `rest`: what follows, and the value. At most
/// `LOOKED_AT_MAX`.
pub fn all<'h>(
    headers: &'h HeaderMap,
    settings: &CookieSettings,
    secure: bool,
    rest: &str,
) -> Vec<(&'h str, &'h str)> {
    let name = name(settings, secure, rest);
    let found = pairs(headers).filter_map(|(own, value)| Some((own.strip_prefix(&*name)?, value)));
    found.take(LOOKED_AT_MAX).collect()
}

/// Takes every cookie of a login out of a request, under each prefix: origins have no use for
/// them, and whoever has one has the session. What else stands there stays, byte for byte.
pub fn take_out(headers: &mut HeaderMap, settings: &CookieSettings) {
    cookie::remove_if(headers, |pair| is_ours(pair, settings));
}

/// The same request without them, for others that are asked about it; None if it brings none.
pub fn without(headers: &HeaderMap, settings: &CookieSettings) -> Option<HeaderMap> {
    let is_there = cookie::pairs(headers).any(|pair| is_ours(pair, settings));
    is_there.then(|| {
        let mut headers = headers.clone();
        take_out(&mut headers, settings);
        headers
    })
}

/// Whether a pair of a `Cookie` field is a cookie of a login.
fn is_ours(pair: &[u8], settings: &CookieSettings) -> bool {
    let pair = pair.trim_ascii_start();
    let bare = [&b"__Host-"[..], b"__Secure-"]
        .iter()
        .find_map(|mark| pair.strip_prefix(*mark))
        .unwrap_or(pair);
    let behind = bare.strip_prefix(settings.name.as_bytes());
    behind.is_some_and(|behind| behind.first() == Some(&b'-'))
}

/// Names and values. A cookie of others that is no text hides none of ours beside it.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let texts = cookie::pairs(headers).filter_map(|pair| std::str::from_utf8(pair).ok());
    texts.filter_map(|pair| pair.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;

    fn settings(domain: Option<&str>) -> CookieSettings {
        CookieSettings {
            name: "edgespan".into(),
            domain: domain.map(Into::into),
            same_site: "Strict",
        }
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn names_say_what_browsers_hold_a_cookie_to() {
        let (host, shared) = (settings(None), settings(Some("example.com")));

        assert_eq!(name(&host, true, "flow-a"), "__Host-edgespan-flow-a");
        assert_eq!(name(&shared, true, "flow-a"), "__Secure-edgespan-flow-a");
        assert_eq!(name(&host, false, "flow-a"), "edgespan-flow-a");
        assert_eq!(
            set(&host, true, "flow-a", "v", Duration::from_mins(10)).unwrap(),
            "__Host-edgespan-flow-a=v; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            clear(&shared, true, "tries").unwrap(),
            "__Secure-edgespan-tries=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure; \
             Domain=example.com"
        );
        assert_eq!(
            clear(&host, false, "tries").unwrap(),
            "edgespan-tries=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn a_cookie_that_is_there_twice_is_nobodys() {
        let one = headers(&["a=1; __Host-edgespan-tries=x=y", "b=2"]);
        let two = headers(&["__Host-edgespan-tries=x", "__Host-edgespan-tries=y"]);

        assert_eq!(value(&one, &settings(None), true, "tries"), Some("x=y"));
        assert_eq!(value(&two, &settings(None), true, "tries"), None);
        assert_eq!(value(&one, &settings(None), false, "tries"), None);
    }

    #[test]
    fn a_cookie_of_others_in_whatever_bytes_hides_none_of_ours() {
        let lines = [
            &b"name=Jos\xe9; __Host-edgespan-tries=x"[..],
            "name=Jos\u{e9};__Host-edgespan-tries=x".as_bytes(),
            b"__Host-edgespan-tries=x; \xff",
        ];
        for line in lines {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_bytes(line).unwrap());
            let found = value(&headers, &settings(None), true, "tries");
            assert_eq!(found, Some("x"), "{line:?}");
        }
    }

    #[test]
    fn who_is_asked_about_a_request_sees_all_cookies_but_ours() {
        let other = headers(&["a=1; b=2", "c=3"]);
        let ours = headers(&["a=1; __Host-edgespan-staff=s", "edgespan-flow-x=f"]);

        assert_eq!(without(&other, &settings(None)), None);
        let left = without(&ours, &settings(None)).unwrap();
        let left: Vec<_> = left.get_all(COOKIE).iter().collect();
        assert_eq!(left, ["a=1"]);
    }

    #[test]
    fn what_is_looked_at_is_bounded() {
        let many: String = (0..1000)
            .map(|i| format!("__Host-edgespan-flow-{i}=v;"))
            .collect();
        let headers = headers(&[&many]);

        let found = all(&headers, &settings(None), true, "flow-");

        assert_eq!(found.len(), LOOKED_AT_MAX);
        assert_eq!(found[1], ("1", "v"));
    }

    #[test]
    fn an_origin_sees_none_of_our_cookies_and_all_others_as_they_are() {
        let check = |before: &[&str], after: &[&str]| {
            let mut headers = headers(before);
            take_out(&mut headers, &settings(None));
            let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(left, after, "{before:?}");
        };
        check(&["a=1;b=2"], &["a=1;b=2"]);
        check(
            &["edgespan=1; edgespanx-a=2"],
            &["edgespan=1; edgespanx-a=2"],
        );
        check(&["__Host-edgespan-staff=1"], &[]);
        check(&["a=1; __Host-edgespan-staff-0=1; b=2"], &["a=1; b=2"]);
        check(
            &["__Secure-edgespan-x=1; a=1", "edgespan-x=2", "c=3"],
            &["a=1", "c=3"],
        );
        check(&["edgespan-x"], &[]);
        check(&["__host-edgespan-x=1"], &["__host-edgespan-x=1"]);
    }
}
