//! Answers of edgespan's own: what a caller sees when a request fails.
//!
//! A fixed sentence for each code: who can act, whether trying again helps, what to quote. Never
//! a host, an address or a cause; those are in the log.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::fmt::Write;

/// In which form a caller can read an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/problem+json` (RFC 9457).
    Problem,
    /// A plain page, for a browser.
    Page,
    /// `grpc-status` and `grpc-message` without a body, for a gRPC client.
    Grpc,
}

impl Form {
    /// The form for a request with these headers: gRPC by its content type, a page if HTML is
    /// asked for by name, else a problem document.
    pub fn of(headers: &HeaderMap) -> Self {
        if is_grpc(headers) {
            return Self::Grpc;
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

/// Whether these are the headers of a gRPC message.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| {
                // `application/grpc-web` is another protocol, with its trailers in the body.
                rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";")
            })
    })
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
        Form::Grpc => ("application/grpc", String::new()),
    };
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = failure.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if form == Form::Grpc {
        // Trailers alone, in the head of an answer without a body (gRPC over HTTP/2).
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
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{status} {title}</title>\n\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;\
         padding:0 1rem}}h1{{font-size:1.5rem}}code{{font-size:1rem;user-select:all;\
         overflow-wrap:anywhere}}</style>\n</head>\n<body>\n<main>\n\
         <h1>{status} {title}</h1>\n<p>{}</p>\n{quote}</main>\n</body>\n</html>\n",
        failure.detail,
    )
}
