//! What became of edgespan's own metrics and log lines on their way to a collector.

use crate::telemetry::metrics::{Exposition, Family, Kind};

/// The account of one signal, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryAccount {
    /// `metrics` or `logs`.
    pub signal: &'static str,
    /// Records that are settled, by outcome: `exported`, `rejected`, or why they were dropped.
    pub outcomes: Vec<(&'static str, u64)>,
    /// Records that wait or are on their way.
    pub pending: u64,
}

/// Writes the families, if anything is sent at all.
pub(super) fn render(accounts: &[TelemetryAccount], page: &mut Exposition) {
    if accounts.is_empty() {
        return;
    }
    page.family(Family {
        name: "edgespan_telemetry_records",
        kind: Kind::Counter,
        help: "Records of edgespan's own metrics and logs by what became of them.",
    });
    for account in accounts {
        for (outcome, count) in &account.outcomes {
            page.sample(&[("signal", account.signal), ("outcome", outcome)], count);
        }
    }
    page.family(Family {
        name: "edgespan_telemetry_records_pending",
        kind: Kind::Gauge,
        help: "Records of edgespan's own metrics and logs that wait or are on their way.",
    });
    for account in accounts {
        page.sample(&[("signal", account.signal)], account.pending);
    }
}
