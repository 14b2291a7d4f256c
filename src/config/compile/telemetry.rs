//! Where edgespan's own metrics and logs go: off unless the file or a variable asks for it.
//!
//! An endpoint for all signals does not ask: it was set for spans long before there was this.

use super::{Compiler, export};
use crate::config::decode::Spanned;
use crate::config::otel_env::{OtelVariables, SignalVariables};
use crate::config::plan::TelemetryPlan;
use crate::config::raw;
use crate::export::{OtlpSettings, Signal};
use std::time::Duration;

/// From one reading of the metrics to the next (metrics SDK specification).
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) fn compile(
    written: &raw::Telemetry,
    variables: &OtelVariables,
    compiler: &mut Compiler<'_>,
) -> TelemetryPlan {
    let (metrics, logs) = (&written.metrics, &written.logs);
    let interval = compiler.duration_or(metrics.interval.as_ref(), INTERVAL);
    let interval = variables.metric_interval.unwrap_or(interval);
    let metrics = one(Signal::Metrics, &metrics.otlp, &variables.metrics, compiler);
    let logs = one(Signal::Logs, &logs.otlp, &variables.logs, compiler);
    if variables.disabled {
        return TelemetryPlan::default();
    }
    TelemetryPlan {
        metrics: metrics.map(|otlp| (otlp, interval)),
        logs,
    }
}

fn one(
    signal: Signal,
    written: &Option<Spanned<raw::Otlp>>,
    variables: &SignalVariables,
    compiler: &mut Compiler<'_>,
) -> Option<OtlpSettings> {
    let in_file = written
        .as_ref()
        .and_then(|otlp| export::one(signal, otlp, compiler));
    let asked = variables
        .over_otlp
        .unwrap_or(written.is_some() || variables.otlp.names_own_endpoint());
    if !asked {
        return None;
    }
    let mut settings = match in_file {
        Some(mut settings) => {
            variables.otlp.apply(&mut settings);
            settings
        }
        // What is wrong with the one in the file was told.
        None if written.is_some() => return None,
        None => variables.otlp.alone(compiler.findings)?,
    };
    variables.batch.apply(&mut settings.batch);
    Some(settings)
}
