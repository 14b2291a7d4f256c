//! Where edgespan's own metrics and logs go, as it is written.

use super::{DurationText, Otlp};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// What edgespan sends about itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Telemetry {
    /// The numbers of `/metrics`.
    pub(in crate::config) metrics: TelemetryMetrics,
    /// The lines of edgespan's own log. Those of libraries and those about exporting stay on stderr.
    pub(in crate::config) logs: TelemetryLogs,
}

/// Where metrics go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct TelemetryMetrics {
    /// An OTLP collector; `/v1/metrics` is added to a URL without a path. `OTEL_METRICS_EXPORTER`
    /// and `OTEL_EXPORTER_OTLP_*` win over it.
    pub(in crate::config) otlp: Option<Spanned<Otlp>>,
    /// From one reading to the next. `OTEL_METRIC_EXPORT_INTERVAL` wins over it.
    #[schemars(extend("default" = "60s"))]
    pub(in crate::config) interval: Option<Spanned<DurationText>>,
}

/// Where the log goes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct TelemetryLogs {
    /// An OTLP collector; `/v1/logs` is added to a URL without a path. `OTEL_LOGS_EXPORTER` and
    /// `OTEL_EXPORTER_OTLP_*` win over it.
    pub(in crate::config) otlp: Option<Spanned<Otlp>>,
}
