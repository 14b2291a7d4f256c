//! What a line of the access log says, and its two forms.

use crate::clock::Timestamp;
use crate::telemetry::{clock_time, json_string, rfc3339, terminal_safe};
use opentelemetry::trace::{SpanId, TraceId};
use std::fmt::{self, Display, Write};
use std::net::IpAddr;
use std::time::Duration;

/// How much of a trace id people see: enough to find it.
const SHORT_ID_CHARS: usize = 12;

/// One request that has ended. Keys of the JSON form are those of the semantic conventions,
/// where they have one.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// When it ended.
    pub ended: Timestamp,
    /// Its SERVER span; none when nothing is recorded.
    pub span: Option<(TraceId, SpanId)>,
    /// Whether that span is exported.
    pub sampled: bool,
    /// Who asked; through trusted peers, on whose behalf.
    pub client_address: Option<IpAddr>,
    /// Method, as sent.
    pub method: &'a str,
    /// Path, as sent.
    pub path: &'a str,
    /// Query without its `?`, with secrets redacted already.
    pub query: Option<&'a str>,
    /// Status, if an answer was begun.
    pub status: Option<u16>,
    /// The matched template.
    pub http_route: Option<&'a str>,
    /// The matched route's name.
    pub route: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The flow's name.
    pub flow: Option<&'a str>,
    /// Whether it might pass, and why not, where that was asked.
    pub auth: Option<(&'static str, Option<&'static str>)>,
    /// From the first byte of the head to the last of the body.
    pub duration: Duration,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// Whether the client left before the end.
    pub client_disconnected: bool,
    /// What went wrong, of a short list.
    pub error_type: Option<&'a str>,
    /// `User-Agent`, as sent.
    pub user_agent: Option<&'a str>,
}

impl AccessRecord<'_> {
    /// `14:07:02 GET /api/v1/orders/7 200 12.3 ms orders -> content (trace 4bf92f3577b3)`
    pub(super) fn human(&self, out: &mut String) {
        put(out, format_args!("{} ", clock_time(self.ended)));
        terminal_safe(out, self.method);
        out.push(' ');
        terminal_safe(out, self.path);
        if let Some(query) = self.query {
            out.push('?');
            terminal_safe(out, query);
        }
        match self.status {
            Some(status) => put(out, format_args!(" {status}")),
            None => out.push_str(" -"),
        }
        if self.client_disconnected {
            out.push_str(" client left");
        }
        put(
            out,
            format_args!(" {:.1} ms", self.duration.as_secs_f64() * 1000.0),
        );
        if let Some(route) = self.route {
            out.push(' ');
            terminal_safe(out, route);
        }
        if let Some(upstream) = self.upstream {
            out.push_str(" -> ");
            terminal_safe(out, upstream);
        }
        if let Some((_, Some(reason))) = self.auth {
            put(out, format_args!(" auth={reason}"));
        }
        if let Some(error_type) = self.error_type {
            out.push_str(" error=");
            terminal_safe(out, error_type);
        }
        if let Some((trace_id, _)) = self.span {
            out.push_str(" (trace ");
            let length = out.len();
            put(out, format_args!("{trace_id}"));
            out.truncate(length + SHORT_ID_CHARS);
            out.push(')');
        }
    }

    /// One flat JSON object.
    pub(super) fn json(&self, out: &mut String) {
        put(
            out,
            format_args!("{{\"timestamp\":\"{}\"", rfc3339(self.ended)),
        );
        if let Some((trace_id, span_id)) = self.span {
            put(
                out,
                format_args!(",\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\""),
            );
        }
        literal(out, "sampled", self.sampled);
        if let Some(address) = self.client_address {
            put(out, format_args!(",\"client.address\":\"{address}\""));
        }
        text(out, "http.request.method", Some(self.method));
        text(out, "url.path", Some(self.path));
        text(out, "url.query", self.query);
        if let Some(status) = self.status {
            literal(out, "http.response.status_code", status);
        }
        text(out, "http.route", self.http_route);
        text(out, "route", self.route);
        text(out, "upstream", self.upstream);
        text(out, "flow", self.flow);
        if let Some((decision, reason)) = self.auth {
            text(out, "edgespan.auth.decision", Some(decision));
            text(out, "edgespan.auth.reason", reason);
        }
        let micros = self.duration.as_micros();
        put(
            out,
            format_args!(",\"duration_ms\":{}.{:03}", micros / 1000, micros % 1000),
        );
        literal(out, "http.request.body.size", self.request_bytes);
        literal(out, "http.response.body.size", self.response_bytes);
        text(out, "error.type", self.error_type);
        if self.client_disconnected {
            literal(out, "edgespan.client_disconnected", true);
        }
        text(out, "user_agent.original", self.user_agent);
        out.push('}');
    }
}

/// `key` needs no escapes.
fn text(out: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        put_key(out, key);
        json_string(out, value);
    }
}

fn literal(out: &mut String, key: &str, value: impl Display) {
    put_key(out, key);
    put(out, format_args!("{value}"));
}

fn put_key(out: &mut String, key: &str) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
}

fn put(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    out.write_fmt(text).unwrap_or_default();
}
