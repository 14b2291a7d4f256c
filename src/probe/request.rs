//! From a step and what holes are filled with to a request that can be sent, and on along its
//! redirects.

use super::origins::Origins;
use super::plan::{Ask, Payload, Whither};
use super::values::{Values, encoded};
use crate::client::{BadUrl, Target};
use crate::message::credential::may_be_credential;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

/// What a probe calls itself; an edgespan behind knows its requests by the beginning of it.
pub const AGENT: &str = concat!("edgespan-probe/", env!("CARGO_PKG_VERSION"));
/// Says the same to services that see no `User-Agent` of ours.
pub(super) const MARK: &str = "user_agent.synthetic.type=test";

/// A request that can be sent.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Where to.
    pub url: Url,
    /// The same, as the client wants it.
    pub target: Target,
    /// The method.
    pub method: Method,
    /// Header lines; `Cookie` and trace context come when it is sent.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why a step cannot be sent, now that its holes are filled.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRequest {
    /// The address is none.
    #[error("the address of the request cannot be read")]
    Url(#[source] url::ParseError),
    /// The address cannot be asked.
    #[error("the address of the request cannot be asked")]
    Target(#[source] BadUrl),
    /// A value holds what no header may.
    #[error("header {0} has a line break or a control character in its value")]
    Header(HeaderName),
    /// There is no base.
    #[error("there is no base that the path is below")]
    NoBase,
    /// A secret would go where the file sends nobody.
    #[error(
        "a secret of the request would go to {0}, which an answer named: the file names no address \
         there"
    )]
    Elsewhere(String),
}

impl Prepared {
    /// Fills the holes. What goes into a header that proves who somebody is, is masked from now
    /// on. An origin that the file does not name gets no such header, and no secret in a query or
    /// a body either.
    ///
    /// # Errors
    /// [`BadRequest`].
    pub(super) fn of(
        ask: &Ask,
        base: Option<&Url>,
        origins: &Origins,
        values: &mut Values,
    ) -> Result<Self, BadRequest> {
        let mut url = address(&ask.to, base, values)?;
        let is_named = origins.has(&url);
        let mut tells_secret = false;
        if !ask.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &ask.query {
                let value = value.render(values);
                tells_secret |= values.tells_secret(&value);
                pairs.append_pair(name, &value);
            }
        }
        let (content_type, body) = body(&ask.payload, values);
        tells_secret |= values.tells_secret(&String::from_utf8_lossy(&body));
        if tells_secret && !is_named {
            let origin = url.origin().ascii_serialization();
            return Err(BadRequest::Elsewhere(values.masked(&origin)));
        }
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert("baggage", HeaderValue::from_static(MARK));
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        // What the file says replaces ours, except for the mark.
        for (name, _) in &ask.headers {
            if name != "baggage" {
                headers.remove(name);
            }
        }
        for (name, template) in &ask.headers {
            let value = template.render(values);
            if may_be_credential(name.as_str()) {
                hide_credential(&value, values);
            }
            let is_secret = may_be_credential(name.as_str()) || values.tells_secret(&value);
            if is_secret && !is_named {
                continue;
            }
            let value = HeaderValue::from_bytes(value.as_bytes());
            let mut value = value.map_err(|_| BadRequest::Header(name.clone()))?;
            value.set_sensitive(is_secret);
            headers.append(name, value);
        }
        if body.is_empty() && matches!(ask.method, Method::POST | Method::PUT | Method::PATCH) {
            // RFC 9110 section 8.6: a method that usually has a body says that there is none.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(Self {
            target: Target::of(&url).map_err(BadRequest::Target)?,
            url,
            method: ask.method.clone(),
            headers,
            body,
        })
    }

    /// Where an answer sends on to; None if it does not, or to nowhere that can be asked. Another
    /// origin gets nothing that proves who somebody is: headers that may are left out, and a body
    /// with a secret in it goes nowhere, so that the redirect is the answer.
    pub(super) fn redirected(
        &self,
        status: StatusCode,
        answer: &HeaderMap,
        values: &Values,
    ) -> Option<Self> {
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = answer.get(LOCATION)?.to_str().ok()?;
        let url = self.url.join(location).ok()?;
        let target = Target::of(&url).ok()?;
        let mut next = self.clone();
        // RFC 9110 section 15.4: what browsers do after 301, 302 and 303.
        let turns = match status.as_u16() {
            303 => next.method != Method::GET && next.method != Method::HEAD,
            301 | 302 => next.method == Method::POST,
            _ => false,
        };
        if turns {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.remove(CONTENT_TYPE);
            next.headers.remove(CONTENT_LENGTH);
        }
        if url.origin() != self.url.origin() {
            if values.tells_secret(&String::from_utf8_lossy(&next.body)) {
                return None;
            }
            let lines = self.headers.iter();
            for (name, _) in lines.filter(|(_, value)| value.is_sensitive()) {
                next.headers.remove(name);
            }
        }
        (next.url, next.target) = (url, target);
        Some(next)
    }

    /// Its address as it may be told: a query may hold anything.
    pub(super) fn shown(&self, values: &Values) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        values.masked(url.as_str())
    }
}

fn address(to: &Whither, base: Option<&Url>, values: &Values) -> Result<Url, BadRequest> {
    match to {
        Whither::Path(path) => {
            let base = base.ok_or(BadRequest::NoBase)?;
            let path = path.render_encoded(values, encoded);
            let base = base.as_str().trim_end_matches('/');
            let slash = if path.starts_with('/') { "" } else { "/" };
            Url::parse(&format!("{base}{slash}{path}")).map_err(BadRequest::Url)
        }
        Whither::Url(url) => {
            let url = url.render_encoded(values, encoded);
            let read = match base {
                Some(base) => base.join(&url),
                None => Url::parse(&url),
            };
            read.map_err(BadRequest::Url)
        }
    }
}

fn body(payload: &Payload, values: &Values) -> (Option<&'static str>, Bytes) {
    match payload {
        Payload::Empty => (None, Bytes::new()),
        Payload::Text(text) => (None, Bytes::from(text.render(values))),
        Payload::Json(json) => (
            Some("application/json"),
            Bytes::from(json.render(values).to_string()),
        ),
        Payload::Form(fields) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(name, &value.render(values));
            }
            (
                Some("application/x-www-form-urlencoded"),
                Bytes::from(form.finish()),
            )
        }
    }
}

/// The whole, and what stands behind its scheme.
fn hide_credential(value: &str, values: &mut Values) {
    values.hide(value);
    if let Some((_, behind)) = value.split_once(' ') {
        values.hide(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Speak;
    use crate::probe::plan::TIMEOUT;
    use crate::probe::template::{JsonTemplate, Template};
    use http::header::AUTHORIZATION;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    fn ask(to: Whither) -> Ask {
        Ask {
            method: Method::POST,
            to,
            headers: Vec::new(),
            query: Vec::new(),
            payload: Payload::Empty,
            speak: Speak::Any,
            timeout: TIMEOUT,
            follow: 0,
        }
    }

    fn of(base: &Url) -> Origins {
        Origins::new([base.origin()])
    }

    fn values() -> Values {
        let mut values = Values::default();
        values.set("id", "a/b c".to_owned(), false);
        values.set("there", "/next?x=1".to_owned(), false);
        values
    }

    fn prepared(ask: &Ask) -> Prepared {
        let base: Url = "http://app.test/shop/".parse().unwrap();
        Prepared::of(ask, Some(&base), &of(&base), &mut values()).unwrap()
    }

    #[test]
    fn a_path_is_below_the_base_and_what_fills_it_adds_no_segment() {
        let address = |to| prepared(&ask(to)).url.to_string();
        let path = |text| Whither::Path(template(text));
        let url = |text| Whither::Url(template(text));
        assert_eq!(
            address(path("/o/{{id}}")),
            "http://app.test/shop/o/a%2Fb%20c"
        );
        assert_eq!(address(path("{{there}}")), "http://app.test/shop/next?x=1");
        assert_eq!(address(url("{{there}}")), "http://app.test/next?x=1");
        assert_eq!(address(url("http://other.test/a")), "http://other.test/a");
    }

    #[test]
    fn queries_and_forms_are_escaped() {
        let mut asked = ask(Whither::Path(template("/a?z=1")));
        asked.query = vec![("q".to_owned(), template("{{id}}&"))];
        asked.payload = Payload::Form(vec![("f".to_owned(), template("{{id}}"))]);
        let prepared = prepared(&asked);
        assert_eq!(prepared.url.query(), Some("z=1&q=a%2Fb+c%26"));
        assert_eq!(prepared.body, "f=a%2Fb+c");
        assert_eq!(prepared.shown(&values()), "http://app.test/shop/a");
    }

    #[test]
    fn a_request_says_who_asks_unless_the_file_does() {
        let mut asked = ask(Whither::Path(template("/")));
        asked.payload = Payload::Json(JsonTemplate::Text(template("{{id}}")));
        let plain = prepared(&asked);
        assert_eq!(plain.headers.get(USER_AGENT).unwrap(), AGENT);
        assert_eq!(plain.headers.get(CONTENT_TYPE).unwrap(), "application/json");
        asked.headers = vec![
            (USER_AGENT, template("mine")),
            (HeaderName::from_static("baggage"), template("a=1")),
        ];
        let own = prepared(&asked);
        assert_eq!(own.headers.get(USER_AGENT).unwrap(), "mine");
        let baggage: Vec<_> = own.headers.get_all("baggage").iter().collect();
        assert_eq!(baggage, [MARK, "a=1"]);
    }

    #[test]
    fn credentials_are_masked_from_then_on_and_leave_with_no_redirect_to_elsewhere() {
        let mut asked = ask(Whither::Path(template("/")));
        asked.headers = vec![(AUTHORIZATION, template("Bearer {{id}}"))];
        let mut values = values();
        let base: Url = "http://app.test".parse().unwrap();
        let first = Prepared::of(&asked, Some(&base), &of(&base), &mut values).unwrap();
        assert_eq!(values.masked("it was a/b c"), "it was ***");

        let sent = |location: &str| {
            let mut answer = HeaderMap::new();
            answer.insert(LOCATION, location.parse().unwrap());
            first
                .redirected(StatusCode::FOUND, &answer, &values)
                .unwrap()
        };
        assert!(sent("/x").headers.contains_key(AUTHORIZATION));
        assert!(
            !sent("http://other.test/")
                .headers
                .contains_key(AUTHORIZATION)
        );
        assert_eq!(sent("/x").method, Method::GET);
    }

    #[test]
    fn a_secret_goes_to_no_other_origin_in_whatever_it_stands() {
        let mut values = Values::default();
        values.set("pin", "pin-4711".to_owned(), true);
        values.set("plain", "1".to_owned(), false);
        let mut asked = ask(Whither::Path(template("/")));
        asked.headers = vec![
            (HeaderName::from_static("x-door"), template("{{pin}}")),
            (HeaderName::from_static("x-plain"), template("{{plain}}")),
        ];
        let base: Url = "https://app.test".parse().unwrap();
        let names = ["x-door", "x-plain"];
        let sent = |asked: &Ask, status, location: &'static str| {
            let mut values = values.clone();
            let first = Prepared::of(asked, Some(&base), &of(&base), &mut values).unwrap();
            let mut answer = HeaderMap::new();
            answer.insert(LOCATION, HeaderValue::from_static(location));
            first.redirected(status, &answer, &values)
        };
        for (location, expected) in [
            ("/x", [true, true]),
            ("https://other.test/", [false, true]),
            ("http://app.test/", [false, true]),
        ] {
            let sent = sent(&asked, StatusCode::FOUND, location).unwrap();
            let has = names.map(|name| sent.headers.contains_key(name));
            assert_eq!(has, expected, "{location}");
        }

        asked.payload = Payload::Form(vec![("pin".to_owned(), template("{{pin}}"))]);
        let kept = StatusCode::PERMANENT_REDIRECT;
        assert!(sent(&asked, kept, "/x").is_some());
        assert!(sent(&asked, kept, "https://other.test/").is_none());
        let turned = sent(&asked, StatusCode::SEE_OTHER, "https://other.test/");
        assert!(turned.unwrap().body.is_empty());
    }

    #[test]
    fn an_address_out_of_an_answer_gets_no_credentials_where_the_file_names_nobody() {
        let base: Url = "https://app.test".parse().unwrap();
        let origins = Origins::new([
            base.origin(),
            "https://idp.test".parse::<Url>().unwrap().origin(),
        ]);
        let ask_at = |there: &str, change: &dyn Fn(&mut Ask)| {
            let mut values = Values::default();
            values.set("pin", "pin-4711".to_owned(), true);
            values.set("there", there.to_owned(), false);
            let mut asked = ask(Whither::Url(template("{{there}}")));
            asked.headers = vec![
                (AUTHORIZATION, template("Bearer abc")),
                (HeaderName::from_static("x-door"), template("{{pin}}")),
                (HeaderName::from_static("x-plain"), template("1")),
            ];
            change(&mut asked);
            Prepared::of(&asked, Some(&base), &origins, &mut values)
        };
        for (there, told) in [
            ("/a", true),
            ("https://app.test:443/a", true),
            ("https://idp.test/a", true),
            ("https://other.test/a", false),
            ("//other.test/a", false),
            ("http://app.test/a", false),
            ("https://app.test:444/a", false),
            ("https://app.test@other.test/", false),
            ("https://app.test.other.test/", false),
        ] {
            let plain = ask_at(there, &|_| ()).unwrap();
            let has =
                ["authorization", "x-door", "x-plain"].map(|name| plain.headers.contains_key(name));
            assert_eq!(has, [told, told, true], "{there}");

            let with_query = ask_at(there, &|asked| {
                asked.query = vec![("p".to_owned(), template("{{pin}}"))]
            });
            let with_body = ask_at(there, &|asked| {
                asked.payload = Payload::Text(template("{{pin}}"))
            });
            for asked in [with_query, with_body] {
                let refused = matches!(asked, Err(BadRequest::Elsewhere(_)));
                assert_eq!(refused, !told, "{there}");
            }
        }
    }

    #[test]
    fn a_line_break_gets_into_no_header() {
        let mut asked = ask(Whither::Path(template("/")));
        asked.headers = vec![(HeaderName::from_static("x-a"), template("{{bad}}"))];
        let mut values = Values::default();
        values.set("bad", "1\r\nx-b: 2".to_owned(), false);
        let base: Url = "http://app.test".parse().unwrap();
        let refused = Prepared::of(&asked, Some(&base), &of(&base), &mut values);
        assert!(matches!(refused, Err(BadRequest::Header(_))));
    }

    #[test]
    fn a_redirect_that_keeps_its_method_keeps_its_body() {
        let mut asked = ask(Whither::Path(template("/")));
        asked.payload = Payload::Text(template("x"));
        let first = prepared(&asked);
        let mut answer = HeaderMap::new();
        answer.insert(LOCATION, HeaderValue::from_static("next"));
        let values = Values::default();
        let kept = first.redirected(StatusCode::TEMPORARY_REDIRECT, &answer, &values);
        let kept = kept.unwrap();
        assert_eq!((kept.method, &*kept.body), (Method::POST, &b"x"[..]));
        assert_eq!(kept.url.as_str(), "http://app.test/shop/next");
        assert!(first.redirected(StatusCode::OK, &answer, &values).is_none());
    }
}
