//! `edgespan verify`: whether headers survive the way to what stands behind.

mod asked;
mod changes;
mod json;
mod progress;
#[cfg(test)]
mod tests;
mod text;
mod xml;

pub(super) use json::schema;

use super::failure::{ExitStatus, Failure};
use super::runtime::runtime;
use super::trust::TrustArgs;
use super::{Console, answer};
use crate::clock;
use crate::verify::obstacle::Obstacle;
use crate::verify::report::{Ending, Report};
use crate::verify::run::Run;
use std::path::PathBuf;
use std::time::Duration;

/// What `verify` is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// The public address
    #[arg(value_name = "URL")]
    pub url: String,
    /// Secret of the edgespan behind
    ///
    /// Without it EDGESPAN_VERIFY_SECRET has the secret itself.
    #[arg(long, value_name = "FILE")]
    pub secret: Option<PathBuf>,
    /// A header to send and look for
    ///
    /// May be given more than once. Credentials, such as a service token, are only sent.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Only these checks or ways
    ///
    /// Checks: traceparent, tracestate, baggage, b3, x-b3, a header of -H. Ways: http/1.1, http/2,
    /// websocket, redirect.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub only: Vec<String>,
    /// A change that is right, such as b3=lost
    ///
    /// NAME=BYTES for what may be cut after so many, NAME=VERDICT for one verdict, NAME for any.
    #[arg(long, value_name = "CHANGE", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// How often each request is sent
    ///
    /// Finds the way that breaks one time in ten.
    #[arg(long, value_name = "N", default_value = "1", hide_default_value = true)]
    pub repeat: usize,
    /// Only this HTTP: 1.1 or 2
    #[arg(long, value_name = "VERSION", hide_short_help = true)]
    pub http: Option<String>,
    /// A service behind echoes: json, lines, body
    ///
    /// For where no edgespan stands behind: the body of the answer has the headers, as JSON, as
    /// lines, or as either.
    #[arg(long, value_name = "FORM", conflicts_with = "secret")]
    pub echo: Option<String>,
    /// No edgespan behind, but a service that echoes each header in one of the answer, such as
    /// `x-seen-*`
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["secret", "echo"], hide_short_help = true)]
    pub echo_header: Option<String>,
    /// Whose certificates are believed.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// How long each request may take [default: 10s]
    #[arg(long, value_name = "TIME", hide_short_help = true)]
    pub timeout: Option<String>,
    /// Keep checking, tell what changes
    #[arg(long, value_name = "TIME", conflicts_with = "junit")]
    pub every: Option<String>,
    /// Print the report as JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Write the report as JUnit's XML, too
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub junit: Option<PathBuf>,
    /// Show no progress
    #[arg(long, short, help_heading = "Output", hide_short_help = true)]
    pub quiet: bool,
}

/// Verifies; the report goes to stdout.
///
/// # Errors
/// [`Failure`]: wrong usage, nobody answers, or a header that does not survive.
pub fn run(args: &VerifyArgs, console: &Console) -> Result<(), Failure> {
    let asked = asked::run_of(args, &super::style::process_variable)?;
    let every = args.every.as_deref().map(asked::every).transpose()?;
    let runtime = runtime()?;
    runtime.block_on(async {
        match every {
            Some(every) => again(&asked, every, args, console).await,
            None => once(&asked, args, console).await,
        }
    })
}

async fn once(run: &Run, args: &VerifyArgs, console: &Console) -> Result<(), Failure> {
    let report = progress::shown(run, args, console).await;
    if let Some(file) = &args.junit {
        let suite = xml::suite(&report);
        suite.write(file).map_err(|error| {
            let message = format!("cannot write {}", file.display());
            Failure::new(ExitStatus::Failed, message).because(error)
        })?;
    }
    told(&report, args, console)?;
    ended(&report, args)
}

/// Checks again and again until it is stopped. The first report is whole, later ones are lines of
/// what changed; as JSON, one document a line whenever something changed.
async fn again(
    run: &Run,
    every: Duration,
    args: &VerifyArgs,
    console: &Console,
) -> Result<(), Failure> {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before: Option<changes::State> = None;
    let mut stopped = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let report = tokio::select! {
            report = async { ticks.tick().await; run.run().await } => report,
            _ = &mut stopped => break,
        };
        let state = changes::State::of(&report);
        match &before {
            None if args.json => answer(&json::line(&report))?,
            None => answer(&text::render(&report, &console.stdout))?,
            Some(before) => {
                let lines = before.changes_to(&state);
                if args.json && !lines.is_empty() {
                    answer(&json::line(&report))?;
                } else {
                    let at = changes::clock_time(clock::wall());
                    for line in lines {
                        answer(&format!("{at} {}\n", super::escape::shown(&line)))?;
                    }
                }
            }
        }
        before = Some(state);
    }
    match before.map(|state| state.ending) {
        Some(Ending::Survives) | None => Ok(()),
        Some(Ending::Unreachable) => Err(Failure::told(ExitStatus::Unreachable)),
        Some(Ending::Changed | Ending::NoAccount) => Err(Failure::told(ExitStatus::Failed)),
    }
}

fn told(report: &Report, args: &VerifyArgs, console: &Console) -> Result<(), Failure> {
    if args.json {
        return answer(&format!("{:#}\n", json::render(report)));
    }
    if report.ending() == Ending::Unreachable {
        return Ok(());
    }
    answer(&text::render(report, &console.stdout))
}

fn ended(report: &Report, args: &VerifyArgs) -> Result<(), Failure> {
    match report.ending() {
        Ending::Survives => Ok(()),
        Ending::Changed | Ending::NoAccount => Err(Failure::told(ExitStatus::Failed)),
        Ending::Unreachable if args.json => Err(Failure::told(ExitStatus::Unreachable)),
        Ending::Unreachable => {
            let blocked = report.obstacles.iter().find(|blocked| blocked.fails);
            let obstacle = blocked.map(|blocked| &blocked.obstacle);
            let message = obstacle.map(ToString::to_string).unwrap_or_default();
            let help = obstacle.map(Obstacle::what_to_do).unwrap_or_default();
            Err(Failure::new(ExitStatus::Unreachable, message).help(help))
        }
    }
}
