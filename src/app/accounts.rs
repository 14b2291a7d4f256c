//! The span account of every exporter, as the operator's door shows it.

use crate::admin::SpanAccount;
use crate::export::{Account, AccountSnapshot, DropReason, Exporter};
use std::sync::Arc;

/// Reads all accounts at the moment of the call.
pub(super) fn span_accounts(
    exporters: Vec<Exporter>,
    others: Vec<Arc<Account>>,
) -> Arc<dyn Fn() -> Vec<SpanAccount> + Send + Sync> {
    Arc::new(move || {
        let sent = exporters.iter().enumerate().map(|(place, exporter)| {
            let name = if exporters.len() == 1 {
                "otlp".into()
            } else {
                format!("otlp-{place}")
            };
            let capacity = exporter.stats().queue_spans_max;
            span_account(&name, &exporter.account().snapshot(), capacity)
        });
        let told = others.iter().map(|account| {
            let snapshot = account.snapshot();
            span_account(snapshot.label.unwrap_or("other"), &snapshot, 0)
        });
        sent.chain(told).collect()
    })
}

fn span_account(exporter: &str, snapshot: &AccountSnapshot, queue_capacity: u64) -> SpanAccount {
    SpanAccount {
        exporter: exporter.into(),
        accepted: snapshot.accepted,
        exported: snapshot.exported,
        rejected: snapshot.rejected,
        dropped: DropReason::ALL
            .iter()
            .map(|&reason| (reason.name(), snapshot.dropped.of(reason)))
            .collect(),
        pending: snapshot.pending,
        queue_capacity,
    }
}
