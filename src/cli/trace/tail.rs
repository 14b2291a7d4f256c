//! `edgespan trace tail`: traces as they come.

use super::filter::FilterArgs;
use super::source::{SourceArgs, failure};
use super::{Canvas, json, table, waiting};
use crate::backend::{Backend, BackendError, Found, Kind, Query, Summary, Tailed};
use crate::cli::failure::{ExitStatus, Failure};
use crate::cli::{Console, reader, say};
use crate::clock::{self, Timestamp};
use http::StatusCode;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Write as _};
use std::time::Duration;
use tokio::time::sleep;

/// How long one question to an edgespan waits for an answer.
const WAIT: Duration = Duration::from_secs(10);
/// How often all others are asked, which have no live feed.
const STEP: Duration = Duration::from_secs(2);
/// How far back they are asked: what arrives may have begun a while ago.
const BACK: Duration = Duration::from_secs(60);
/// Most traces of one such question.
const LIMIT: usize = 200;
/// Traces that are remembered so that they are told once; then the oldest are forgotten.
const SEEN_MAX: usize = 10_000;
/// Between two questions to a backend that does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// `edgespan trace tail`.
#[derive(Clone, Debug, clap::Args)]
pub struct TailArgs {
    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// How they are told.
    #[command(flatten)]
    pub output: super::OutputArgs,
    /// Whom to ask.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Tells traces as they come, until Ctrl-C or until nobody reads.
///
/// # Errors
/// If nobody could be asked at the start.
pub(super) async fn run(args: &TailArgs, console: &Console) -> Result<(), Failure> {
    let zone = args.output.zone(clock::wall());
    let canvas = Canvas {
        surface: &console.stdout,
        zone: &zone,
        program: &console.program,
    };
    let backend = args.source.reach().await?;
    if waiting::is_watched(&console.stderr) && !args.output.json {
        let from = backend.shown();
        say(&format!(
            "traces as they come, from {from} (Ctrl-C stops)\n"
        ));
    }
    follow(&backend, &args.filter, None, args.output.json, &canvas).await
}

/// Tells `before`, oldest first, and then what comes. Ctrl-C is the usual end.
pub(super) async fn follow(
    backend: &Backend,
    filter: &FilterArgs,
    before: Option<Found>,
    is_json: bool,
    canvas: &Canvas<'_>,
) -> Result<(), Failure> {
    let mut told = Told::default();
    let tell = |traces: Vec<Summary>, told: &mut Told| {
        let lines = traces
            .iter()
            .filter(|trace| told.is_news(trace))
            .map(|trace| {
                if is_json {
                    json::tail(trace)
                } else {
                    table::line(trace, canvas)
                }
            });
        written(&lines.collect::<String>())
    };
    let following = async {
        if let Some(mut before) = before {
            before.traces.reverse();
            if tell(before.traces, &mut told)? == Reader::Gone {
                return Ok(());
            }
        }
        let mut feed = Feed::new(backend, filter);
        loop {
            let traces = feed.next().await?;
            if tell(traces, &mut told)? == Reader::Gone {
                return Ok(());
            }
        }
    };
    tokio::select! {
        done = following => done,
        () = reader::gone() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Whether anybody reads what is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

fn written(text: &str) -> Result<Reader, Failure> {
    let mut stdout = io::stdout().lock();
    let done = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match done {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => {
            Err(Failure::new(ExitStatus::Failed, "cannot write to standard output").because(error))
        }
    }
}

/// Which traces have been told, and with how many spans: one that has grown is news.
#[derive(Default)]
struct Told {
    spans: HashMap<[u8; 16], Option<u32>>,
    order: VecDeque<[u8; 16]>,
}

impl Told {
    fn is_news(&mut self, trace: &Summary) -> bool {
        let id = trace.id.to_bytes();
        match self.spans.insert(id, trace.spans) {
            Some(before) => before < trace.spans,
            None => {
                self.order.push_back(id);
                if self.order.len() > SEEN_MAX
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.spans.remove(&oldest);
                }
                true
            }
        }
    }
}

/// Where the next traces come from.
struct Feed<'a> {
    backend: &'a Backend,
    filter: &'a FilterArgs,
    after: Option<u64>,
    is_lost: bool,
    is_first: bool,
}

impl<'a> Feed<'a> {
    const fn new(backend: &'a Backend, filter: &'a FilterArgs) -> Self {
        Self {
            backend,
            filter,
            after: None,
            is_lost: false,
            is_first: true,
        }
    }

    /// The next traces, oldest first; perhaps none. A backend that goes away is waited for, and
    /// that is said once.
    async fn next(&mut self) -> Result<Vec<Summary>, Failure> {
        match self.ask().await {
            Ok(traces) => {
                if std::mem::take(&mut self.is_lost) {
                    say(&format!("{} answers again\n", self.backend.shown()));
                }
                Ok(traces)
            }
            // It may restart or be busy; what else it refuses it will refuse again.
            Err(error) if passes(&error) => {
                if !std::mem::replace(&mut self.is_lost, true) {
                    say(&format!("{error}; asking again every second\n"));
                }
                sleep(RETRY).await;
                Ok(Vec::new())
            }
            Err(error) => Err(failure(&self.backend.shown(), error)),
        }
    }

    async fn ask(&mut self) -> Result<Vec<Summary>, BackendError> {
        if self.backend.kind() == Kind::Edgespan {
            let query = self
                .filter
                .query(Timestamp::default(), Timestamp::default(), LIMIT);
            let tailed: Tailed = self.backend.tail(self.after, &query, WAIT).await?;
            self.after = tailed.next;
            if tailed.has_missed {
                say("more traces came than could be told\n");
            }
            return Ok(tailed.traces);
        }
        // The first question has to tell what is there already from what comes.
        if !std::mem::take(&mut self.is_first) {
            sleep(STEP).await;
        }
        let now = clock::wall();
        let back = u64::try_from(BACK.as_nanos()).unwrap_or(u64::MAX);
        let start = Timestamp::from_unix_nanos(now.as_unix_nanos().saturating_sub(back));
        let query: Query = self.filter.query(start, now.plus(BACK), LIMIT);
        let mut found = self.backend.find(&query).await?;
        found.traces.reverse();
        Ok(found.traces)
    }
}

/// Whether the same question may be answered in a moment.
fn passes(error: &BackendError) -> bool {
    let busy = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    matches!(error, BackendError::Ask { .. })
        || error.status().is_some_and(|status| busy.contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TraceId;

    fn trace(id: u128, spans: u32) -> Summary {
        Summary {
            id: TraceId::from_bytes(id.to_be_bytes()),
            root_service: String::new(),
            root_name: String::new(),
            start: 0,
            duration: 0,
            spans: Some(spans),
            is_error: None,
            status: None,
            flow: None,
            path: None,
        }
    }

    #[test]
    fn a_trace_is_told_once_and_again_when_it_has_grown() {
        let mut told = Told::default();
        assert!(told.is_news(&trace(1, 2)));
        assert!(!told.is_news(&trace(1, 2)));
        assert!(told.is_news(&trace(1, 3)));
        assert!(!told.is_news(&trace(1, 2)));
    }

    #[test]
    fn of_traces_that_were_told_the_oldest_are_forgotten() {
        let mut told = Told::default();
        for id in 0..=u128::try_from(SEEN_MAX).unwrap() {
            told.is_news(&trace(id + 1, 1));
        }
        assert_eq!(told.spans.len(), SEEN_MAX);
        assert!(told.is_news(&trace(1, 1)));
        assert!(!told.is_news(&trace(9, 1)));
    }
}
