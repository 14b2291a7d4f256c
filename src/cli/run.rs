//! `edgespan run` and `edgespan demo`: from what was typed to a running proxy and back.

use super::Console;
use super::args::{DemoArgs, RunArgs};
use super::failure::{ExitStatus, Failure};

/// Runs until told to stop.
///
/// # Errors
/// What kept it from starting, or from ending well.
pub fn run(_args: &RunArgs, _console: &Console) -> Result<(), Failure> {
    Err(Failure::new(ExitStatus::Failed, "this build has no proxy"))
}

/// Runs the demo until told to stop.
///
/// # Errors
/// What kept it from starting, or from ending well.
pub fn demo(_args: &DemoArgs, _console: &Console) -> Result<(), Failure> {
    Err(Failure::new(ExitStatus::Failed, "this build has no proxy"))
}
