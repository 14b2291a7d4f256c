//! The span account of every exporter, as the operator's door shows it, over reloads.
//!
//! An exporter that a reload replaced still sends what it has taken, and requests that began
//! before still give it spans. Its account stays in the sum of its name for as long as the process
//! runs, so no span leaves the account and no counter goes back.

use crate::admin::SpanAccount;
use crate::export::{Account, AccountSnapshot, DropReason, Exporter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads the account of an exporter that is none of `export`'s.
pub type ReadAccount = Arc<dyn Fn() -> SpanAccount + Send + Sync>;

/// The accounts of all exporters there are and have been. Clones are the same ledger.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Vec<Line>>>);

/// Everything under one name.
struct Line {
    name: Arc<str>,
    open: Vec<Arc<Account>>,
    /// Of exporters that have ended.
    past: AccountSnapshot,
    capacity: u64,
}

impl Ledger {
    /// Opens an exporter's account.
    pub(super) fn open(&self, name: &Arc<str>, exporter: &Exporter) {
        let (account, capacity) = (
            Arc::clone(exporter.account()),
            exporter.stats().queue_spans_max,
        );
        let mut lines = self.lines();
        match lines.iter_mut().find(|line| line.name == *name) {
            Some(line) => {
                line.open.push(account);
                line.capacity = capacity;
            }
            None => lines.push(Line {
                name: Arc::clone(name),
                open: vec![account],
                past: AccountSnapshot::default(),
                capacity,
            }),
        }
    }

    /// Closes the account of an exporter that has ended: its sums stay.
    pub(super) fn close(&self, ended: &Arc<Account>) {
        let mut lines = self.lines();
        let holds = |line: &&mut Line| line.open.iter().any(|one| Arc::ptr_eq(one, ended));
        if let Some(line) = lines.iter_mut().find(holds) {
            line.open.retain(|one| !Arc::ptr_eq(one, ended));
            line.past += ended.snapshot();
        }
    }

    /// The sum of each name, now.
    pub(super) fn totals(&self) -> Vec<(Arc<str>, AccountSnapshot, u64)> {
        let total = |line: &Line| {
            let mut sum = line.past;
            for account in &line.open {
                sum += account.snapshot();
            }
            (Arc::clone(&line.name), sum, line.capacity)
        };
        self.lines().iter().map(total).collect()
    }

    /// Reads all accounts, and those of `others`, at the moment of the call.
    pub(super) fn reader(
        &self,
        others: Vec<ReadAccount>,
    ) -> Arc<dyn Fn() -> Vec<SpanAccount> + Send + Sync> {
        let ledger = self.clone();
        Arc::new(move || {
            let totals = ledger.totals();
            let sent = totals
                .iter()
                .map(|(name, total, capacity)| span_account(name, total, *capacity));
            sent.chain(others.iter().map(|read| read())).collect()
        })
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        // Every change under the lock is complete.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn span_account(
    exporter: &Arc<str>,
    snapshot: &AccountSnapshot,
    queue_capacity: u64,
) -> SpanAccount {
    SpanAccount {
        exporter: Arc::clone(exporter),
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
