//! One event as a line: its fields gathered, then written for people or for machines.

use super::repeat::Repeated;
use crate::clock::Timestamp;
use crate::telemetry::{clock_time, json_string, plain_chain, rfc3339, terminal_safe};
use anstyle::{AnsiColor, Style};
use std::error::Error;
use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Longest value of one field, in bytes; the rest is cut. A line is for reading.
const VALUE_BYTES_MAX: usize = 4_096;

/// How much of a trace id people see: enough to find it.
const SHORT_ID_CHARS: usize = 12;

/// An event, out of `tracing`'s hands.
#[derive(Clone)]
pub(super) struct LogLine {
    pub(super) level: Level,
    pub(super) target: &'static str,
    pub(super) message: String,
    pub(super) error: Option<String>,
    pub(super) trace_id: Option<String>,
    pub(super) span_id: Option<String>,
    pub(super) others: Vec<(&'static str, Value)>,
}

#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    /// A number or a boolean, as JSON writes it.
    Literal(String),
}

impl LogLine {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut line = Self {
            level: *metadata.level(),
            target: metadata.target(),
            message: String::new(),
            error: None,
            trace_id: None,
            span_id: None,
            others: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// What makes two lines the same fault: everything but when, and in which request.
    pub(super) fn fault(&self) -> String {
        let mut fault = format!("{} {} ", self.level, self.target);
        self.body(&mut fault);
        fault
    }

    /// `14:07:02 WARN upstream payout: 3 of 3 endpoints refuse (trace 4bf92f3577b3)`
    pub(super) fn human(
        &self,
        out: &mut String,
        at: Timestamp,
        repeated: Option<Repeated>,
        colour: bool,
    ) {
        let (dim, level) = if colour {
            (Style::new().dimmed(), level_style(self.level))
        } else {
            (Style::new(), Style::new())
        };
        put(out, format_args!("{dim}{}{dim:#} ", clock_time(at)));
        put(out, format_args!("{level}{}{level:#} ", self.level));
        if !is_ours(self.target) {
            put(out, format_args!("{}: ", self.target));
        }
        self.body(out);
        // Which request it was says nothing about the other 412.
        if let Some(repeated) = repeated {
            put(out, format_args!(" ({repeated})"));
        } else if let Some(trace_id) = &self.trace_id {
            let short: String = trace_id.chars().take(SHORT_ID_CHARS).collect();
            out.push_str(" (trace ");
            put(out, format_args!("{dim}"));
            terminal_safe(out, &short);
            put(out, format_args!("{dim:#}"));
            out.push(')');
        }
    }

    /// One flat JSON object.
    pub(super) fn json(&self, out: &mut String, at: Timestamp, repeated: Option<Repeated>) {
        put(out, format_args!("{{\"timestamp\":\"{}\"", rfc3339(at)));
        put(out, format_args!(",\"level\":\"{}\"", self.level));
        json_text(out, "message", &self.message);
        json_text(out, "target", self.target);
        if let Some(error) = &self.error {
            json_text(out, "error", error);
        }
        for (name, value) in &self.others {
            let name = match *name {
                // A field must not say the same key twice: parsers keep either one.
                "timestamp" | "level" | "target" => &format!("field.{name}"),
                name => name,
            };
            match value {
                Value::Text(text) => json_text(out, name, text),
                Value::Literal(literal) => {
                    json_key(out, name);
                    out.push_str(literal);
                }
            }
        }
        if let Some(repeated) = repeated {
            put(out, format_args!(",\"repeated\":{}", repeated.times));
            put(
                out,
                format_args!(",\"repeated_seconds\":{}", repeated.over.as_secs()),
            );
        } else {
            if let Some(trace_id) = &self.trace_id {
                json_text(out, "trace_id", trace_id);
            }
            if let Some(span_id) = &self.span_id {
                json_text(out, "span_id", span_id);
            }
        }
        out.push('}');
    }

    /// Message, then the causes, then other fields.
    fn body(&self, out: &mut String) {
        terminal_safe(out, &self.message);
        if let Some(error) = &self.error {
            if !self.message.is_empty() {
                out.push_str(": ");
            }
            terminal_safe(out, error);
        }
        for (name, value) in &self.others {
            put(out, format_args!(" {name}="));
            match value {
                Value::Literal(literal) => out.push_str(literal),
                Value::Text(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
                    let mut safe = String::new();
                    terminal_safe(&mut safe, text);
                    put(out, format_args!("\"{}\"", safe.replace('"', "\\\"")));
                }
                Value::Text(text) => terminal_safe(out, text),
            }
        }
    }

    fn text(&mut self, field: &Field, text: String) {
        let text = cut(text);
        match field.name() {
            "message" => self.message = text,
            "error" => self.error = Some(text),
            "trace_id" => self.trace_id = Some(text),
            "span_id" => self.span_id = Some(text),
            name => self.others.push((name, Value::Text(text))),
        }
    }

    fn literal(&mut self, field: &Field, literal: String) {
        self.others.push((field.name(), Value::Literal(literal)));
    }
}

impl Visit for LogLine {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.literal(field, value.to_string());
        } else {
            self.text(field, value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.literal(field, value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.literal(field, value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.literal(field, value.to_string());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, plain_chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format!("{value:?}"));
    }
}

fn cut(mut text: String) -> String {
    if text.len() > VALUE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
        text.push('…');
    }
    text
}

/// Lines of libraries say whose they are.
pub(super) fn is_ours(target: &str) -> bool {
    let ours = env!("CARGO_CRATE_NAME");
    target
        .strip_prefix(ours)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

const fn level_style(level: Level) -> Style {
    match level {
        Level::ERROR => AnsiColor::Red.on_default().bold(),
        Level::WARN => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    }
}

fn json_text(out: &mut String, name: &str, text: &str) {
    json_key(out, name);
    json_string(out, text);
}

fn json_key(out: &mut String, name: &str) {
    out.push(',');
    json_string(out, name);
    out.push(':');
}

fn put(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    out.write_fmt(text).unwrap_or_default();
}
