//! One line on stdout for each request that has ended.
//!
//! Comes last on the path, after the spans. A request never waits for it: a line is copied into
//! a bounded buffer, and a thread writes what has gathered there, many lines a write. Where the
//! reader is too slow, lines are dropped and counted. A closed pipe ends the log in silence.

mod record;

pub use record::AccessRecord;

use crate::telemetry::log::LogFormat;
use crate::telemetry::metrics::Metrics;
use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that may wait for the writer: some ten thousand lines.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long the writer lets lines gather. A write for each line would cost a request more than
/// all the rest of its line.
const GATHER: Duration = Duration::from_millis(20);

/// What a line's thread keeps of its buffer between requests.
const LINE_BYTES_KEPT: usize = 16 * 1024;

/// The access log. Cheap to share; one for the process.
pub struct AccessLog {
    format: LogFormat,
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Where lines wait for the writer.
struct Queue {
    waiting: Mutex<Waiting>,
    /// Woken when the first line comes in, and at the end.
    changed: Condvar,
    /// Woken when the writer has ended.
    ended: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// What waits is still written, nothing more is taken.
    Closing,
    /// The writer has ended; or nobody reads any more.
    Ended,
}

thread_local! {
    /// A line is made here, so that the queue is locked for no longer than a copy.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl AccessLog {
    /// Writes to stdout.
    ///
    /// # Errors
    /// When the writer's thread cannot be started.
    pub fn start(format: LogFormat, metrics: &Arc<Metrics>) -> io::Result<Self> {
        Self::start_with(format, metrics, WAITING_BYTES_MAX, io::stdout())
    }

    /// Writes to `out`; lines beyond `bytes_max` waiting bytes are dropped.
    ///
    /// # Errors
    /// When the writer's thread cannot be started.
    pub fn start_with(
        format: LogFormat,
        metrics: &Arc<Metrics>,
        bytes_max: usize,
        out: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            ended: Condvar::new(),
            bytes_max,
        });
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn({
                let queue = Arc::clone(&queue);
                move || queue.write_to(out)
            })?;
        Ok(Self {
            format,
            queue,
            metrics: Arc::clone(metrics),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Takes one line. Never waits for the writer.
    pub fn write(&self, record: &AccessRecord<'_>) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            match self.format {
                LogFormat::Human => record.human(line),
                LogFormat::Json => record.json(line),
            }
            line.push('\n');
            if !self.queue.push(line.as_bytes()) {
                self.metrics.access_log_dropped();
            }
            line.shrink_to(LINE_BYTES_KEPT);
        });
    }

    /// Takes no more lines and waits, at most this long, until those taken are written.
    /// Returns whether they are.
    pub fn close(&self, deadline: Duration) -> bool {
        let ended = self.queue.close(deadline);
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match writer {
            Some(writer) if ended => writer.join().is_ok(),
            // A reader that takes nothing holds the thread; the process must not be held.
            _ => ended,
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.queue.close(Duration::ZERO);
    }
}

impl Queue {
    /// False if there was no room. Lines after the end are neither written nor missed.
    fn push(&self, line: &[u8]) -> bool {
        let mut waiting = self.lock();
        if waiting.state != State::Open {
            return true;
        }
        if waiting.lines.len() + line.len() > self.bytes_max {
            return false;
        }
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.changed.notify_all();
        }
        true
    }

    /// Whether the writer has ended within the deadline.
    fn close(&self, deadline: Duration) -> bool {
        let mut waiting = self.lock();
        if waiting.state == State::Open {
            waiting.state = State::Closing;
            self.changed.notify_all();
        }
        let (waiting, _) = self
            .ended
            .wait_timeout_while(waiting, deadline, |waiting| waiting.state != State::Ended)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.state == State::Ended
    }

    /// The writer's thread.
    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        while self.take(&mut batch) {
            // Nobody reads any more: that is the reader's right, and nothing to tell of.
            if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
                break;
            }
            batch.clear();
        }
        let mut waiting = self.lock();
        waiting.state = State::Ended;
        waiting.lines = Vec::new();
        drop(waiting);
        self.ended.notify_all();
    }

    /// Swaps the lines that wait into `batch`, which is empty. False at the end.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let is_idle =
            |waiting: &mut Waiting| waiting.lines.is_empty() && waiting.state == State::Open;
        let waiting = self.changed.wait_while(self.lock(), is_idle);
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        // Lines that come in now find the buffer begun, and wake nobody.
        let is_open = |waiting: &mut Waiting| waiting.state == State::Open;
        let (mut waiting, _) = self
            .changed
            .wait_timeout_while(waiting, GATHER, is_open)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.lines, batch);
        !batch.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
