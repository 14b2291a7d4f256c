//! What came of the last reload, for whoever looks at `/config` because the file in force is not
//! the file on disk.

use crate::clock::{self, Timestamp};
use crate::telemetry::metrics::ReloadOutcome;
use crate::telemetry::rfc3339;
use arc_swap::ArcSwapOption;
use std::fmt::Write;
use std::sync::Arc;

/// Told by whoever reloads, shown to whoever asks.
#[derive(Clone, Default)]
pub struct LastReload(Arc<ArcSwapOption<Reload>>);

struct Reload {
    at: Timestamp,
    outcome: ReloadOutcome,
    report: String,
}

impl LastReload {
    /// A reload has ended now. `report` is what there is to say of it, its secrets hidden: the
    /// diagnostics of a document, or why it cannot be put in force.
    pub fn tell(&self, outcome: ReloadOutcome, report: String) {
        let at = clock::wall();
        self.0.store(Some(Arc::new(Reload {
            at,
            outcome,
            report,
        })));
    }

    /// As comments of YAML, so that the page stays a configuration. Nothing before the first.
    pub(super) fn comment(&self) -> String {
        let last = self.0.load();
        let Some(Reload {
            at,
            outcome,
            report,
        }) = last.as_deref()
        else {
            return String::new();
        };
        let meaning = match outcome {
            ReloadOutcome::Applied => "applied; this is what is in force",
            ReloadOutcome::Refused => "refused; what follows below is still in force",
            ReloadOutcome::Failed => "failed; what follows below is still in force",
        };
        let mut page = format!("# Last reload at {}: {meaning}.\n", rfc3339(*at));
        for line in report.lines() {
            // A carriage return would end the comment for some readers of YAML.
            let line = line.trim_end().replace('\r', " ");
            let space = if line.is_empty() { "" } else { " " };
            // Writing to a string cannot fail.
            writeln!(page, "#{space}{line}").unwrap_or_default();
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_report_says_it_stays_a_comment() {
        let last = LastReload::default();
        assert_eq!(last.comment(), "");

        last.tell(
            ReloadOutcome::Refused,
            "error: no\n --> a.yaml:1:1\n\n  | x\rroutes: []\n".into(),
        );

        let page = last.comment();
        let (first, report) = page.split_once('\n').unwrap();
        assert!(first.starts_with("# Last reload at 2"), "{first}");
        assert!(
            first.ends_with(": refused; what follows below is still in force."),
            "{first}"
        );
        assert_eq!(
            report,
            "# error: no\n#  --> a.yaml:1:1\n#\n#   | x routes: []\n"
        );

        last.tell(ReloadOutcome::Applied, String::new());
        assert_eq!(last.comment().lines().count(), 1);
    }
}
