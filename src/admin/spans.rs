//! The span account as metrics: `accepted = exported + rejected + dropped + pending`.
//!
//! Under names of our own, which say the account whole, and under the self-metrics of
//! OpenTelemetry's SDKs as far as these tell the same.

use crate::telemetry::metrics::{Exposition, Family, Kind};
use std::sync::Arc;

/// The account of one exporter, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanAccount {
    /// Which exporter, without anything secret.
    pub exporter: Arc<str>,
    /// Spans taken from the path.
    pub accepted: u64,
    /// Spans that the backend has confirmed.
    pub exported: u64,
    /// Spans that the backend has refused.
    pub rejected: u64,
    /// Spans given up, by reason; each reason once.
    pub dropped: Vec<(&'static str, u64)>,
    /// Spans that wait or are on their way.
    pub pending: u64,
    /// Most spans that may wait.
    pub queue_capacity: u64,
}

type Column = fn(&SpanAccount) -> u64;

/// Names, kind, help, and which column.
const OWN: [(&str, Kind, &str, Column); 4] = [
    (
        "edgespan_spans_accepted",
        Kind::Counter,
        "Spans taken for export: exported, rejected, dropped and pending together.",
        |account| account.accepted,
    ),
    (
        "edgespan_spans_exported",
        Kind::Counter,
        "Spans that the backend has confirmed.",
        |account| account.exported,
    ),
    (
        "edgespan_spans_rejected",
        Kind::Counter,
        "Spans that the backend has refused.",
        |account| account.rejected,
    ),
    (
        "edgespan_spans_pending",
        Kind::Gauge,
        "Spans that wait or are on their way.",
        |account| account.pending,
    ),
];

/// `otel.sdk.processor.span.queue.*` of the semantic conventions (Development).
const OTEL_QUEUE: [(&str, Kind, &str, Column); 2] = [
    (
        "otel_sdk_processor_span_queue_size",
        Kind::Gauge,
        "Spans in the queue of a processor.",
        |account| account.pending,
    ),
    (
        "otel_sdk_processor_span_queue_capacity",
        Kind::Gauge,
        "Most spans that the queue of a processor holds.",
        |account| account.queue_capacity,
    ),
];

/// Writes the families of all accounts.
pub(super) fn render(accounts: &[SpanAccount], page: &mut Exposition) {
    for (name, kind, help, column) in OWN {
        page.family(Family { name, kind, help });
        for account in accounts {
            page.sample(&[("exporter", &account.exporter)], column(account));
        }
    }
    page.family(Family {
        name: "edgespan_spans_dropped",
        kind: Kind::Counter,
        help: "Spans given up.",
    });
    for account in accounts {
        for (reason, count) in &account.dropped {
            page.sample(
                &[("exporter", &account.exporter), ("reason", reason)],
                count,
            );
        }
    }
    for (name, kind, help, column) in OTEL_QUEUE {
        page.family(Family { name, kind, help });
        for account in accounts {
            page.sample(
                &[("otel_component_name", &account.exporter)],
                column(account),
            );
        }
    }
    page.family(Family {
        name: "otel_sdk_exporter_span_exported",
        kind: Kind::Counter,
        help: "Spans whose export has ended; with error_type, those for which it failed.",
    });
    for account in accounts {
        let name = ("otel_component_name", &*account.exporter);
        page.sample(&[name], account.exported);
        page.sample(&[name, ("error_type", "rejected")], account.rejected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::TextFormat;

    #[test]
    fn the_account_on_the_page_adds_up() {
        let account = SpanAccount {
            exporter: "collector:4317".into(),
            accepted: 100,
            exported: 70,
            rejected: 5,
            dropped: vec![("queue_full", 20), ("shutdown", 1)],
            pending: 4,
            queue_capacity: 16_384,
        };
        let mut page = Exposition::new(TextFormat::OpenMetrics);

        render(&[account], &mut page);

        let page = page.finish();
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "edgespan_spans_accepted_total{exporter=\"collector:4317\"} 100",
                "edgespan_spans_exported_total{exporter=\"collector:4317\"} 70",
                "edgespan_spans_rejected_total{exporter=\"collector:4317\"} 5",
                "edgespan_spans_pending{exporter=\"collector:4317\"} 4",
                "edgespan_spans_dropped_total{exporter=\"collector:4317\",reason=\"queue_full\"} 20",
                "edgespan_spans_dropped_total{exporter=\"collector:4317\",reason=\"shutdown\"} 1",
                "otel_sdk_processor_span_queue_size{otel_component_name=\"collector:4317\"} 4",
                "otel_sdk_processor_span_queue_capacity{otel_component_name=\"collector:4317\"} 16384",
                "otel_sdk_exporter_span_exported_total{otel_component_name=\"collector:4317\"} 70",
                "otel_sdk_exporter_span_exported_total\
             {otel_component_name=\"collector:4317\",error_type=\"rejected\"} 5",
            ]
        );
    }
}
