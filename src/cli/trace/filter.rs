//! Which traces are wanted, as it is typed.

use super::live;
use super::moment::{Moment, length, moment};
use crate::backend::Query;
use crate::cli::failure::{ExitStatus, Failure};
use crate::clock::Timestamp;
use clap_complete::engine::ArgValueCompleter;
use jiff::tz::TimeZone;
use std::time::Duration;

/// How far back is looked when nothing is said.
const LAST: Duration = Duration::from_secs(3600);

/// Conditions, which hold together.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which traces")]
pub struct FilterArgs {
    /// With a span of this service, or to it
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(live::services))]
    pub service: Option<String>,
    /// Of this route, as `/orders/{id}`
    #[arg(long, value_name = "TEMPLATE", add = ArgValueCompleter::new(live::routes))]
    pub route: Option<String>,
    /// Of this flow
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(live::flows))]
    pub flow: Option<String>,
    /// With this attribute; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub tags: Vec<(String, String)>,
    /// With a span that failed
    #[arg(long)]
    pub error: bool,
    /// That lasted this long at least, as 500ms
    #[arg(long, value_name = "LENGTH", value_parser = length)]
    pub min: Option<Duration>,
    /// That lasted this long at most
    #[arg(long, value_name = "LENGTH", value_parser = length, hide_short_help = true)]
    pub max: Option<Duration>,
    /// In TraceQL instead, of an edgespan or Tempo
    #[arg(
        long,
        value_name = "TRACEQL",
        hide_short_help = true,
        conflicts_with_all = ["service", "route", "flow", "tags", "error", "min", "max"]
    )]
    pub query: Option<String>,
}

/// When they began.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which traces")]
pub struct RangeArgs {
    /// That began within this length before now [default: 1h]
    #[arg(long, value_name = "LENGTH", value_parser = length, conflicts_with_all = ["from", "to"])]
    pub last: Option<Duration>,
    /// That began at this moment or later: 14:00, 2026-11-21T14:00
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub from: Option<Moment>,
    /// That began before this moment [default: now]
    #[arg(long, value_name = "MOMENT", value_parser = moment, hide_short_help = true)]
    pub to: Option<Moment>,
}

/// `key=value`; the value may hold further equals signs.
fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        Some(_) | None => Err("write it as KEY=VALUE".to_owned()),
    }
}

impl FilterArgs {
    /// The query, for a range and a number of traces.
    pub fn query(&self, start: Timestamp, end: Timestamp, limit: usize) -> Query {
        Query {
            service: self.service.clone(),
            route: self.route.clone(),
            flow: self.flow.clone(),
            tags: self.tags.clone(),
            error: self.error,
            min: self.min,
            max: self.max,
            traceql: self.query.clone(),
            start,
            end,
            limit,
        }
    }
}

impl RangeArgs {
    /// From when to when, for somebody in `zone` at `now`. A range that ends now ends a little
    /// later: clocks of services differ, and what is newest is wanted most.
    ///
    /// # Errors
    /// If it ends before it begins.
    pub fn range(
        &self,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<(Timestamp, Timestamp), Failure> {
        let at = |moment: Moment| moment.at(zone, now).unwrap_or_default();
        let end = self
            .to
            .map_or_else(|| now.plus(Duration::from_secs(60)), at);
        let back = |from: Timestamp, length: Duration| {
            let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
            Timestamp::from_unix_nanos(from.as_unix_nanos().saturating_sub(nanos))
        };
        let before = if self.to.is_some() { end } else { now };
        let start = self
            .from
            .map_or_else(|| back(before, self.last.unwrap_or(LAST)), at);
        if start >= end {
            return Err(
                Failure::new(ExitStatus::Usage, "the range ends before it begins")
                    .help("`--from` is the earlier moment, `--to` the later one"),
            );
        }
        Ok((start, end))
    }

    /// Whether it ends now, whenever that is.
    pub const fn ends_now(&self) -> bool {
        self.to.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_last_hour_unless_said_otherwise() {
        let now = Timestamp::from_unix_nanos(10_000_000_000_000);
        let seconds = |range: RangeArgs| {
            let (start, end) = range.range(&TimeZone::UTC, now).unwrap();
            (
                start.as_unix_nanos() / 1_000_000_000,
                end.as_unix_nanos() / 1_000_000_000,
            )
        };
        assert_eq!(seconds(RangeArgs::default()), (6_400, 10_060));
        let from = Some(moment("1970-01-01T01:00:00Z").unwrap());
        let to = Some(moment("1970-01-01T02:00:00Z").unwrap());
        assert_eq!(
            seconds(RangeArgs {
                from,
                ..RangeArgs::default()
            }),
            (3_600, 10_060)
        );
        assert_eq!(
            seconds(RangeArgs {
                to,
                ..RangeArgs::default()
            }),
            (3_600, 7_200)
        );
        let turned = RangeArgs {
            from: to,
            to: from,
            last: None,
        };
        assert!(turned.range(&TimeZone::UTC, now).is_err());
    }

    #[test]
    fn a_tag_is_a_key_and_a_value() {
        assert_eq!(tag("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(tag("a="), Ok(("a".to_owned(), String::new())));
        assert!(tag("a").is_err() && tag("=b").is_err());
    }
}
