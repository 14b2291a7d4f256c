//! The log's lines for somebody beside stderr: an exporter.
//!
//! Only lines of our own, and none about exporting: a line about a failed export that is exported
//! itself would fail, too, and be told of. Lines of libraries stay on stderr for the same reason:
//! what HTTP and TLS have to say at `debug` is mostly about the very connection that exports.

use super::Log;
use super::event::{LogLine, Value, is_ours};
use super::repeat::Repeated;
use crate::clock::Timestamp;
use std::sync::{Arc, PoisonError, Weak};
use tracing::Level;

/// Lines of this module and below are never handed on.
const EXPORT: &str = concat!(env!("CARGO_CRATE_NAME"), "::export");

/// Whoever wants the log's lines. Never waits, and logs nothing that would come back to it.
pub trait LogSink: Send + Sync {
    /// Takes a line, or counts it as dropped.
    fn accept(&self, record: &LogRecord<'_>);
}

/// One line of the log.
#[derive(Clone, Copy)]
pub struct LogRecord<'a> {
    /// When it was written.
    pub at: Timestamp,
    /// How bad it is.
    pub level: Level,
    /// The module that says it.
    pub target: &'static str,
    /// What it says.
    pub message: &'a str,
    /// Why, with all causes.
    pub error: Option<&'a str>,
    /// The request it is about, as 32 hex digits.
    pub trace_id: Option<&'a str>,
    /// The span it is about, as 16 hex digits.
    pub span_id: Option<&'a str>,
    /// How often it came back since it was told, if that is what it tells.
    pub repeated: Option<u64>,
    others: &'a [(&'static str, Value)],
}

/// The value of a line's field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LogValue<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// A truth value.
    Bool(bool),
}

impl LogRecord<'_> {
    /// Its other fields, in the order in which they were written.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, LogValue<'_>)> {
        self.others.iter().map(|(name, value)| {
            let value = match value {
                Value::Text(text) => LogValue::Text(text),
                Value::Literal(literal) => LogValue::of_literal(literal),
            };
            (*name, value)
        })
    }
}

impl<'a> LogValue<'a> {
    fn of_literal(literal: &'a str) -> Self {
        if let Ok(truth) = literal.parse() {
            Self::Bool(truth)
        } else if let Ok(whole) = literal.parse() {
            Self::Int(whole)
        } else if let Ok(number) = literal.parse() {
            Self::Double(number)
        } else {
            Self::Text(literal)
        }
    }
}

/// Where a sink is connected to the log. Holds no log open.
#[derive(Clone)]
pub struct LogOutlet(Weak<Log>);

impl LogOutlet {
    pub(super) fn of(log: &Arc<Log>) -> Self {
        Self(Arc::downgrade(log))
    }

    /// From now on this sink gets the lines, or nobody.
    pub fn connect(&self, sink: Option<Arc<dyn LogSink>>) {
        if let Some(log) = self.0.upgrade() {
            *log.sink.lock().unwrap_or_else(PoisonError::into_inner) = sink;
        }
    }
}

impl Log {
    pub(super) fn hand_on(&self, line: &LogLine, at: Timestamp, repeated: Option<Repeated>) {
        let about_export = line
            .target
            .strip_prefix(EXPORT)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        if about_export || !is_ours(line.target) {
            return;
        }
        let sink = {
            let held = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
            held.clone()
        };
        if let Some(sink) = sink {
            sink.accept(&LogRecord {
                at,
                level: line.level,
                target: line.target,
                message: &line.message,
                error: line.error.as_deref(),
                trace_id: line.trace_id.as_deref().filter(|_| repeated.is_none()),
                span_id: line.span_id.as_deref().filter(|_| repeated.is_none()),
                repeated: repeated.map(|repeated| repeated.times),
                others: &line.others,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogFormat, subscriber};
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl LogSink for Kept {
        fn accept(&self, record: &LogRecord<'_>) {
            let fields: Vec<_> = record.fields().collect();
            let text = format!("{} {} {fields:?}", record.level, record.message);
            self.0.lock().unwrap().push(text);
        }
    }

    #[test]
    fn our_lines_are_handed_on_with_typed_fields_but_none_about_exporting_and_none_of_libraries() {
        let log = Log::new(LogFormat::Json, false, Box::new(std::io::sink()));
        let kept = Arc::new(Kept::default());
        let outlet = LogOutlet::of(&log);
        outlet.connect(Some(Arc::clone(&kept) as Arc<dyn LogSink>));

        tracing::subscriber::with_default(subscriber(&log, "debug").unwrap(), || {
            tracing::info!(requests = 3, share = 0.5, ok = true, who = "x", "drained");
            tracing::warn!(target: "edgespan::export::deliver", "export failed");
            tracing::warn!(target: "edgespan::exporting", "no part of export");
            tracing::debug!(target: "h2::proto", "frame");
        });
        outlet.connect(None);
        tracing::subscriber::with_default(subscriber(&log, "debug").unwrap(), || {
            tracing::info!("nobody");
        });

        let kept = kept.0.lock().unwrap();
        assert_eq!(
            *kept,
            [
                "INFO drained [(\"requests\", Int(3)), (\"share\", Double(0.5)), \
                 (\"ok\", Bool(true)), (\"who\", Text(\"x\"))]",
                "WARN no part of export []",
            ]
        );
    }
}
