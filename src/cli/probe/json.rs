//! The report for machines: `edgespan.probe/1`. Keys stay, new ones may come.

use super::Ran;
use crate::probe::{End, StepOutcome};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use std::time::Duration;

/// What came of a run of a probe.
#[derive(Serialize, JsonSchema)]
struct ProbeReport {
    /// `edgespan.probe/1`. Within a version fields are only added.
    schema: &'static str,
    /// The probe's name.
    name: String,
    /// The file it was read from.
    file: String,
    /// `held`, `failed`, or `unreachable`: nobody was there to answer.
    result: &'static str,
    /// Whether every step held.
    held: bool,
    /// From the first step to the last, in milliseconds.
    duration_ms: f64,
    /// Every step, in the order of the file.
    steps: Vec<ReportedStep>,
}

/// What came of a step.
#[derive(Serialize, JsonSchema)]
struct ReportedStep {
    /// Its name.
    name: String,
    /// Where it stands in the file, from 1.
    line: usize,
    /// `held`, `failed`, `unanswered`, or `skipped`: a step before it had failed.
    result: &'static str,
    /// The method of its request.
    method: String,
    /// Where the last request went, without its query; null if none was sent.
    url: Option<String>,
    /// How the last request was answered.
    status: Option<u16>,
    /// How long the last request took, in milliseconds, redirects included.
    duration_ms: f64,
    /// How often it was tried.
    tries: u32,
    /// The trace of the last request, 32 hex digits; null if none was sent.
    trace_id: Option<String>,
    /// Why there was no answer.
    error: Option<String>,
    /// Everything that did not hold.
    failed: Vec<NotHeld>,
}

/// Something that did not hold; secrets in it are masked.
#[derive(Serialize, JsonSchema)]
struct NotHeld {
    /// What was looked at, such as `status` or `header location`.
    what: String,
    /// What was wanted.
    expected: String,
    /// What was there.
    got: String,
    /// Where that stands in the file, from 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
}

/// One document.
pub(super) fn render(ran: &Ran<'_>) -> serde_json::Value {
    let outcome = &ran.outcome;
    let result = if outcome.held() {
        "held"
    } else if outcome.is_unreachable() {
        "unreachable"
    } else {
        "failed"
    };
    let report = ProbeReport {
        schema: "edgespan.probe/1",
        name: ran.plan.name.clone(),
        file: ran.file.clone(),
        result,
        held: outcome.held(),
        duration_ms: millis(outcome.took),
        steps: outcome.steps.iter().map(step).collect(),
    };
    // Texts and numbers alone: this does not fail.
    serde_json::to_value(report).unwrap_or_default()
}

/// JSON Schema of what [`render`] makes.
pub(in crate::cli) fn schema() -> Schema {
    schema_for!(ProbeReport)
}

fn step(step: &StepOutcome) -> ReportedStep {
    let (result, failed, error) = match &step.end {
        End::Held => ("held", &[][..], None),
        End::Failed(failed) => ("failed", failed.as_slice(), None),
        End::Unanswered { why, .. } => ("unanswered", &[][..], Some(why)),
        End::Skipped => ("skipped", &[][..], None),
    };
    let failed = failed.iter().map(|one| NotHeld {
        what: one.what.clone(),
        expected: one.expected.clone(),
        got: one.got.clone(),
        line: one.place.line,
        column: one.place.column,
    });
    ReportedStep {
        name: step.name.clone(),
        line: step.place.line,
        result,
        method: step.method.clone(),
        url: step.url.clone(),
        status: step.status,
        duration_ms: millis(step.took),
        tries: step.tries,
        trace_id: step.trace.clone(),
        error: error.cloned(),
        failed: failed.collect(),
    }
}

/// With microseconds: steps on loopback take less than one.
fn millis(time: Duration) -> f64 {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}
