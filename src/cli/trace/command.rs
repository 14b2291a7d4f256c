//! What `edgespan trace` is asked, and who answers.

use super::export::{self, ExportArgs};
use super::find::{self, FindArgs};
use super::show::{self, ShowArgs};
use super::tail::{self, TailArgs};
use super::zone::Zone;
use crate::cli::Console;
use crate::cli::failure::Failure;
use crate::cli::runtime::runtime;
use crate::clock::Timestamp;
use jiff::tz::TimeZone;

/// `edgespan trace`.
#[derive(Clone, Debug, clap::Args)]
pub struct TraceArgs {
    /// What is wanted.
    #[command(subcommand)]
    pub command: TraceCommand,
}

/// What can be wanted of traces.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum TraceCommand {
    /// List traces, newest first
    Find(Box<FindArgs>),
    /// Show one trace over time, its critical path and where time went
    Show(Box<ShowArgs>),
    /// Tell traces as they come
    Tail(Box<TailArgs>),
    /// Write one trace as OTLP
    Export(Box<ExportArgs>),
}

/// How a list is told.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// JSON for machines
    #[arg(long)]
    pub json: bool,
    /// Times in UTC, not in the zone of this machine
    #[arg(long, hide_short_help = true)]
    pub utc: bool,
}

impl OutputArgs {
    /// In whose time is told and read.
    pub(super) fn zone(self, now: Timestamp) -> Zone {
        zone_of(self.utc, now)
    }

    /// The same for moments that were typed.
    pub(super) fn time_zone(self) -> TimeZone {
        if self.utc {
            TimeZone::UTC
        } else {
            TimeZone::system()
        }
    }
}

/// In whose time is told.
pub(super) fn zone_of(utc: bool, now: Timestamp) -> Zone {
    if utc {
        Zone::utc(now)
    } else {
        Zone::local(now)
    }
}

/// Runs it.
///
/// # Errors
/// As a person reads them.
pub fn run(args: &TraceArgs, console: &Console) -> Result<(), Failure> {
    let runtime = runtime()?;
    runtime.block_on(async {
        match &args.command {
            TraceCommand::Find(args) => find::run(args, console).await,
            TraceCommand::Show(args) => show::run(args, console).await,
            TraceCommand::Tail(args) => tail::run(args, console).await,
            TraceCommand::Export(args) => export::run(args, console).await,
        }
    })
}
