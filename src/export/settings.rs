//! Where spans go, as compiled from the configuration and the environment.

use std::path::PathBuf;
use std::time::Duration;

/// One OTLP destination.
///
/// A reload compares: settings that are equal keep their exporter and its queue.
#[derive(Clone, PartialEq)]
pub struct OtlpSettings {
    /// Whole URL. For HTTP it already ends in the path to post to.
    pub endpoint: url::Url,
    /// Wire protocol.
    pub protocol: Protocol,
    /// Compression of requests.
    pub compression: Compression,
    /// Headers (or gRPC metadata) of each request. Values are secrets: never in `Debug`.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Bound of one attempt.
    pub timeout: Duration,
    /// TLS towards the collector.
    pub tls: TlsSettings,
    /// Queue and batches.
    pub batch: BatchSettings,
}

/// What is sent. All three have the same envelope, field by field, and the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// What is added to a collector's URL of OTLP over HTTP.
    pub const fn http_path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    /// The method of OTLP over gRPC.
    pub(super) const fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// What there are several of, in a log line.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Metrics => "metrics",
            Self::Logs => "log records",
        }
    }
}

/// OTLP wire protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// Protobuf over HTTP/1.1.
    HttpProtobuf,
}

impl Protocol {
    /// Its name in `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }
}

/// Compression of export requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// TLS towards a collector. Contents are read when the exporter is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the authority to trust instead of the machine's roots.
    pub ca: Option<PathBuf>,
    /// PEM files of the client's certificate chain and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Queue and batches, as `OTEL_BSP_*` sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// Most spans that may wait; one more is dropped and counted.
    pub queue_spans_max: usize,
    /// Most spans in one request.
    pub batch_spans_max: usize,
    /// Longest a span waits for its batch to fill.
    pub delay: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            queue_spans_max: 16_384,
            batch_spans_max: 512,
            delay: Duration::from_secs(1),
        }
    }
}
