//! A request as the provider's endpoints see it, and their answers.

use super::page;
use crate::message::cookie;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

/// An answer.
pub(super) type Reply = Response<Bytes>;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// Of the query and of the form.
    pub(super) parameters: Parameters,
}

/// Parameters of a query or a form, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

/// Why something is refused: `error` of the OAuth register, and words for a developer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) words: &'static str,
}

impl Ask {
    /// What stands behind this scheme in `Authorization`.
    pub(super) fn authorization(&self, scheme: &str) -> Option<&str> {
        let text = self.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (own, rest) = text.split_once(' ')?;
        own.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }

    /// A cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let value = cookie::values(&self.headers, name).next()?;
        std::str::from_utf8(value).ok()
    }
}

impl Parameters {
    /// Reads `application/x-www-form-urlencoded` behind what is there.
    pub(super) fn read(&mut self, text: &[u8]) {
        let pairs = url::form_urlencoded::parse(text);
        self.0
            .extend(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())));
    }

    /// A parameter that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        all.find(|(one, value)| one == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Words of a parameter, between spaces.
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        let words = self.get(name).unwrap_or_default().split(' ');
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Whether one is there more than once (RFC 6749, section 3.1).
    pub(super) fn has_twins(&self) -> bool {
        let mut names = self.names();
        names.sort_unstable();
        names.windows(2).any(|pair| match pair {
            [one, next] => one == next,
            _ => false,
        })
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

impl Refusal {
    pub(super) const fn new(error: &'static str, words: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error,
            words,
        }
    }

    /// RFC 6749, section 5.2.
    pub(super) const fn client() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            words: "the client is not who it says",
        }
    }

    /// RFC 6750, section 3.1.
    pub(super) const fn token() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_token",
            words: "the access token is not valid",
        }
    }

    /// The machine has no randomness to give.
    pub(super) const fn server() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "server_error",
            words: "no key, or no random number",
        }
    }

    /// As programs get it.
    pub(super) fn reply(self) -> Reply {
        let body = json!({"error": self.error, "error_description": self.words});
        let mut reply = json(self.status, &body);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = if self.error == "invalid_token" {
                "Bearer error=\"invalid_token\""
            } else {
                "Basic realm=\"clients\""
            };
            let headers = reply.headers_mut();
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        reply
    }

    /// As people get it.
    pub(super) fn page(self) -> Reply {
        html(self.status, page::refusal(self.words))
    }
}

impl From<aws_lc_rs::error::Unspecified> for Refusal {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::server()
    }
}

/// A document.
pub(super) fn json(status: StatusCode, body: &Value) -> Reply {
    with_body(status, "application/json", format!("{body}\n"))
}

/// A page.
pub(super) fn html(status: StatusCode, body: String) -> Reply {
    with_body(status, "text/html; charset=utf-8", body)
}

/// Nothing but a status.
pub(super) fn nothing(status: StatusCode) -> Reply {
    with_body(status, "text/plain", String::new())
}

/// Somewhere else, by GET. What no header can carry leads nowhere.
pub(super) fn redirect(to: &str) -> Reply {
    let mut reply = nothing(StatusCode::SEE_OTHER);
    match HeaderValue::from_str(to) {
        Ok(to) => drop(reply.headers_mut().insert(LOCATION, to)),
        Err(_) => *reply.status_mut() = StatusCode::BAD_REQUEST,
    }
    reply
}

/// The same with a cookie.
pub(super) fn set_cookie(reply: &mut Reply, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        reply.headers_mut().append(SET_COOKIE, cookie);
    }
}

fn with_body(status: StatusCode, kind: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Bytes::from(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
