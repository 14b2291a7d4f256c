//! Whether headers survive the way, as checks of the configuration found last.

use super::exposition::{Exposition, Family, Kind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Checks that are remembered; over reloads more may pass by, and those are not counted.
const CHECKS_MAX: usize = 256;

/// Whether one header survived on one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderSurvival {
    /// The header's check.
    pub header: String,
    /// `1.1`, `2`, `websocket` or `redirect`.
    pub http: &'static str,
    /// Whether it survived each time.
    pub survives: bool,
}

/// The numbers of all checks. A run takes seconds, so a lock is no cost.
#[derive(Default)]
pub(super) struct VerifyMetrics(Mutex<BTreeMap<Arc<str>, Check>>);

#[derive(Default)]
struct Check {
    runs: BTreeMap<&'static str, u64>,
    survivals: Vec<HeaderSurvival>,
}

impl VerifyMetrics {
    /// A run ended. What it could not tell of is not known any more.
    pub(super) fn ran(
        &self,
        check: &Arc<str>,
        result: &'static str,
        survivals: Vec<HeaderSurvival>,
    ) {
        // Every change under the lock is complete.
        let mut checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if checks.len() >= CHECKS_MAX && !checks.contains_key(check) {
            return;
        }
        let known = checks.entry(Arc::clone(check)).or_default();
        *known.runs.entry(result).or_default() += 1;
        known.survivals = survivals;
    }

    /// A check is made no more.
    pub(super) fn ended(&self, check: &str) {
        let mut checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = checks.get_mut(check) {
            known.survivals.clear();
        }
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        page.family(Family {
            name: "edgespan_verify_runs",
            kind: Kind::Counter,
            help: "Runs of each check of headers, by what came of them.",
        });
        for (name, check) in checks.iter() {
            for (result, count) in &check.runs {
                page.sample(&[("check", name), ("result", result)], *count);
            }
        }
        page.family(Family {
            name: "edgespan_verify_header_survives",
            kind: Kind::Gauge,
            help: "1 if a header survived the way at the last run, 0 if it did not.",
        });
        for (name, check) in checks.iter() {
            for one in &check.survivals {
                let labels = [
                    ("check", &**name),
                    ("header", &one.header),
                    ("http", one.http),
                ];
                page.sample(&labels, u64::from(one.survives));
            }
        }
    }
}
