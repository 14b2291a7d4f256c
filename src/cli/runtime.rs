//! The runtime of a command that asks a few questions and ends: one thread is enough.

use super::failure::{ExitStatus, Failure};
use tokio::runtime::{Builder, Runtime};

/// Makes one.
///
/// # Errors
/// The system gives none.
pub fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| {
        Failure::new(ExitStatus::Failed, "the runtime cannot start").because(error)
    })
}
