//! Spans leave here, each one accounted for.
//!
//! A finished request's spans go into a bounded queue and leave in batches, over OTLP, tried
//! again by OTLP's rules until they arrive, are refused for good, or the process ends. A request
//! never waits for any of it.

mod settings;
mod exporter;
mod account;
mod queue;
mod batch;
mod deliver;
mod reply;
mod retry;
mod fault_log;
mod encode;
mod connect;
mod otlp_http;
mod otlp_grpc;
mod metrics;
mod logs;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use account::{Account, AccountSnapshot, DropReason, Dropped};
pub use exporter::{ExportError, Exporter, ExporterStats};
pub use logs::LogExporter;
pub use metrics::MetricsExporter;
pub use reply::FailureKind;
pub use settings::{BatchSettings, Compression, OtlpSettings, Protocol, Signal, TlsSettings};

/// Bytes of a collector's answer that are read; more is not needed for a partial success.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Who exports, as collectors log it.
const USER_AGENT: &str = concat!("edgespan/", env!("CARGO_PKG_VERSION"), " (OTLP; Rust)");
