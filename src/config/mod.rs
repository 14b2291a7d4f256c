//! From a document to a plan that cannot be wrong.
//!
//! Three passes, each complete, so that one reading of a file tells everything that is wrong with
//! it: *syntax* (`tree`, then `substitute`), *shape* (`shape`, against the schema of the `raw`
//! types) and *meaning* (`compile`). Only `app` makes live things of the plan.

mod compile;
mod decode;
mod diagnostic;
mod document;
mod env;
mod load;
mod otel_env;
mod otlp_env;
mod places;
mod plan;
mod probe_file;
mod raw;
mod run_to;
mod scalar;
mod schema;
mod shape;
mod substitute;
mod suggest;
mod tree;
mod watch;

#[cfg(test)]
mod tests;

pub use crate::secret::Secret;
pub use compile::Overrides;
pub use diagnostic::{Code, Diagnostic, Look, Report, Severity, report_schema};
pub use document::{errors_markdown, reference_markdown};
pub use env::Environment;
pub use load::{Loaded, Refused, compile_text, load};
pub use places::Places;
pub use plan::{DrainPlan, Plan, StorePlan, TelemetryPlan, TerminalExport, TracingPlan};
pub use probe_file::{LoadedProbe, load_probe};
pub use run_to::run_to;
pub use schema::{probe_schema, schema};
pub use watch::{Fingerprint, ReadFiles, Watch};

/// A duration of the command line, as the configuration writes it: `250ms`, `1.5s`, `2m`, `1h`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    scalar::duration(text).map_err(|misread| match misread.label {
        Some(label) => format!("{}: {label}", misread.message),
        None => misread.message,
    })
}
