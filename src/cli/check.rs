//! `edgespan check`: every problem of a configuration file in one go.

use std::path::PathBuf;

/// What `check` is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Configuration file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
