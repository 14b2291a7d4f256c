//! A browser, as far as logins need one: cookies by the rules of RFC 6265bis, redirects that are
//! followed by hand, forms that are sent. It runs no script.

use super::client::{Reply, request, send, with_body};
use cookie_store::CookieStore;
use http::Method;
use http::header::{LOCATION, SET_COOKIE};
use std::collections::HashMap;
use std::net::SocketAddr;
use url::Url;

/// Redirects of one navigation before a browser gives up.
const HOPS_MAX: usize = 20;

/// Cookies of one host that a browser keeps at least (RFC 6265bis, section 6.1).
const HOST_COOKIES_MAX: usize = 50;

/// Longest `Set-Cookie` that a browser takes: name and value together.
const COOKIE_BYTES_MAX: usize = 4096;

/// One person's browser.
#[derive(Default)]
pub struct Browser {
    jar: CookieStore,
    places: HashMap<String, SocketAddr>,
    /// The path whose answer ends a navigation.
    stop_at: Option<String>,
    /// Every request so far, in order.
    pub hops: Vec<Hop>,
}

/// One request and what came of it.
#[derive(Clone, Debug)]
pub struct Hop {
    pub url: Url,
    /// Cookies that went along: names and values.
    pub cookies: Vec<(String, String)>,
    pub status: u16,
    /// `Location`, as it was written.
    pub location: Option<String>,
    /// `Set-Cookie` lines.
    pub set: Vec<String>,
    /// Those of them that were not taken, and why.
    pub refused: Vec<(String, &'static str)>,
}

/// Where a navigation ended.
#[derive(Clone, Debug)]
pub struct Page {
    pub url: Url,
    pub reply: Reply,
}

impl Page {
    pub fn status(&self) -> u16 {
        self.reply.status.as_u16()
    }

    pub fn text(&self) -> String {
        self.reply.text()
    }

    /// A parameter of the address.
    pub fn parameter(&self, name: &str) -> Option<String> {
        parameter(&self.url, name)
    }
}

/// A parameter of an address.
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(one, _)| one == name)
        .map(|(_, value)| value.into_owned())
}

impl Browser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything for this origin, such as `https://app.example.com`, goes there, over plain TCP.
    /// For `https` it says so in `X-Forwarded-Proto`, as whoever ends TLS in front would.
    #[must_use]
    pub fn at(mut self, origin: &str, to: SocketAddr) -> Self {
        self.places.insert(origin.to_owned(), to);
        self
    }

    /// The same for one that is in use.
    pub fn find_at(&mut self, origin: &str, to: SocketAddr) {
        self.places.insert(origin.to_owned(), to);
    }

    /// A navigation by the address bar, redirects followed.
    pub async fn open(&mut self, url: &str) -> Page {
        self.open_with(url, &[]).await
    }

    /// The same, with header fields on its first request.
    pub async fn open_with(&mut self, url: &str, headers: &[(&str, &str)]) -> Page {
        self.navigate(Method::GET, address(url), None, headers, true)
            .await
    }

    /// A navigation that stops at the first answer.
    pub async fn step(&mut self, url: &str) -> Page {
        self.navigate(Method::GET, address(url), None, &[], false)
            .await
    }

    /// The same, with header fields.
    pub async fn step_with(&mut self, url: &str, headers: &[(&str, &str)]) -> Page {
        self.navigate(Method::GET, address(url), None, headers, false)
            .await
    }

    /// Where a page leads, if it is a redirect; no further.
    pub async fn follow(&mut self, page: &Page) -> Page {
        let to = page.reply.header("location").expect("a redirect");
        let to = page.url.join(to).expect("an address");
        self.navigate(Method::GET, to, Some(&page.url), &[], false)
            .await
    }

    /// What a script on the same page asks for: no navigation, no redirect followed.
    pub async fn fetch(&mut self, url: &str, headers: &[(&str, &str)]) -> Page {
        let url = address(url);
        let mut all = vec![
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
            ("sec-fetch-site", "same-origin"),
            ("accept", "*/*"),
        ];
        all.extend_from_slice(headers);
        self.exchange(Method::GET, &url, None, &all, true).await
    }

    /// Sends the first form of a page with these fields beside its hidden ones.
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let html = page.text();
        let form = between(&html, "<form", "</form>").expect("a form");
        let action = attribute(form, "action").unwrap_or_default();
        let method = attribute(form, "method").unwrap_or_default();
        let mut to = page.url.join(&action).expect("an address");
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for input in form.split("<input").skip(1) {
            if let (Some(name), Some(value)) = (attribute(input, "name"), attribute(input, "value"))
            {
                body.append_pair(&name, &value);
            }
        }
        body.extend_pairs(fields);
        let body = body.finish();
        if method.eq_ignore_ascii_case("post") {
            self.go(Method::POST, to, Some(&page.url), &[], true, Some(body))
                .await
        } else {
            to.set_query(Some(&body));
            self.go(Method::GET, to, Some(&page.url), &[], true, None)
                .await
        }
    }

    /// Chooses this person on the provider's page, a second factor included, and goes on.
    pub async fn log_in(&mut self, page: &Page, person: &str) -> Page {
        let next = self.submit(page, &[("person", person)]).await;
        if next.text().contains("name=\"factor\"") {
            return self.submit(&next, &[("factor", "shown")]).await;
        }
        next
    }

    /// The same, until this path answers; what comes after is not asked for.
    pub async fn log_in_until(&mut self, page: &Page, person: &str, path: &str) -> Page {
        self.stop_at = Some(path.to_owned());
        let page = self.log_in(page, person).await;
        self.stop_at = None;
        page
    }

    /// What a request to this address would carry: names and values, sorted.
    pub fn cookies(&self, url: &str) -> Vec<(String, String)> {
        self.matching(&address(url), |_| true)
    }

    /// Names of the same.
    pub fn cookie_names(&self, url: &str) -> Vec<String> {
        self.cookies(url)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    /// Sets a cookie as an answer from there would; whether it was taken.
    pub fn set_cookie(&mut self, url: &str, line: &str) -> bool {
        self.take(&address(url), line).is_ok()
    }

    /// Forgets all cookies.
    pub fn forget(&mut self) {
        self.jar.clear();
    }

    /// The last request to this path.
    #[track_caller]
    pub fn last(&self, path: &str) -> &Hop {
        let mut hops = self.hops.iter().rev();
        hops.find(|hop| hop.url.path() == path)
            .unwrap_or_else(|| panic!("nothing was asked of {path}: {:?}", self.paths()))
    }

    /// Paths and statuses of all requests so far.
    pub fn paths(&self) -> Vec<(String, u16)> {
        let hops = self.hops.iter();
        hops.map(|hop| (hop.url.path().to_owned(), hop.status))
            .collect()
    }

    async fn navigate(
        &mut self,
        method: Method,
        url: Url,
        from: Option<&Url>,
        headers: &[(&str, &str)],
        follows: bool,
    ) -> Page {
        self.go(method, url, from, headers, follows, None).await
    }

    /// One navigation. What is same-site is decided over the whole chain, as browsers do.
    async fn go(
        &mut self,
        mut method: Method,
        mut url: Url,
        from: Option<&Url>,
        headers: &[(&str, &str)],
        follows: bool,
        mut body: Option<String>,
    ) -> Page {
        let mut is_same_site = from.is_none_or(|from| site(from) == site(&url));
        let mut headers = headers.to_vec();
        for _ in 0..HOPS_MAX {
            let fetch_site = match (from, is_same_site) {
                (None, _) => "none",
                (Some(_), true) => "same-origin",
                (Some(_), false) => "cross-site",
            };
            let mut all = vec![
                ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
                ("sec-fetch-user", "?1"),
                ("sec-fetch-site", fetch_site),
                ("upgrade-insecure-requests", "1"),
            ];
            all.append(&mut headers);
            let sent = body.take();
            let page = self
                .exchange(method.clone(), &url, sent, &all, is_same_site)
                .await;
            let status = page.status();
            let next = page.reply.headers.get(LOCATION);
            let next = next.and_then(|next| page.url.join(next.to_str().ok()?).ok());
            match next {
                Some(next)
                    if follows
                        && (300..400).contains(&status)
                        && self.stop_at.as_deref() != Some(page.url.path()) =>
                {
                    is_same_site &= site(&next) == site(&url);
                    if !matches!(status, 307 | 308) {
                        method = Method::GET;
                    }
                    url = next;
                }
                _ => return page,
            }
        }
        panic!("more than {HOPS_MAX} redirects: {:?}", self.paths());
    }

    async fn exchange(
        &mut self,
        method: Method,
        url: &Url,
        body: Option<String>,
        headers: &[(&str, &str)],
        is_same_site: bool,
    ) -> Page {
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let authority = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap()),
            None => url.host_str().unwrap().to_owned(),
        };
        let cookies = self.matching(url, |cookie| {
            let same_site = cookie.same_site();
            if same_site.is_some_and(|same_site| same_site.is_strict()) {
                is_same_site
            } else {
                let is_open = same_site.is_some_and(|same_site| same_site.is_none());
                is_open || is_same_site || method == Method::GET
            }
        });
        let line: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let line = line.join("; ");
        let mut all = vec![("host", authority.as_str())];
        all.extend_from_slice(headers);
        if !line.is_empty() {
            all.push(("cookie", &line));
        }
        if url.scheme() == "https" {
            all.push(("x-forwarded-proto", "https"));
        }
        if body.is_some() {
            all.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let asked = request(method.as_str(), &target, &all);
        let asked = match body {
            Some(body) => with_body(asked, body),
            None => asked,
        };
        let reply = send(self.place(url), asked).await;
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let set: Vec<String> = reply.headers.get_all(SET_COOKIE).iter().map(text).collect();
        let refused = set
            .iter()
            .filter_map(|line| Some((line.clone(), self.take(url, line).err()?)))
            .collect();
        self.hops.push(Hop {
            url: url.clone(),
            cookies,
            status: reply.status.as_u16(),
            location: reply.headers.get(LOCATION).map(text),
            set,
            refused,
        });
        Page {
            url: url.clone(),
            reply,
        }
    }

    fn place(&self, url: &Url) -> SocketAddr {
        let origin = url.origin().ascii_serialization();
        if let Some(place) = self.places.get(&origin) {
            return *place;
        }
        let host = url.host_str().unwrap();
        let port = url.port_or_known_default().unwrap();
        let is_local = host == "localhost" || host.ends_with(".localhost");
        let host = if is_local { "127.0.0.1" } else { host };
        let place = format!("{host}:{port}").parse();
        place.unwrap_or_else(|_| panic!("nobody said where {origin} is"))
    }

    fn matching(
        &self,
        url: &Url,
        goes: impl Fn(&cookie_store::Cookie<'_>) -> bool,
    ) -> Vec<(String, String)> {
        let cookies = self.jar.matches(url).into_iter();
        let mut cookies: Vec<(String, String)> = cookies
            .filter(|cookie| goes(cookie))
            .map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned()))
            .collect();
        cookies.sort_unstable();
        cookies
    }

    /// RFC 6265bis, section 5.7, as far as `cookie_store` leaves it to us.
    fn take(&mut self, url: &Url, line: &str) -> Result<(), &'static str> {
        let mut parts = line.split(';').map(str::trim);
        let pair = parts.next().unwrap_or_default();
        let (name, _) = pair.split_once('=').ok_or("no name")?;
        let attributes: Vec<(String, &str)> = parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let of = |name: &str| {
            let mut all = attributes.iter().rev();
            all.find(|(one, _)| one == name).map(|(_, value)| *value)
        };
        let is_secure = of("secure").is_some();
        if pair.len() > COOKIE_BYTES_MAX {
            return Err("too large");
        }
        if is_secure && url.scheme() != "https" {
            return Err("`Secure` over http");
        }
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("__secure-") && !is_secure {
            return Err("`__Secure-` without `Secure`");
        }
        let is_host_bound = is_secure && of("domain").is_none() && of("path") == Some("/");
        if lower.starts_with("__host-") && !is_host_bound {
            return Err("`__Host-` without `Secure`, with `Domain`, or of another path");
        }
        if of("samesite").is_some_and(|value| value.eq_ignore_ascii_case("none")) && !is_secure {
            return Err("`SameSite=None` without `Secure`");
        }
        // A cookie that came over http never takes the place of one that is `Secure`.
        let host = url.host_str().unwrap_or_default();
        let taken = self.jar.iter_unexpired().any(|one| {
            one.name() == name && one.secure().unwrap_or(false) && one.domain.matches(url)
        });
        if taken && url.scheme() != "https" {
            return Err("a `Secure` cookie of that name is there");
        }
        self.jar
            .parse(line, url)
            .map_err(|_| "another domain, or no cookie")?;
        let own = self.jar.iter_unexpired();
        let count = own.filter(|one| one.domain.matches(url)).count();
        assert!(
            count <= HOST_COOKIES_MAX,
            "{host} has more cookies than a browser keeps"
        );
        Ok(())
    }
}

/// What is same-site has the same scheme and the same last two labels; addresses and `localhost`
/// are sites of their own.
fn site(url: &Url) -> (String, String) {
    let host = url.host_str().unwrap_or_default();
    let labels: Vec<&str> = host.rsplit('.').take(2).collect();
    let is_name = matches!(url.host(), Some(url::Host::Domain(_)));
    let own = if is_name {
        labels.join(".")
    } else {
        host.to_owned()
    };
    (url.scheme().to_owned(), own)
}

fn address(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|_| panic!("{url} is an address"))
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to).map(|(inside, _)| inside)
}

/// An attribute of a tag that was cut open, with the entities of our own pages.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split_once('>').map_or(tag, |(tag, _)| tag);
    let value = between(tag, &format!(" {name}=\""), "\"")?;
    let plain = value
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    Some(plain.replace("&amp;", "&"))
}
