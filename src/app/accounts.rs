//! The span account of every exporter, as the operator's door shows it.

use crate::admin::SpanAccount;
use crate::export::{AccountSnapshot, DropReason, Exporter};
use std::sync::Arc;

/// Reads the account of an exporter that is none of `export`'s.
pub type ReadAccount = Arc<dyn Fn() -> SpanAccount + Send + Sync>;

/// Reads all accounts at the moment of the call.
pub(super) fn span_accounts(
    exporters: Vec<Exporter>,
    others: Vec<ReadAccount>,
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
        sent.chain(others.iter().map(|read| read())).collect()
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
