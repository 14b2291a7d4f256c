//! What came of a run, for whoever shows it.

use super::allow::{self, Allowance};
use super::check::Check;
use super::hints;
use super::hops::{self, Hop};
use super::obstacle::Obstacle;
use super::send::Reached;
use super::verdict::Verdict;
use super::way::{Column, Way};
use std::time::Duration;

/// Everything that one run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The address that was tried.
    pub url: String,
    /// Requests that were sent.
    pub requests: usize,
    /// How long it took.
    pub took: Duration,
    /// The edgespan that told, if one did.
    pub reached: Option<Reached>,
    /// Whether a service that echoes told, in place of an edgespan.
    pub echoed: bool,
    /// Hops that showed themselves.
    pub hops: Vec<Hop>,
    /// The columns that were tried.
    pub columns: Vec<Column>,
    /// Each check.
    pub rows: Vec<Row>,
    /// Requests without an account, by reason.
    pub obstacles: Vec<Blocked>,
}

/// A reason why there was no account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Why.
    pub obstacle: Obstacle,
    /// On which ways.
    pub ways: Vec<Way>,
    /// How often.
    pub times: usize,
    /// Whether it makes the run fail: HTTP/2 that is not spoken does not, unless asked for.
    pub fails: bool,
}

/// One check, on every way.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was sent.
    pub check: Check,
    /// What came of it, as `(way, verdict, times)`.
    pub verdicts: Vec<(Way, Verdict, usize)>,
    /// Which changes are right.
    pub allowed: Vec<Allowance>,
}

/// One check in one column.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// The worst that came of it; None: there was no account.
    pub worst: Option<&'a Verdict>,
    /// How often it did not survive.
    pub failed: usize,
    /// How often it was tried and an account came back.
    pub tried: usize,
}

/// How the run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything survives.
    Survives,
    /// At least one header does not.
    Changed,
    /// No account could be had on at least one way.
    NoAccount,
    /// Nobody answered at all.
    Unreachable,
}

impl Ending {
    /// The word that metrics and machines have for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Survives => "intact",
            Self::Changed => "changed",
            Self::NoAccount => "no_account",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Report {
    /// How it ends. A header that does not survive says more than a way that is closed.
    pub fn ending(&self) -> Ending {
        let nobody = self.rows.iter().all(|row| row.verdicts.is_empty());
        let failing = || self.obstacles.iter().filter(|blocked| blocked.fails);
        if nobody && failing().next().is_some() {
            let gone = failing().all(|blocked| blocked.obstacle.is_unreachable());
            return if gone {
                Ending::Unreachable
            } else {
                Ending::NoAccount
            };
        }
        if self.rows.iter().any(|row| !row.survives()) {
            Ending::Changed
        } else if nobody || failing().next().is_some() {
            Ending::NoAccount
        } else {
            Ending::Survives
        }
    }

    /// Checks that do not survive.
    pub fn lost(&self) -> usize {
        self.rows.iter().filter(|row| !row.survives()).count()
    }

    /// Where changes probably happen.
    pub fn likely(&self) -> Option<String> {
        hops::likely(&self.hops)
    }

    /// What to do about the worst of a row.
    pub fn what_to_do(&self, row: &Row) -> Option<String> {
        hints::what_to_do(row.check.kind, row.worst()?, &self.hops)
    }

    /// Why a column has no account; None: it has, or was not tried.
    pub fn blocked(&self, column: Column) -> Option<&Blocked> {
        let mut blocked = self.obstacles.iter();
        blocked.find(|blocked| blocked.ways.iter().any(|way| way.column() == column))
    }
}

impl Row {
    /// Whether it survives every time.
    pub fn survives(&self) -> bool {
        self.verdicts
            .iter()
            .all(|(_, verdict, _)| self.is_right(verdict))
    }

    /// Whether something came of it that is not simply intact, and is right all the same.
    pub fn is_allowed(&self) -> bool {
        let changed = |verdict: &Verdict| *verdict != Verdict::Intact;
        self.survives() && self.verdicts.iter().any(|(_, verdict, _)| changed(verdict))
    }

    /// Whether a verdict is right for it.
    pub fn is_right(&self, verdict: &Verdict) -> bool {
        allow::survives(&self.check, verdict, &self.allowed)
    }

    /// The worst that came of it; of equal ones the first. What is not right is worse than what
    /// is.
    pub fn worst(&self) -> Option<&Verdict> {
        self.worst_of(|_| true)
    }

    fn worst_of(&self, is_meant: impl Fn(Way) -> bool) -> Option<&Verdict> {
        let meant = self.verdicts.iter().filter(|(way, ..)| is_meant(*way));
        let badness = |verdict: &Verdict| (!self.is_right(verdict), verdict.severity());
        // Of equal ones `max_by_key` would take the last.
        meant.map(|(_, verdict, _)| verdict).reduce(|worst, next| {
            if badness(next) > badness(worst) {
                next
            } else {
                worst
            }
        })
    }

    /// One column of it.
    pub fn cell(&self, column: Column) -> Cell<'_> {
        let own = self
            .verdicts
            .iter()
            .filter(|(way, ..)| way.column() == column);
        let (mut tried, mut failed) = (0, 0);
        for (_, verdict, times) in own {
            tried += times;
            failed += if self.is_right(verdict) { 0 } else { *times };
        }
        Cell {
            worst: self.worst_of(|way| way.column() == column),
            failed,
            tried,
        }
    }

    /// The ways on which it does not survive, if there are others on which it does.
    pub fn failing_ways(&self) -> Vec<Way> {
        let mut failing = Vec::new();
        let mut whole = true;
        for way in Way::ALL {
            let mut own = self
                .verdicts
                .iter()
                .filter(|(other, ..)| *other == way)
                .peekable();
            if own.peek().is_none() {
                continue;
            }
            if own.all(|(_, verdict, _)| self.is_right(verdict)) {
                whole = false;
            } else {
                failing.push(way);
            }
        }
        if whole { Vec::new() } else { failing }
    }
}
