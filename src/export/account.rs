//! Where every span went: `accepted = exported + rejected + dropped + pending`.
//!
//! Five columns behind one short lock, so that whoever reads them never sees a span in two
//! columns or in none. The lock is held for a few additions and never across a wait.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why a span was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The queue was at its bound, in spans or in bytes.
    QueueFull,
    /// The collector calls it too large, and it is one span alone.
    TooLarge,
    /// The collector refused it in a way that OTLP forbids to try again.
    NotRetryable,
    /// The process ended before a collector took it.
    Shutdown,
}

impl DropReason {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::TooLarge,
        Self::NotRetryable,
        Self::Shutdown,
    ];

    /// The label of metrics, logs and the account line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::NotRetryable => "not_retryable",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Spans given up, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    queue_full: u64,
    too_large: u64,
    not_retryable: u64,
    shutdown: u64,
}

impl Dropped {
    /// Spans dropped for this reason.
    pub const fn of(&self, reason: DropReason) -> u64 {
        match reason {
            DropReason::QueueFull => self.queue_full,
            DropReason::TooLarge => self.too_large,
            DropReason::NotRetryable => self.not_retryable,
            DropReason::Shutdown => self.shutdown,
        }
    }

    /// Spans dropped for any reason.
    pub const fn total(&self) -> u64 {
        self.queue_full + self.too_large + self.not_retryable + self.shutdown
    }

    const fn column(&mut self, reason: DropReason) -> &mut u64 {
        match reason {
            DropReason::QueueFull => &mut self.queue_full,
            DropReason::TooLarge => &mut self.too_large,
            DropReason::NotRetryable => &mut self.not_retryable,
            DropReason::Shutdown => &mut self.shutdown,
        }
    }
}

/// The account at one moment. Its [`fmt::Display`] is the line that ends a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountSnapshot {
    /// Spans taken in.
    pub accepted: u64,
    /// Spans that a destination took.
    pub exported: u64,
    /// Spans that a destination refused while it took others beside them.
    pub rejected: u64,
    /// Spans given up.
    pub dropped: Dropped,
    /// Spans that wait, or are on their way.
    pub pending: u64,
    /// What took the exported ones, if that is not a collector: `terminal`.
    pub label: Option<&'static str>,
}

impl AccountSnapshot {
    /// Whether every accepted span is in exactly one column. True at every moment.
    pub const fn balances(&self) -> bool {
        self.accepted == self.settled() + self.pending
    }

    /// Spans that have left, one way or another.
    pub const fn settled(&self) -> u64 {
        self.exported + self.rejected + self.dropped.total()
    }
}

impl std::ops::AddAssign for AccountSnapshot {
    /// Column by column; both sides balance, and so does the sum.
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.exported += other.exported;
        self.rejected += other.rejected;
        self.pending += other.pending;
        for reason in DropReason::ALL {
            *self.dropped.column(reason) += other.dropped.of(reason);
        }
    }
}

impl fmt::Display for AccountSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "spans accepted {} = exported {}",
            self.accepted, self.exported
        )?;
        if let Some(label) = self.label {
            write!(f, " ({label})")?;
        }
        let dropped = self.dropped.total();
        write!(f, " + rejected {} + dropped {dropped}", self.rejected)?;
        if dropped > 0 {
            let mut separator = " (";
            for reason in DropReason::ALL {
                let spans = self.dropped.of(reason);
                if spans > 0 {
                    write!(f, "{separator}{} {spans}", reason.name())?;
                    separator = ", ";
                }
            }
            f.write_str(")")?;
        }
        write!(f, " + pending {}", self.pending)
    }
}

/// The account of one destination.
#[derive(Debug, Default)]
pub struct Account(Mutex<AccountSnapshot>);

impl Account {
    /// An empty account of a collector.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty account of something else, named in brackets behind `exported`.
    pub fn labelled(label: &'static str) -> Self {
        Self(Mutex::new(AccountSnapshot {
            label: Some(label),
            ..AccountSnapshot::default()
        }))
    }

    /// All columns as they stand at one moment.
    pub fn snapshot(&self) -> AccountSnapshot {
        *self.columns()
    }

    /// Spans that were taken in and have arrived at once, as on a terminal.
    pub fn accept_exported(&self, spans: u64) {
        let mut columns = self.columns();
        columns.accepted += spans;
        columns.exported += spans;
    }

    /// Takes spans in: as pending if `pending_max` has room for all of them, else as dropped.
    /// Whether they are pending, and so have to be settled.
    pub(super) fn accept(&self, spans: u64, pending_max: u64) -> bool {
        let mut columns = self.columns();
        columns.accepted += spans;
        let has_room = columns.pending.saturating_add(spans) <= pending_max;
        if has_room {
            columns.pending += spans;
        } else {
            columns.dropped.queue_full += spans;
        }
        has_room
    }

    /// Pending spans that the collector answered: all but `rejected` were exported.
    pub(super) fn settle_answered(&self, spans: u64, rejected: u64) {
        let mut columns = self.columns();
        let spans = columns.leave(spans);
        // A collector may claim more than it was sent; the account does not follow it.
        let rejected = rejected.min(spans);
        columns.rejected += rejected;
        columns.exported += spans - rejected;
    }

    /// Pending spans that are given up.
    pub(super) fn settle_dropped(&self, spans: u64, reason: DropReason) {
        let mut columns = self.columns();
        let spans = columns.leave(spans);
        *columns.dropped.column(reason) += spans;
    }

    fn columns(&self) -> MutexGuard<'_, AccountSnapshot> {
        // Every change under the lock is complete, so a poisoned account is still right.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccountSnapshot {
    /// Takes spans out of `pending`, and no more than are there.
    fn leave(&mut self, spans: u64) -> u64 {
        debug_assert!(spans <= self.pending, "a span was settled twice");
        let spans = spans.min(self.pending);
        self.pending -= spans;
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(account: &Account, line: &str) {
        let snapshot = account.snapshot();
        assert!(snapshot.balances(), "{snapshot:?}");
        assert_eq!(snapshot.to_string(), line);
    }

    #[test]
    fn the_line_names_the_label_and_the_reasons_only_where_there_are_any() {
        check(
            &Account::new(),
            "spans accepted 0 = exported 0 + rejected 0 + dropped 0 + pending 0",
        );

        let terminal = Account::labelled("terminal");
        terminal.accept_exported(1284);
        check(
            &terminal,
            "spans accepted 1284 = exported 1284 (terminal) + rejected 0 + dropped 0 + pending 0",
        );

        let collector = Account::new();
        assert!(collector.accept(10, 10));
        collector.settle_answered(4, 1);
        collector.settle_dropped(2, DropReason::QueueFull);
        collector.settle_dropped(1, DropReason::Shutdown);
        check(
            &collector,
            "spans accepted 10 = exported 3 + rejected 1 + dropped 3 (queue_full 2, shutdown 1) \
             + pending 3",
        );
    }

    #[test]
    fn a_collector_that_claims_to_reject_more_than_it_got_cannot_unbalance_the_account() {
        let account = Account::new();
        account.accept(3, 10);

        account.settle_answered(3, u64::MAX);

        let snapshot = account.snapshot();
        assert!(snapshot.balances());
        assert_eq!((snapshot.exported, snapshot.rejected), (0, 3));
    }

    #[test]
    fn spans_beyond_the_bound_are_dropped_together_and_counted() {
        let account = Account::new();
        account.accept(2, 3);

        assert!(!account.accept(2, 3));

        check(
            &account,
            "spans accepted 4 = exported 0 + rejected 0 + dropped 2 (queue_full 2) + pending 2",
        );
    }

    #[test]
    fn every_reason_has_its_own_column_and_name() {
        let account = Account::new();
        account.accept(10, 10);
        for (spans, reason) in (1..).zip(DropReason::ALL) {
            account.settle_dropped(spans, reason);
        }

        let dropped = account.snapshot().dropped;

        let seen: Vec<_> = DropReason::ALL
            .map(|reason| (reason.name(), dropped.of(reason)))
            .into();
        assert_eq!(
            seen,
            [
                ("queue_full", 1),
                ("too_large", 2),
                ("not_retryable", 3),
                ("shutdown", 4)
            ]
        );
        assert_eq!(dropped.total(), 10);
    }
}
