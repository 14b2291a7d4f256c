//! One trace by its id, or by as much of the id as makes it the only one; a fresh one is waited
//! for, since spans are on their way for a moment.

use super::source::{SourceArgs, failure};
use super::{Zone, live, waiting, zone};
use crate::backend::Backend;
use crate::cli::Console;
use crate::cli::failure::{ExitStatus, Failure};
use crate::clock;
use clap_complete::engine::ArgValueCompleter;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::sleep;

/// Least of an id that names a trace.
const PREFIX_MIN: usize = 8;
/// Between two questions.
const STEP: Duration = Duration::from_millis(100);
/// The longest between two questions.
const STEP_MAX: Duration = Duration::from_millis(500);
/// Most ids that are listed where several begin alike.
const LISTED_MAX: usize = 10;

/// Which trace, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct OneArgs {
    /// Its id, or 8 or more of its first digits; a whole traceparent will do
    #[arg(value_name = "ID", add = ArgValueCompleter::new(live::ids))]
    pub id: IdOrPrefix,
    /// How long a fresh trace is waited for
    #[arg(long, value_name = "LENGTH", default_value = "3s", value_parser = super::moment::length)]
    #[arg(hide_short_help = true)]
    pub wait: Duration,
    /// Whom to ask.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// A trace id, or how it begins: 8 to 32 digits, lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdOrPrefix(String);

impl FromStr for IdOrPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        // traceparent: version, trace id, parent id, flags.
        let id = match text.split('-').collect::<Vec<_>>()[..] {
            [_, id, _, _] if id.len() == 32 => id,
            _ => text,
        };
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("an id has digits and the letters a to f");
        }
        match id.len() {
            PREFIX_MIN..=32 => Ok(Self(id.to_ascii_lowercase())),
            33.. => Err("an id has 32 digits, this has more"),
            _ => Err("8 digits of an id are the least that names a trace"),
        }
    }
}

impl IdOrPrefix {
    fn whole(&self) -> Option<TraceId> {
        let id = TraceId::from_hex(&self.0).ok();
        id.filter(|id| self.0.len() == 32 && *id != TraceId::INVALID)
    }
}

/// A trace that was found, and where.
pub(super) struct One {
    pub(super) id: TraceId,
    pub(super) groups: Vec<ResourceSpans>,
}

/// Finds it, waiting for it a while.
pub(super) async fn fetch(args: &OneArgs, zone: &Zone, console: &Console) -> Result<One, Failure> {
    let backend = args.source.reach().await?;
    let until = clock::instant() + args.wait;
    let fetching = async {
        let mut step = STEP;
        loop {
            if let Some(one) = look(args, &backend).await? {
                return Ok(Some(one));
            }
            let left = until.saturating_duration_since(clock::instant());
            if left.is_zero() {
                return Ok::<_, Failure>(None);
            }
            sleep(step.min(left)).await;
            step = (step * 2).min(STEP_MAX);
        }
    };
    let line = |elapsed: Duration| format!("waiting for the trace ({} s)", elapsed.as_secs());
    let watched = waiting::is_watched(&console.stderr);
    match waiting::told(watched, line, fetching).await? {
        Some(one) => Ok(one),
        None => Err(missing(args, &backend, zone).await),
    }
}

async fn look(args: &OneArgs, backend: &Backend) -> Result<Option<One>, Failure> {
    let told = |error| failure(&backend.shown(), error);
    let id = match args.id.whole() {
        Some(id) => id,
        None => {
            let ids = backend.ids(&args.id.0, clock::wall()).await.map_err(told)?;
            match ids[..] {
                [] => return Ok(None),
                [id] => id,
                _ => return Err(several(&args.id.0, &ids)),
            }
        }
    };
    let groups = backend.trace(id).await.map_err(told)?;
    Ok(groups.map(|groups| One { id, groups }))
}

fn several(prefix: &str, ids: &[TraceId]) -> Failure {
    let message = format!("{} traces begin with {prefix}", ids.len());
    let failure = Failure::new(ExitStatus::Failed, message);
    let listed = ids.iter().take(LISTED_MAX);
    let failure = listed.fold(failure, |failure, id| failure.help(id.to_string()));
    match ids.len().saturating_sub(LISTED_MAX) {
        0 => failure,
        more => failure.help(format!("and {more} more")),
    }
}

/// Why it may not be there.
async fn missing(args: &OneArgs, backend: &Backend, zone: &Zone) -> Failure {
    let began = backend.began().await.ok().flatten();
    let older = match began {
        Some(began) => {
            let precision = zone.precision([began]);
            let at = zone.short(began, precision);
            let at = match precision {
                zone::Precision::Clock => at.get(..5).unwrap_or(&at),
                zone::Precision::Day | zone::Precision::Year => &at,
            };
            format!("older than the store (begins {at})")
        }
        None => "older than what is kept there".to_owned(),
    };
    let looked = match args.id.whole() {
        Some(_) => String::new(),
        None if backend.kind() == crate::backend::Kind::Edgespan => String::new(),
        None => " among the newest (a whole id finds older ones)".to_owned(),
    };
    let message = format!("no trace {} at {}{looked}", args.id.0, backend.shown());
    Failure::new(ExitStatus::Failed, message).help(format!(
        "it may be not sampled, {older}, or in another backend (--url)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_whole_begun_or_in_a_traceparent() {
        let read = |text: &str| text.parse::<IdOrPrefix>();
        let whole = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{whole}-00f067aa0ba902b7-01");
        assert_eq!(read(whole).unwrap().whole().unwrap().to_string(), whole);
        assert_eq!(read(&parent), read(whole));
        assert_eq!(read(" 4BF92F35 ").unwrap().0, "4bf92f35");
        assert_eq!(read("4bf92f35").unwrap().whole(), None);
        assert_eq!(read(&"0".repeat(32)).unwrap().whole(), None);
        for wrong in [
            "",
            "4bf92f3",
            "4bf92f3x",
            &"a".repeat(33),
            "00-4bf92f35-1-1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_several_traces_each_is_listed_up_to_ten() {
        let ids: Vec<_> = (1..=12_u128)
            .map(|id| TraceId::from_bytes(id.to_be_bytes()))
            .collect();
        let surface = crate::cli::style::Surface::fixed(
            80,
            crate::cli::style::Paint::new(false),
            crate::cli::style::Glyphs::UNICODE,
        );
        let told = several("00000000", &ids).render(&surface);
        assert!(
            told.starts_with("error: 12 traces begin with 00000000\n  help: 0000"),
            "{told}"
        );
        assert!(told.ends_with("  help: and 2 more\n"), "{told}");
        assert_eq!(told.lines().count(), 12);
    }
}
