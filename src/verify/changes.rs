//! What changed from one run to the next.

use super::report::{Ending, Report};
use super::verdict::Verdict;
use super::way::Column;
use std::collections::BTreeMap;

/// What is remembered of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How it ended.
    pub ending: Ending,
    /// By check and column: what came of it, and whether that is right.
    cells: BTreeMap<(String, Column), (String, bool)>,
    /// Reasons why there was no account.
    obstacles: Vec<String>,
}

impl State {
    /// Of a run.
    pub fn of(report: &Report) -> Self {
        let mut cells = BTreeMap::new();
        for row in &report.rows {
            for column in &report.columns {
                let cell = row.cell(*column);
                // A way without an account says nothing of headers.
                if let Some(worst) = cell.worst {
                    let told = (told(worst), cell.failed == 0);
                    cells.insert((row.check.label.clone(), *column), told);
                }
            }
        }
        let failing = report.obstacles.iter().filter(|blocked| blocked.fails);
        let mut obstacles: Vec<String> = failing.map(|one| one.obstacle.to_string()).collect();
        obstacles.sort();
        Self {
            ending: report.ending(),
            cells,
            obstacles,
        }
    }

    /// A line for each thing that is not as it was: `baggage 8 KiB over HTTP/2: intact, now
    /// CHANGED (cut after 4096 bytes)`.
    pub fn changes_to(&self, now: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (place, (is, right)) in &now.cells {
            let was = self.cells.get(place).map(|(was, _)| was.as_str());
            if was != Some(is.as_str()) {
                let ((label, column), was) = (place, was.unwrap_or("not known"));
                let sign = if *right { "" } else { "; it does not survive" };
                lines.push(format!(
                    "{label} over {}: {was}, now {is}{sign}",
                    column.name()
                ));
            }
        }
        for gone in self
            .obstacles
            .iter()
            .filter(|one| !now.obstacles.contains(one))
        {
            lines.push(format!("no longer: {gone}"));
        }
        for new in now
            .obstacles
            .iter()
            .filter(|one| !self.obstacles.contains(one))
        {
            lines.push(format!("no account: {new}"));
        }
        lines
    }

    /// A line for each thing that is not right, as a first run tells it.
    pub fn wrong(&self) -> Vec<String> {
        let cells = self.cells.iter().filter(|(_, (_, right))| !right);
        let cells = cells.map(|((label, column), (is, _))| {
            format!("{label} over {}: {is}; it does not survive", column.name())
        });
        let obstacles = self
            .obstacles
            .iter()
            .map(|one| format!("no account: {one}"));
        cells.chain(obstacles).collect()
    }
}

fn told(verdict: &Verdict) -> String {
    if let Verdict::Changed(change) = verdict {
        format!("changed ({})", change.how)
    } else if let Verdict::Refused(Some(status)) = verdict {
        format!("refused ({status})")
    } else {
        verdict.word().to_owned()
    }
}
