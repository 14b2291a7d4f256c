//! Pages of logins, and what they are to who reads none.

use crate::message::respond::{self, Form};
use crate::proxy::answer::Answer;
use crate::proxy::body::Body;
use crate::proxy::context::RequestContext;
use crate::proxy::finish;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::borrow::Cow;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Something to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Goes there.
    Link {
        /// What it says.
        label: String,
        /// Where.
        href: String,
    },
    /// Posts there, with these fields.
    Post {
        /// What it says.
        label: String,
        /// Where.
        href: String,
        /// Hidden fields.
        fields: Vec<(&'static str, String)>,
    },
}

impl Action {
    pub(super) fn link(label: impl Into<String>, href: impl Into<String>) -> Self {
        Self::Link {
            label: label.into(),
            href: href.into(),
        }
    }

    fn html(&self) -> String {
        match self {
            Self::Link { label, href } => format!(
                "<a class=\"button\" href=\"{}\">{}</a>\n",
                escape(href),
                escape(label)
            ),
            Self::Post {
                label,
                href,
                fields,
            } => {
                let fields: String = fields
                    .iter()
                    .map(|(name, value)| {
                        format!(
                            "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
                            escape(value)
                        )
                    })
                    .collect();
                format!(
                    "<form method=\"post\" action=\"{}\">{fields}\
                     <button class=\"button\">{}</button></form>\n",
                    escape(href),
                    escape(label)
                )
            }
        }
    }
}

/// A page that says something, with what can be done next.
pub(super) fn said(
    context: &RequestContext,
    status: StatusCode,
    title: &str,
    sentences: &[&str],
    actions: &[Action],
) -> Response<Body> {
    let mut content = format!("<h1>{}</h1>\n", escape(title));
    for sentence in sentences {
        content.push_str(&format!("<p>{}</p>\n", escape(sentence)));
    }
    for action in actions {
        content.push_str(&action.html());
    }
    if status.is_client_error() || status.is_server_error() {
        let quote = context.trace_id();
        let quote = quote.map(|id| format!("<p>trace_id<br><code>{id}</code></p>\n"));
        content.push_str(&quote.unwrap_or_default());
    }
    let mut response = whole(context, &escape(title), &content);
    *response.status_mut() = status;
    response
}

/// A page of this content, in the file's template if it has one.
pub(super) fn whole(context: &RequestContext, title: &str, content: &str) -> Response<Body> {
    let logins = context.live.logins.as_ref();
    let template = logins.and_then(|logins| logins.settings.pages.template.as_deref());
    let text = match template {
        Some(template) => filled(template, title, content),
        None => respond::document(title, content),
    };
    let mut response = Response::new(Body::from(Bytes::from(text)));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    // What a template shows is the file's affair; that nobody frames a button is not.
    let policy = match template {
        Some(_) => "frame-ancestors 'none'",
        None => {
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
             frame-ancestors 'none'"
        }
    };
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    guard(headers);
    response
}

/// What every answer of a login says to browsers and caches.
pub(super) fn guard(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // What leads here and on has codes and handles in its address.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// `{{title}}` and `{{content}}` of a template, each filled once: nothing in them is filled again.
fn filled(template: &str, title: &str, content: &str) -> String {
    let mut parts = template.split("{{content}}");
    let first = parts.next().unwrap_or_default();
    let mut text = first.replace("{{title}}", title);
    for part in parts {
        text.push_str(content);
        text.push_str(&part.replace("{{title}}", title));
    }
    text
}

/// A failure: a page for a browser, a problem document for everybody else.
pub(super) fn failed(
    context: &RequestContext,
    answer: &Answer,
    actions: &[Action],
) -> Response<Body> {
    failed_at(context, answer, &[], actions)
}

/// The same, with further sentences on the page.
pub(super) fn failed_at(
    context: &RequestContext,
    answer: &Answer,
    further: &[&str],
    actions: &[Action],
) -> Response<Body> {
    let trace_id = context.trace_id();
    let mut response = if context.form == Form::Page {
        said(
            context,
            answer.status,
            title_of(answer),
            &[&[answer.detail], further].concat(),
            actions,
        )
    } else {
        respond::failure(&answer.failure(trace_id.as_deref()), context.form).map(Body::from)
    };
    guard(response.headers_mut());
    if let Some(seconds) = answer.retry_after {
        let after = HeaderValue::from(seconds);
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, after);
    }
    if let Some(timing) = finish::server_timing(context) {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
    response
}

/// What a failure's page is called.
fn title_of(answer: &Answer) -> &'static str {
    match answer.code {
        "login_insecure" => "This needs https",
        "login_denied" => "Login refused",
        "login_failed" => "Login failed",
        "login_unavailable" | "auth_unavailable" => "Login is not possible now",
        "login_expired" => "This login is over",
        "login_loop" => "Login goes round in circles",
        "login_too_weak" => "A stronger login is needed",
        "unauthenticated" => "Log in first",
        "forbidden" => "Not for this account",
        _ => answer.status.canonical_reason().unwrap_or("Error"),
    }
}

/// A redirect by GET.
pub(super) fn redirect(to: &str, is_post: bool) -> Option<Response<Body>> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = if is_post {
        StatusCode::SEE_OTHER
    } else {
        StatusCode::FOUND
    };
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::try_from(to).ok()?);
    guard(headers);
    Some(response)
}

/// Adds `Set-Cookie` values.
pub(super) fn with_cookies(
    mut response: Response<Body>,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response<Body> {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// For the text and the attributes of HTML.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_once() {
        let filled = filled(
            "<title>{{title}}</title>{{content}}<i>{{title}}</i>",
            "T",
            "{{title}} {{content}}",
        );

        assert_eq!(filled, "<title>T</title>{{title}} {{content}}<i>T</i>");
    }

    #[test]
    fn nothing_that_is_shown_is_markup() {
        let hostile = "\"><script>alert('x')</script>&";

        let link = Action::link(hostile, hostile).html();

        assert!(!link.contains("<script>"));
        assert!(!link.contains("\"><"));
        assert_eq!(link.matches('"').count(), 4);
    }
}
