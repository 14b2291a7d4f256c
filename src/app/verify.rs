//! The configuration's checks of headers, while the proxy runs.

use crate::telemetry::metrics::{HeaderSurvival, Metrics};
use crate::verify::report::Report;
use crate::verify::watch::WatchSettings;
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A check at work. Dropping it ends it.
pub(super) struct Checking {
    settings: WatchSettings,
    _end: DropGuard,
}

/// The checks of a plan: those of `before` whose settings are still the same, and new ones.
pub(super) fn checking(
    wanted: &[WatchSettings],
    mut before: Vec<Checking>,
    metrics: &Arc<Metrics>,
) -> Vec<Checking> {
    let mut kept = Vec::with_capacity(wanted.len());
    for settings in wanted {
        let same = before.iter().position(|one| one.settings == *settings);
        kept.push(match same {
            Some(at) => before.swap_remove(at),
            None => started(settings.clone(), metrics),
        });
    }
    for ended in before {
        metrics.verify_ended(&ended.settings.name);
    }
    kept
}

fn started(settings: WatchSettings, metrics: &Arc<Metrics>) -> Checking {
    let token = CancellationToken::new();
    let (name, metrics) = (Arc::clone(&settings.name), Arc::clone(metrics));
    let watching = settings.clone().watch(move |report| {
        let survivals = survivals(report);
        metrics.verified(&name, report.ending().word(), survivals);
    });
    tokio::spawn(token.clone().run_until_cancelled_owned(watching));
    Checking {
        settings,
        _end: token.drop_guard(),
    }
}

/// What a report knows of each header on each way. What no account came back for is not known.
fn survivals(report: &Report) -> Vec<HeaderSurvival> {
    let mut survivals = Vec::new();
    for row in &report.rows {
        for column in &report.columns {
            let cell = row.cell(*column);
            if cell.worst.is_some() {
                survivals.push(HeaderSurvival {
                    header: row.check.id.clone(),
                    http: column.label(),
                    survives: cell.failed == 0,
                });
            }
        }
    }
    survivals
}
