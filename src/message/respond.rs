//! Answers of edgespan's own: what a caller sees when a request fails.
//!
//! A fixed sentence for each code: who can act, whether trying again helps, what to quote. Never
//! a host, an address or a cause; those are in the log.

use super::grpc::Wire;
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::fmt::Write;

/// Methods that can be served at all.
const METHODS_ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// In which form a caller can read an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/problem+json` (RFC 9457).
    Problem,
    /// A plain page, for a browser.
    Page,
    /// `grpc-status` and `grpc-message` without a body, for a gRPC client.
    Grpc(Wire),
}

impl Form {
    /// The form for a request with these headers: gRPC by its content type, a page if HTML is
    /// asked for by name, else a problem document.
    pub fn of(headers: &HeaderMap) -> Self {
        if let Some(wire) = Wire::of(headers) {
            return Self::Grpc(wire);
        }
        let asks_for_html = headers.get_all(ACCEPT).iter().any(|value| {
            value.to_str().is_ok_and(|text| {
                text.split(',').any(|range| {
                    let media = range.split(';').next().unwrap_or_default();
                    media.trim().eq_ignore_ascii_case("text/html")
                })
            })
        });
        if asks_for_html {
            Self::Page
        } else {
            Self::Problem
        }
    }
}

/// One failure as a caller sees it.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable code, listed in the docs.
    pub code: &'static str,
    /// The sentence.
    pub detail: &'static str,
    /// `grpc-status` for a gRPC client.
    pub grpc_status: u8,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
    /// The trace to quote, 32 hex digits, if there is one.
    pub trace_id: Option<&'a str>,
}

/// The answer to a failed request.
pub fn failure(failure: &Failure<'_>, form: Form) -> Response<Bytes> {
    let (content_type, body) = match form {
        Form::Problem => ("application/problem+json", problem(failure)),
        Form::Page => ("text/html; charset=utf-8", page(failure)),
        Form::Grpc(Wire::Grpc) => ("application/grpc", String::new()),
        Form::Grpc(Wire::Web) => ("application/grpc-web", String::new()),
        Form::Grpc(Wire::WebText) => ("application/grpc-web-text", String::new()),
    };
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if failure.status == StatusCode::METHOD_NOT_ALLOWED {
        // RFC 9110 section 15.5.6 wants to know which are; routes may allow fewer.
        headers.insert(ALLOW, HeaderValue::from_static(METHODS_ALLOWED));
    }
    if let Some(seconds) = failure.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(form, Form::Grpc(_)) {
        // Trailers alone, in the head of an answer without a body (gRPC over HTTP/2); clients of
        // grpc-web read them there, too.
        headers.insert(
            "grpc-status",
            HeaderValue::from(u16::from(failure.grpc_status)),
        );
        headers.insert("grpc-message", HeaderValue::from_static(failure.detail));
    } else {
        *response.status_mut() = failure.status;
    }
    response
}

fn problem(failure: &Failure<'_>) -> String {
    let title = failure.status.canonical_reason().unwrap_or("Error");
    let mut text = String::with_capacity(256);
    let written = write!(
        text,
        r#"{{"type":"about:blank","title":"{title}","status":{},"code":"{}","detail":"{}""#,
        failure.status.as_u16(),
        failure.code,
        failure.detail,
    )
    .and_then(|()| match failure.trace_id {
        Some(id) => writeln!(text, r#","trace_id":"{id}"}}"#),
        None => writeln!(text, "}}"),
    });
    debug_assert!(written.is_ok(), "writing to a string does not fail");
    text
}

fn page(failure: &Failure<'_>) -> String {
    let title = failure.status.canonical_reason().unwrap_or("Error");
    let status = failure.status.as_u16();
    let quote = failure.trace_id.map_or_else(String::new, |id| {
        format!("<p>trace_id<br><code>{id}</code></p>\n")
    });
    let content = format!(
        "<h1>{status} {title}</h1>\n<p>{}</p>\n{quote}",
        failure.detail
    );
    document(&format!("{status} {title}"), &content)
}

/// A page of ours: plain, for every theme, without a script. Both parts are HTML.
pub fn document(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;\
         padding:0 1rem}}h1{{font-size:1.5rem}}code{{font-size:1rem;user-select:all;\
         overflow-wrap:anywhere}}.button{{display:block;box-sizing:border-box;width:100%;\
         min-height:44px;margin:.75rem 0;padding:.5rem 1rem;border:1px solid;\
         border-radius:.5rem;background:none;color:inherit;font:inherit;text-align:center;\
         text-decoration:none;cursor:pointer}}.button:focus-visible{{outline:3px solid;\
         outline-offset:2px}}.button:hover{{text-decoration:underline}}</style>\n</head>\n\
         <body>\n<main>\n{content}</main>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Failure<'static> = Failure {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "overloaded",
        detail: "Too many requests at once.",
        grpc_status: 14,
        retry_after: Some(1),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736"),
    };

    fn form(name: &'static str, value: &'static str) -> Form {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        Form::of(&headers)
    }

    #[test]
    fn a_grpc_client_of_either_kind_gets_trailers_alone_in_its_own_content_type() {
        for (content_type, wire) in [
            ("application/grpc", Wire::Grpc),
            ("application/grpc-web", Wire::Web),
            ("application/grpc-web-text", Wire::WebText),
        ] {
            let form = form("content-type", content_type);
            assert_eq!(form, Form::Grpc(wire));
            let response = failure(&REFUSED, form);
            assert_eq!(
                (response.status(), response.body().len()),
                (StatusCode::OK, 0)
            );
            assert_eq!(response.headers().get("grpc-status").unwrap(), "14");
            assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), content_type);
        }
    }

    #[test]
    fn only_who_asks_for_html_by_name_gets_a_page() {
        assert_eq!(form("accept", "text/html;q=0.9, */*"), Form::Page);
        assert_eq!(
            form("accept", "application/xhtml+xml, Text/HTML"),
            Form::Page
        );
        assert_eq!(form("accept", "*/*"), Form::Problem);
        assert_eq!(form("accept", "application/json"), Form::Problem);
        assert_eq!(
            form("content-type", "application/grpc+proto"),
            Form::Grpc(Wire::Grpc)
        );
        assert_eq!(Form::of(&HeaderMap::new()), Form::Problem);
    }

    #[test]
    fn a_problem_is_one_line_of_json_that_ends_with_a_newline() {
        let response = failure(&REFUSED, Form::Problem);

        assert_eq!(response.status(), 503);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
        let text = std::str::from_utf8(response.body()).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with("}\n"));
        let problem: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], 503);
        assert_eq!(problem["trace_id"], REFUSED.trace_id.unwrap());
    }

    #[test]
    fn without_a_trace_nothing_is_quoted() {
        let untraced = Failure {
            trace_id: None,
            ..REFUSED
        };

        for form in [Form::Problem, Form::Page] {
            let response = failure(&untraced, form);
            assert!(
                !std::str::from_utf8(response.body())
                    .unwrap()
                    .contains("trace_id")
            );
        }
    }
}
