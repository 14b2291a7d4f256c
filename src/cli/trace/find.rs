//! `edgespan trace find`: which traces there are.

use super::filter::{FilterArgs, RangeArgs};
use super::moment::typed;
use super::source::{SourceArgs, failure};
use super::{Canvas, Zone, json, table, tail, waiting};
use crate::backend::{Backend, Found, Query};
use crate::cli::failure::Failure;
use crate::cli::{Console, answer, escape, say};
use crate::clock::{self, Timestamp};
use std::time::Duration;

/// How far around an empty range is looked for one that is not.
const WIDER: [Duration; 4] = [
    Duration::from_secs(3_600),
    Duration::from_secs(6 * 3_600),
    Duration::from_secs(24 * 3_600),
    Duration::from_secs(7 * 24 * 3_600),
];
/// Of backends that do not hand out the newest first, as many are looked at.
const NEAREST_OF: usize = 20;

/// `edgespan trace find`.
#[derive(Clone, Debug, clap::Args)]
pub struct FindArgs {
    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// From when.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Most traces, the newest
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// Go on with those that come: oldest first, until Ctrl-C
    #[arg(long, short, conflicts_with = "to", hide_short_help = true)]
    pub follow: bool,
    /// How they are told.
    #[command(flatten)]
    pub output: super::OutputArgs,
    /// Whom to ask.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Finds and tells them.
///
/// # Errors
/// If nobody could be asked. That there is none is no error.
pub(super) async fn run(args: &FindArgs, console: &Console) -> Result<(), Failure> {
    let now = clock::wall();
    let zone = args.output.zone(now);
    let (start, end) = args.range.range(&args.output.time_zone(), now)?;
    let query = args.filter.query(start, end, usize::from(args.limit));
    let watched = !args.output.json && waiting::is_watched(&console.stderr);
    let searched = async {
        let backend = args.source.reach().await?;
        let found = backend.find(&query).await;
        let found = found.map_err(|error| failure(&backend.shown(), error))?;
        let nearest = if found.traces.is_empty() && !args.follow {
            nearest(&backend, &query, now).await
        } else {
            None
        };
        Ok::<_, Failure>((backend, found, nearest))
    };
    let shown = args.source.url.shown();
    let line = |elapsed: Duration| {
        format!(
            "searching {} ... {:.1} s (Ctrl-C stops)",
            escape::shown(&shown),
            elapsed.as_secs_f64()
        )
    };
    let (backend, found, nearest) = waiting::told(watched, line, searched).await?;
    let canvas = Canvas {
        surface: &console.stdout,
        zone: &zone,
        program: &console.program,
    };
    if args.follow {
        return tail::follow(
            &backend,
            &args.filter,
            Some(found),
            args.output.json,
            &canvas,
        )
        .await;
    }
    if args.output.json {
        answer(&json::find(&found))?;
    } else {
        answer(&table::draw(&found, &canvas, &backend.shown()))?;
    }
    if found.traces.is_empty() {
        say(&none(args, nearest, &zone, now));
    }
    // A terminal has it below the table.
    if let Some(why) = &found.incomplete
        && (args.output.json || !console.stdout.is_terminal || found.traces.is_empty())
    {
        say(&format!("this may not be all: {}\n", escape::shown(why)));
    }
    Ok(())
}

/// The trace nearest to a range without one: the newest before it, else the oldest after it. A
/// backend that fails here has answered the question itself, so nothing is told.
async fn nearest(backend: &Backend, query: &Query, now: Timestamp) -> Option<Timestamp> {
    let before = query.start.as_unix_nanos();
    for wider in WIDER {
        let back = u64::try_from(wider.as_nanos()).unwrap_or(u64::MAX);
        let asked = Query {
            start: Timestamp::from_unix_nanos(before.saturating_sub(back)),
            end: query.start,
            limit: NEAREST_OF,
            ..query.clone()
        };
        let found = backend.find(&asked).await.ok()?;
        if let Some(newest) = starts(&found).max() {
            return Some(newest);
        }
    }
    if query.end >= now {
        return None;
    }
    let asked = Query {
        start: query.end,
        end: now,
        limit: NEAREST_OF,
        ..query.clone()
    };
    starts(&backend.find(&asked).await.ok()?).min()
}

fn starts(found: &Found) -> impl Iterator<Item = Timestamp> {
    found
        .traces
        .iter()
        .map(|trace| Timestamp::from_unix_nanos(trace.start))
}

/// What is said instead of an empty table.
fn none(args: &FindArgs, nearest: Option<Timestamp>, zone: &Zone, now: Timestamp) -> String {
    let range = match (args.range.last, args.range.from, args.range.to) {
        (_, None, None) => {
            let last = args.range.last.unwrap_or(Duration::from_secs(3600));
            format!("in the last {}", typed(last))
        }
        (_, _, _) => "in that range".to_owned(),
    };
    let Some(nearest) = nearest else {
        return format!("no trace matches {range}, nor in the seven days before\n");
    };
    let at = zone.whole(nearest);
    let how = if args.range.ends_now() {
        // A little more than it is old, so that it is still there when this is typed.
        let old = now.since(nearest).saturating_add(Duration::from_secs(60));
        format!("--last {}", typed(old))
    } else {
        let from = jiff::Timestamp::from_second(
            i64::try_from(nearest.as_unix_nanos() / 1_000_000_000).unwrap_or(0),
        );
        format!("--from {}", from.unwrap_or_default())
    };
    format!("no trace matches {range}; the nearest one began {at}: {how}\n")
}
