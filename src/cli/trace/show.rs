//! `edgespan trace show`: one trace over time.

use super::one::{OneArgs, fetch};
use super::{Canvas, json, svg, waterfall};
use crate::cli::failure::Failure;
use crate::cli::{Console, answer};
use crate::clock;
use crate::view::Trace;

/// `edgespan trace show`.
#[derive(Clone, Debug, clap::Args)]
pub struct ShowArgs {
    /// Which one.
    #[command(flatten)]
    pub one: OneArgs,
    /// One JSON document [edgespan.show/1]
    #[arg(long, help_heading = "Output", group = "form")]
    pub json: bool,
    /// A picture: SVG that stands alone
    #[arg(long, help_heading = "Output", group = "form")]
    pub svg: bool,
    /// OTLP, in its JSON encoding
    #[arg(long, help_heading = "Output", group = "form")]
    pub otlp: bool,
    /// A row for every span, alike siblings, too
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub no_fold: bool,
    /// No rows for the time in which nothing runs
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub no_gaps: bool,
    /// Times in UTC, not in the zone of this machine
    #[arg(long, help_heading = "Output")]
    pub utc: bool,
}

/// Finds the trace and shows it.
pub(super) async fn run(args: &ShowArgs, console: &Console) -> Result<(), Failure> {
    let zone = super::zone_of(args.utc, clock::wall());
    let one = fetch(&args.one, &zone, console).await?;
    if args.otlp {
        return answer(&json::otlp(one.groups));
    }
    let trace = Trace::of_resource_spans(one.id, &one.groups);
    if args.json {
        return answer(&json::show(&trace));
    }
    if args.svg {
        return answer(&svg::draw(&trace, &zone));
    }
    let canvas = Canvas {
        surface: &console.stdout,
        zone: &zone,
        program: &console.program,
    };
    let options = waterfall::Options {
        fold: !args.no_fold,
        gaps: !args.no_gaps,
    };
    answer(&waterfall::draw(&trace, &canvas, options))
}
