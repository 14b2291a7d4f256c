//! The report for CI: a case for each header on each way.

use crate::cli::junit::{Case, Outcome, Suite};
use crate::verify::report::{Report, Row};
use crate::verify::verdict::Verdict;
use crate::verify::way::Column;
use std::time::Duration;

/// One suite.
pub(super) fn suite(report: &Report) -> Suite {
    let rows = report.rows.iter();
    let cases = rows.flat_map(|row| {
        let columns = report.columns.iter();
        columns.map(move |column| case(report, row, *column))
    });
    Suite {
        name: format!("edgespan verify {}", report.url),
        took: report.took,
        cases: cases.collect(),
    }
}

fn case(report: &Report, row: &Row, column: Column) -> Case {
    let cell = row.cell(column);
    let outcome = match (cell.worst, report.blocked(column)) {
        (Some(_), _) if cell.failed == 0 => Outcome::Passed,
        (Some(worst), _) => Outcome::Failed {
            message: format!(
                "{}: {worst}, {} of {}",
                row.check.header, cell.failed, cell.tried
            ),
            details: details(report, row, worst),
        },
        (None, Some(blocked)) if blocked.fails => Outcome::Failed {
            message: blocked.obstacle.to_string(),
            details: blocked.obstacle.what_to_do().to_owned(),
        },
        (None, Some(blocked)) => Outcome::Skipped {
            reason: blocked.obstacle.to_string(),
        },
        (None, None) => Outcome::Skipped {
            reason: "not tried".to_owned(),
        },
    };
    Case {
        group: format!("verify.{}", column.name()),
        name: row.check.label.clone(),
        took: Duration::ZERO,
        outcome,
    }
}

fn details(report: &Report, row: &Row, verdict: &Verdict) -> String {
    let mut lines = Vec::new();
    if let Verdict::Changed(change) = verdict {
        lines.push(format!("sent     {}", change.sent));
        lines.push(format!("arrived  {}", change.arrived));
    }
    lines.extend(report.likely().map(|likely| format!("likely   {likely}")));
    lines.extend(
        report
            .what_to_do(row)
            .map(|to_do| format!("do       {to_do}")),
    );
    lines.join("\n")
}
