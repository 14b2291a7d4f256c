//! The report for CI: a case for each step.

use super::Ran;
use crate::cli::junit::{Case, Outcome, Suite};
use crate::probe::{End, Failed, StepOutcome};

/// One suite.
pub(super) fn suite(ran: &Ran<'_>) -> Suite {
    let cases = ran.outcome.steps.iter().map(|step| Case {
        group: format!("probe.{}", ran.plan.name),
        name: step.name.clone(),
        took: step.took,
        outcome: outcome(step, &ran.file),
    });
    Suite {
        name: format!("edgespan probe {}", ran.plan.name),
        took: ran.outcome.took,
        cases: cases.collect(),
    }
}

fn outcome(step: &StepOutcome, file: &str) -> Outcome {
    match &step.end {
        End::Held => Outcome::Passed,
        End::Skipped => Outcome::Skipped {
            reason: "a step before had failed".to_owned(),
        },
        End::Unanswered { why, .. } => Outcome::Failed {
            message: why.clone(),
            details: details(&[], step, file),
        },
        End::Failed(failed) => Outcome::Failed {
            message: failed.first().map_or_else(String::new, |first| {
                format!(
                    "{}: expected {}, got {}",
                    first.what, first.expected, first.got
                )
            }),
            details: details(failed, step, file),
        },
    }
}

fn details(failed: &[Failed], step: &StepOutcome, file: &str) -> String {
    let mut lines: Vec<String> = failed
        .iter()
        .map(|one| {
            let (line, column) = (one.place.line, one.place.column);
            format!(
                "{file}:{line}:{column}: {}: expected {}, got {}",
                one.what, one.expected, one.got
            )
        })
        .collect();
    let url = step.url.as_deref().unwrap_or("-");
    lines.push(format!("request  {} {url}", step.method));
    if let Some(trace) = &step.trace {
        lines.push(format!("trace    {trace}"));
    }
    lines.join("\n")
}
