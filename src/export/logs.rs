//! edgespan's own log over OTLP: each line a log record, through the same queue, lanes and
//! account as spans. Seldom enough that the generated types serve.

use super::account::{Account, AccountSnapshot};
use super::exporter::{ExportError, Exporter};
use super::settings::{OtlpSettings, Signal};
use crate::telemetry::log::{LogRecord, LogSink, LogValue};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1 as otlp;
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use tracing::Level;

/// Sends the log's lines to one collector. A cheap clone.
#[derive(Clone, Debug)]
pub struct LogExporter(Exporter);

impl LogExporter {
    /// Starts to export to the collector of `settings`; see [`Exporter::start`].
    ///
    /// # Errors
    /// As there.
    pub fn start(settings: &OtlpSettings, resource: &[u8]) -> Result<Self, ExportError> {
        Exporter::start_for(Signal::Logs, settings, resource).map(Self)
    }

    /// Where every record is.
    pub fn account(&self) -> &Arc<Account> {
        self.0.account()
    }

    /// One last try for what waits, within `limit`.
    pub async fn shutdown(&self, limit: Duration) -> AccountSnapshot {
        self.0.shutdown(limit).await
    }
}

impl LogSink for LogExporter {
    fn accept(&self, record: &LogRecord<'_>) {
        let records = otlp::ScopeLogs {
            log_records: vec![encoded(record)],
            ..otlp::ScopeLogs::default()
        };
        self.0.push(records.encode_to_vec());
    }
}

/// By the log data model: the message is the body, a failure's causes are `exception.message`.
fn encoded(record: &LogRecord<'_>) -> otlp::LogRecord {
    let (severity, text) = match record.level {
        Level::TRACE => (otlp::SeverityNumber::Trace, "TRACE"),
        Level::DEBUG => (otlp::SeverityNumber::Debug, "DEBUG"),
        Level::INFO => (otlp::SeverityNumber::Info, "INFO"),
        Level::WARN => (otlp::SeverityNumber::Warn, "WARN"),
        Level::ERROR => (otlp::SeverityNumber::Error, "ERROR"),
    };
    let words = [
        ("exception.message", record.error),
        ("code.namespace", Some(record.target)),
    ];
    let words = words
        .into_iter()
        .filter_map(|(key, text)| Some((key, Value::StringValue(text?.to_owned()))));
    let repeated = record.repeated.map(|times| {
        (
            "edgespan.log.repeated",
            Value::IntValue(i64::try_from(times).unwrap_or(i64::MAX)),
        )
    });
    let fields = record.fields().map(|(name, value)| {
        let value = match value {
            LogValue::Text(text) => Value::StringValue(text.to_owned()),
            LogValue::Int(whole) => Value::IntValue(whole),
            LogValue::Double(number) => Value::DoubleValue(number),
            LogValue::Bool(truth) => Value::BoolValue(truth),
        };
        (name, value)
    });
    let attributes = words
        .chain(repeated)
        .chain(fields)
        .map(|(key, value)| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        });
    let trace_id = record.trace_id.and_then(|id| TraceId::from_hex(id).ok());
    let span_id = record.span_id.and_then(|id| SpanId::from_hex(id).ok());
    otlp::LogRecord {
        time_unix_nano: record.at.as_unix_nanos(),
        observed_time_unix_nano: record.at.as_unix_nanos(),
        severity_number: severity.into(),
        severity_text: text.to_owned(),
        body: Some(AnyValue {
            value: Some(Value::StringValue(record.message.to_owned())),
        }),
        attributes: attributes.collect(),
        trace_id: trace_id.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
        span_id: span_id.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
        ..otlp::LogRecord::default()
    }
}
