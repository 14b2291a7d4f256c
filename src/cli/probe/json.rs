//! The report for machines: `edgespan.probe/1`. Keys stay, new ones may come.

use super::Ran;
use crate::probe::{End, StepOutcome};
use serde_json::{Value, json};
use std::time::Duration;

/// One document.
pub(super) fn render(ran: &Ran<'_>) -> Value {
    let outcome = &ran.outcome;
    let result = if outcome.held() {
        "held"
    } else if outcome.is_unreachable() {
        "unreachable"
    } else {
        "failed"
    };
    json!({
        "schema": "edgespan.probe/1",
        "name": ran.plan.name,
        "file": ran.file,
        "result": result,
        "held": outcome.held(),
        "duration_ms": millis(outcome.took),
        "steps": outcome.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn step(step: &StepOutcome) -> Value {
    let (result, failed, error) = match &step.end {
        End::Held => ("held", &[][..], None),
        End::Failed(failed) => ("failed", failed.as_slice(), None),
        End::Unanswered { why, .. } => ("unanswered", &[][..], Some(why)),
        End::Skipped => ("skipped", &[][..], None),
    };
    json!({
        "name": step.name,
        "line": step.place.line,
        "result": result,
        "method": step.method,
        "url": step.url,
        "status": step.status,
        "duration_ms": millis(step.took),
        "tries": step.tries,
        "trace_id": step.trace,
        "error": error,
        "failed": failed.iter().map(|one| json!({
            "what": one.what,
            "expected": one.expected,
            "got": one.got,
            "line": one.place.line,
            "column": one.place.column,
        })).collect::<Vec<_>>(),
    })
}

/// With microseconds: steps on loopback take less than one.
fn millis(time: Duration) -> f64 {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}
