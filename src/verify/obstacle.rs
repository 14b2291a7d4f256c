//! Why there is no account of a request. Each reason is its own sentence, for none of them is
//! "intact".

use crate::client::{Answer, ClientError};
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SERVER};
use http::{HeaderMap, StatusCode};
use std::fmt;
use std::time::Duration;

/// Longest host of a login that is told, in characters.
const HOST_MAX: usize = 80;

/// Why there is no account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Nobody answered.
    Unreachable(String),
    /// The exchange broke.
    Broken(String),
    /// HTTP/2 is not spoken there.
    NoHttp2,
    /// 404: no edgespan behind, or it does not know the secret, or it has no `arrival`.
    NotFound,
    /// A redirect to somewhere else: a login.
    Login(String),
    /// Cloudflare Access wants a login.
    CloudflareAccess,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// Cloudflare wants to see whether a person is there.
    Challenge,
    /// 421: the hop takes this host on another connection.
    Misdirected,
    /// 429, again and again.
    TooMany,
    /// 502, 503, 504, and Cloudflare's 52x and 530.
    NoOrigin(u16),
    /// An error page, or a page of the service.
    Page(u16),
    /// Another status.
    Status(u16),
    /// The account of another request.
    Cached(String),
    /// An answer like an account, without a signature.
    Unsigned,
    /// Signed with another secret.
    OtherKey(String),
    /// The signature does not fit.
    Forged,
    /// An account of another version.
    Unreadable,
    /// No WebSocket was opened.
    NoUpgrade(u16),
    /// The redirect was not made, or was followed by a hop.
    NoRedirect(u16),
    /// The answer holds no echo.
    NoEcho,
}

impl Obstacle {
    /// Of a failed exchange.
    pub(super) fn of_error(error: &ClientError) -> Self {
        if let ClientError::NoHttp2 { .. } = error {
            return Self::NoHttp2;
        }
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        // Whoever quotes its cause has told it.
        while let Some(cause) = source {
            let cause_text = crate::telemetry::plain_error(cause);
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        if error.is_unreachable() {
            Self::Unreachable(text)
        } else {
            Self::Broken(text)
        }
    }

    /// Of an answer that is no account.
    pub(super) fn of_answer(answer: &Answer, host: &str) -> Self {
        let status = answer.status;
        let headers = &answer.headers;
        if headers
            .get("cf-mitigated")
            .is_some_and(|value| value == "challenge")
        {
            return Self::Challenge;
        }
        if status.is_redirection() {
            return redirected(headers, host, status);
        }
        match status.as_u16() {
            401 => Self::Unauthorized,
            403 if is_access_page(answer) => Self::CloudflareAccess,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            421 => Self::Misdirected,
            429 => Self::TooMany,
            code @ (502..=504 | 520..=530) => Self::NoOrigin(code),
            200 if is_html(headers) && is_access_page(answer) => Self::CloudflareAccess,
            code if is_html(headers) => Self::Page(code),
            code => Self::Status(code),
        }
    }

    /// Whether nobody answered at all.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// Whether a header of the request may be the reason: the status of the refusal, if there is
    /// one.
    pub(super) const fn may_be_a_headers_fault(&self) -> Option<Option<u16>> {
        if let Self::Broken(_) = self {
            return Some(None);
        }
        let (Self::Page(code) | Self::Status(code) | Self::NoUpgrade(code) | Self::NoOrigin(code)) =
            self
        else {
            return None;
        };
        // nginx has 494 for itself; others end what they cannot hold with an error of their own.
        match *code {
            400 | 413 | 414 | 431 | 494 | 500 | 502 | 520 => Some(Some(*code)),
            _ => None,
        }
    }

    /// One word, for machines.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Broken(_) => "broken",
            Self::NoHttp2 => "no_http2",
            Self::NotFound => "not_found",
            Self::Login(_) => "login",
            Self::CloudflareAccess => "cloudflare_access",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Challenge => "challenge",
            Self::Misdirected => "misdirected",
            Self::TooMany => "too_many",
            Self::NoOrigin(_) => "no_origin",
            Self::Page(_) => "page",
            Self::Status(_) => "status",
            Self::Cached(_) => "cached",
            Self::Unsigned => "unsigned",
            Self::OtherKey(_) => "other_key",
            Self::Forged => "forged",
            Self::Unreadable => "unreadable",
            Self::NoUpgrade(_) => "no_upgrade",
            Self::NoRedirect(_) => "no_redirect",
            Self::NoEcho => "no_echo",
        }
    }

    /// What to do about it.
    pub const fn what_to_do(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => {
                "look whether name, port and certificate are right; --ca FILE trusts an authority of your own"
            }
            Self::Broken(_) => "look at the log of the first hop, which ended the connection",
            Self::NoHttp2 => "",
            Self::NotFound => {
                "set `arrival` with the same secret in the configuration behind, or use --echo where none is"
            }
            Self::Login(_) | Self::Unauthorized => {
                "let /.well-known/edgespan/arrival pass without a login (the signature guards it), or send a token with -H"
            }
            Self::CloudflareAccess => {
                "send a service token: -H 'CF-Access-Client-Id: ...' -H 'CF-Access-Client-Secret: ...', or add a bypass policy for /.well-known/edgespan/arrival"
            }
            Self::Forbidden => "look at the firewall rules of the first hop",
            Self::Challenge => {
                "exempt /.well-known/edgespan/arrival from bot challenges (a WAF rule with action Skip)"
            }
            Self::Misdirected => {
                "look at the host that the hop routes by, and at names of certificates that are shared"
            }
            Self::TooMany => "wait, or raise the rate under `arrival`",
            Self::NoOrigin(_) => "start what stands behind; the way ends before it",
            Self::Page(_) | Self::Status(_) => {
                "look at which hop answers there, and route /.well-known/edgespan/arrival to the edgespan behind"
            }
            Self::Cached(_) => {
                "exempt /.well-known/edgespan/arrival from caching; it says `no-store`"
            }
            Self::Unsigned => {
                "look for a hop that removes x-edgespan-signature, or for another service at that path"
            }
            Self::OtherKey(_) => "use the secret of the edgespan behind",
            Self::Forged => {
                "look for a hop that rewrites bodies (minifying, injecting scripts, email protection)"
            }
            Self::Unreadable => "use the same version of edgespan on both sides",
            Self::NoUpgrade(_) => {
                "let the hops pass Upgrade and Connection, or leave it out: --only http/1.1,http/2,redirect"
            }
            Self::NoRedirect(_) => "look for a hop that follows redirects itself",
            Self::NoEcho => {
                "look at what the service answers; --echo json, lines or body says how it echoes"
            }
        }
    }
}

fn redirected(headers: &HeaderMap, host: &str, status: StatusCode) -> Obstacle {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let to = location
        .and_then(|location| location.parse::<url::Url>().ok())
        .and_then(|url| url.host_str().map(str::to_owned));
    match to {
        Some(to) if to.ends_with(".cloudflareaccess.com") => Obstacle::CloudflareAccess,
        Some(to) if !to.eq_ignore_ascii_case(host) => {
            Obstacle::Login(to.chars().take(HOST_MAX).collect())
        }
        Some(_) | None => match location {
            Some(path) => Obstacle::Login(path.chars().take(HOST_MAX).collect()),
            None => Obstacle::Status(status.as_u16()),
        },
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .map(|value| value.as_bytes().to_ascii_lowercase());
    value.is_some_and(|value| value.starts_with(b"text/html"))
}

fn is_access_page(answer: &Answer) -> bool {
    let by_cloudflare = answer
        .headers
        .get(SERVER)
        .is_some_and(|value| value == "cloudflare");
    let body = String::from_utf8_lossy(&answer.body.bytes).to_ascii_lowercase();
    by_cloudflare && body.contains("cloudflare access") || body.contains("cloudflareaccess.com")
}

/// How long a hop that says 429 asks to wait, one second unless it says otherwise, at most five.
pub(super) fn retry_after(headers: &HeaderMap) -> Duration {
    let text = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let seconds = text.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(u64::clamp(seconds, 1, 5))
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) | Self::Broken(text) => f.write_str(text),
            Self::NoHttp2 => f.write_str("HTTP/2 is not spoken there"),
            Self::NotFound => f.write_str("no edgespan behind answers with this secret (404)"),
            Self::Login(to) => write!(f, "a login stands in between: redirected to {to}"),
            Self::CloudflareAccess => f.write_str("Cloudflare Access wants a login"),
            Self::Unauthorized => f.write_str("a login stands in between (401)"),
            Self::Forbidden => f.write_str("a hop refuses the request (403)"),
            Self::Challenge => f.write_str("Cloudflare answers with a bot challenge"),
            Self::Misdirected => f.write_str("a hop takes this host on another connection (421)"),
            Self::TooMany => f.write_str("too many requests, again and again (429)"),
            Self::NoOrigin(code) => write!(f, "a hop reaches nobody behind it ({code})"),
            Self::Page(code) => write!(f, "a web page was answered, no account ({code})"),
            Self::Status(code) => write!(f, "{code} was answered, no account"),
            Self::Cached(sign) if sign.is_empty() => f.write_str(
                "the account of an earlier request was answered: a cache stands in between",
            ),
            Self::Cached(sign) => write!(
                f,
                "the account of an earlier request was answered: a cache stands in between ({sign})"
            ),
            Self::Unsigned => {
                f.write_str("the answer has no signature, so nobody knows who made it")
            }
            Self::OtherKey(id) => write!(f, "the account is signed with another secret (key {id})"),
            Self::Forged => f.write_str(
                "the account's signature does not fit: its bytes were changed, or made up",
            ),
            Self::Unreadable => f.write_str("the account is of another version"),
            Self::NoUpgrade(code) => write!(f, "no WebSocket was opened ({code})"),
            Self::NoRedirect(code) => write!(f, "the redirect did not come back ({code})"),
            Self::NoEcho => f.write_str("the answer echoes no headers"),
        }
    }
}
