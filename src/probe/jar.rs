//! The cookies of one run: RFC 6265 decides which go where.

use cookie_store::CookieStore;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use url::Url;

/// Most cookies of a run; a browser keeps at least 50 a host (RFC 6265 section 6.1).
const COOKIES_MAX: usize = 200;
/// Longest `Set-Cookie` line that is taken (RFC 6265 section 6.1).
const LINE_BYTES_MAX: usize = 4096;

/// Cookies that were set.
#[derive(Default)]
pub(super) struct Jar {
    store: CookieStore,
    taken: usize,
}

impl Jar {
    /// Takes the cookies of an answer from `url`. Those of other domains, and those over the
    /// bounds, are left.
    pub(super) fn take(&mut self, url: &Url, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let Ok(line) = std::str::from_utf8(line.as_bytes()) else {
                continue;
            };
            if line.len() > LINE_BYTES_MAX || self.taken >= COOKIES_MAX {
                continue;
            }
            if self.store.parse(line, url).is_ok() {
                self.taken = self.store.iter_any().count();
            }
        }
    }

    /// The `Cookie` line for a request to `url`, if there is a cookie for it.
    pub(super) fn line(&self, url: &Url) -> Option<HeaderValue> {
        let mut pairs: Vec<(&str, &str)> = self.store.get_request_values(url).collect();
        // The order of a hash map is none.
        pairs.sort_unstable();
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut line = HeaderValue::from_str(&pairs.join("; ")).ok()?;
        line.set_sensitive(true);
        (!pairs.is_empty()).then_some(line)
    }

    /// The value of a cookie of this name, wherever it goes.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let mut cookies = self.store.iter_unexpired();
        let found = cookies.find(|cookie| cookie.name() == name)?;
        Some(found.value().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn jar(from: &str, lines: &[&str]) -> Jar {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        let mut jar = Jar::default();
        jar.take(&url(from), &headers);
        jar
    }

    #[track_caller]
    fn sent(jar: &Jar, to: &str, expected: Option<&str>) {
        let line = jar.line(&url(to));
        let line = line.as_ref().map(|line| line.to_str().unwrap());
        assert_eq!(line, expected, "{to}");
    }

    #[test]
    fn a_cookie_goes_to_its_host_and_below_its_path() {
        let jar = jar(
            "http://app.example.com/login",
            &["sid=1; Path=/app", "lang=de; Path=/"],
        );
        sent(&jar, "http://app.example.com/app/x", Some("lang=de; sid=1"));
        sent(&jar, "http://app.example.com/", Some("lang=de"));
        sent(&jar, "http://other.example.com/app", None);
        assert_eq!(jar.value("sid").as_deref(), Some("1"));
    }

    #[test]
    fn a_cookie_of_a_domain_goes_to_hosts_below_it_and_nobody_sets_one_for_another() {
        let domain = jar("http://app.example.com/", &["a=1; Domain=example.com"]);
        sent(&domain, "http://other.example.com/", Some("a=1"));
        let foreign = jar("http://app.example.com/", &["a=1; Domain=example.org"]);
        sent(&foreign, "http://example.org/", None);
    }

    #[test]
    fn a_secure_cookie_does_not_go_in_the_clear() {
        let jar = jar("https://app.example.com/", &["a=1; Secure"]);
        sent(&jar, "http://app.example.com/", None);
        sent(&jar, "https://app.example.com/", Some("a=1"));
    }

    #[test]
    fn a_cookie_that_has_ended_is_gone() {
        let mut jar = jar("http://a.test/", &["a=1"]);
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, "a=; Max-Age=0".parse().unwrap());
        jar.take(&url("http://a.test/"), &headers);
        sent(&jar, "http://a.test/", None);
        assert_eq!(jar.value("a"), None);
    }

    #[test]
    fn a_jar_takes_so_many_cookies_and_no_more() {
        let lines: Vec<String> = (0..=COOKIES_MAX).map(|at| format!("c{at}=1")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let full = jar("http://a.test/", &lines);
        assert!(full.value(&format!("c{}", COOKIES_MAX - 1)).is_some());
        assert_eq!(full.value(&format!("c{COOKIES_MAX}")), None);

        let long = format!("a={}", "x".repeat(LINE_BYTES_MAX - 2));
        assert!(jar("http://a.test/", &[&long]).value("a").is_some());
        let longer = format!("{long}x");
        assert_eq!(jar("http://a.test/", &[&longer]).value("a"), None);
    }
}
