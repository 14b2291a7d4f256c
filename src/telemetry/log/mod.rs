//! edgespan's own log on stderr: faults and changes, never requests (those have the access log).
//!
//! A `tracing` layer. Human form on a terminal
//! (`14:07:02 WARN upstream payout: 3 of 3 endpoints refuse (trace 4bf92f3577b3)`), else one JSON
//! object a line. An event says which request it is about by the fields `trace_id` and `span_id`,
//! and why by `error`, whose whole chain of causes is written. A fault that repeats is written
//! once and then counted (`+412 in 60 s`). Writing may fail; nobody is told, since there is
//! nobody left to tell.

mod capture;
mod event;
mod outlet;
mod repeat;

pub use capture::Captured;
pub use outlet::{LogOutlet, LogRecord, LogSink, LogValue};

use crate::clock::{self, Timestamp};
use event::LogLine;
use repeat::{Repeated, Repeats};
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::time::Instant;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, Registry};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("log filter `{filter}`")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The thread that tells of repetitions cannot be started.
    #[error("start the log's thread")]
    Thread(#[source] io::Error),
    /// There is one already.
    #[error("the log was started before")]
    Started(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Starts the process's log, on `out`. `filter` is `info`, or directives such as
/// `warn,edgespan::export=debug`. `colour` is for the human form only.
///
/// # Errors
/// When the filter is wrong, or when there is a log already.
pub fn init(
    format: LogFormat,
    filter: &str,
    colour: bool,
    out: Box<dyn Write + Send>,
) -> Result<LogGuard, LogError> {
    let log = Log::new(format, colour, out);
    let subscriber = subscriber(&log, filter)?;
    let guard = LogGuard(Arc::clone(&log));
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || log.tell_of_repetitions())
        .map_err(LogError::Thread)?;
    tracing::subscriber::set_global_default(subscriber).map_err(LogError::Started)?;
    Ok(guard)
}

/// Held until the process ends: dropping it writes what was counted and not told yet.
#[must_use = "dropping it ends the counting of repeated faults"]
pub struct LogGuard(Arc<Log>);

impl LogGuard {
    /// Where somebody else can be given the same lines.
    pub fn outlet(&self) -> LogOutlet {
        LogOutlet::of(&self.0)
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// The log: where lines meet.
struct Log {
    format: LogFormat,
    colour: bool,
    out: Mutex<Box<dyn Write + Send>>,
    repeats: Mutex<Pending>,
    /// Who gets the same lines.
    sink: Mutex<Option<Arc<dyn LogSink>>>,
    /// Woken when `repeats` is no longer empty, and at the end.
    changed: Condvar,
}

struct Pending {
    repeats: Repeats<LogLine>,
    finished: bool,
}

fn subscriber(log: &Arc<Log>, filter: &str) -> Result<impl Subscriber + use<>, LogError> {
    let filter = EnvFilter::try_new(filter).map_err(|source| LogError::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    Ok(Registry::default()
        .with(filter)
        .with(LogLayer(Arc::clone(log))))
}

struct LogLayer(Arc<Log>);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.0
            .take(LogLine::of(event), clock::wall(), clock::instant());
    }
}

impl Log {
    fn new(format: LogFormat, colour: bool, out: Box<dyn Write + Send>) -> Arc<Self> {
        Arc::new(Self {
            format,
            colour,
            out: Mutex::new(out),
            repeats: Mutex::new(Pending {
                repeats: Repeats::new(),
                finished: false,
            }),
            sink: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Writes a line, or counts it if it is a fault that was told of just before.
    fn take(&self, line: LogLine, at: Timestamp, now: Instant) {
        if line.level > Level::WARN {
            self.write(&line, at, None);
            return;
        }
        let is_new = {
            let mut pending = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            pending.finished || pending.repeats.is_new(&line.fault(), now, || line.clone())
        };
        if is_new {
            self.changed.notify_one();
            self.write(&line, at, None);
        }
    }

    /// The log's thread: at the end of each fault's window, tells how often it came back.
    fn tell_of_repetitions(&self) {
        let mut pending = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
        while !pending.finished {
            let due = pending.repeats.take_due(clock::instant());
            if due.is_empty() {
                pending = match pending.repeats.next_due() {
                    None => self
                        .changed
                        .wait(pending)
                        .unwrap_or_else(PoisonError::into_inner),
                    Some(when) => {
                        let wait = when.saturating_duration_since(clock::instant());
                        let waited = self.changed.wait_timeout(pending, wait);
                        waited.unwrap_or_else(PoisonError::into_inner).0
                    }
                };
                continue;
            }
            drop(pending);
            self.write_repeated(&due);
            pending = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells of every repetition not told yet, and counts no more.
    fn finish(&self) {
        let due = {
            let mut pending = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            pending.finished = true;
            pending.repeats.take_all(clock::instant())
        };
        self.changed.notify_one();
        self.write_repeated(&due);
    }

    fn write_repeated(&self, due: &[(LogLine, Repeated)]) {
        for (line, repeated) in due {
            self.write(line, clock::wall(), Some(*repeated));
        }
    }

    /// One write a line, so that lines of several processes on one pipe stay whole.
    fn write(&self, line: &LogLine, at: Timestamp, repeated: Option<Repeated>) {
        let mut text = String::with_capacity(256);
        match self.format {
            LogFormat::Human => line.human(&mut text, at, repeated, self.colour),
            LogFormat::Json => line.json(&mut text, at, repeated),
        }
        text.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed stderr is no reason to stop serving.
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .unwrap_or_default();
        drop(out);
        self.hand_on(line, at, repeated);
    }
}

#[cfg(test)]
mod tests;
