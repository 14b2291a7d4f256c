//! How reading the configuration anew went.

use super::exposition::{Exposition, Family, Kind};
use super::tally::Tally;
use crate::clock::{self, Timestamp};
use crate::telemetry::rfc3339::unix_seconds;
use std::sync::atomic::{AtomicU64, Ordering};

/// What came of one reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It is in force.
    Applied,
    /// The document is wrong; the last good one stays.
    Refused,
    /// The document is right and cannot be put in force here: an address is taken, say. The last
    /// one stays.
    Failed,
}

impl ReloadOutcome {
    const ALL: [Self; 3] = [Self::Applied, Self::Refused, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

pub(super) struct ReloadMetrics {
    counts: Tally<{ ReloadOutcome::ALL.len() }>,
    last_failed: AtomicU64,
    /// Unix nanoseconds.
    last_success: AtomicU64,
}

impl ReloadMetrics {
    /// The configuration of the start counts as the last success.
    pub(super) fn new() -> Self {
        Self {
            counts: Tally::default(),
            last_failed: AtomicU64::new(0),
            last_success: AtomicU64::new(clock::wall().as_unix_nanos()),
        }
    }

    pub(super) fn count(&self, outcome: ReloadOutcome) {
        self.counts.count(outcome as usize);
        let failed = outcome != ReloadOutcome::Applied;
        self.last_failed.store(u64::from(failed), Ordering::Relaxed);
        if !failed {
            let now = clock::wall().as_unix_nanos();
            self.last_success.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_config_reloads",
            kind: Kind::Counter,
            help: "Times the configuration was read anew, by what came of it.",
        });
        for outcome in ReloadOutcome::ALL {
            let count = self.counts.of(outcome as usize);
            page.sample(&[("outcome", outcome.name())], count);
        }
        page.family(Family {
            name: "edgespan_config_last_reload_success",
            kind: Kind::Gauge,
            help: "1 if the last reload was put in force, or there was none.",
        });
        page.sample(&[], 1 - self.last_failed.load(Ordering::Relaxed).min(1));
        page.family(Family {
            name: "edgespan_config_last_success_timestamp_seconds",
            kind: Kind::Gauge,
            help: "When the configuration in force was put in force, in seconds since the Unix epoch.",
        });
        let at = Timestamp::from_unix_nanos(self.last_success.load(Ordering::Relaxed));
        page.sample(&[], unix_seconds(at));
    }
}
