//! Takes the spans of finished requests and writes them from a thread of its own, so that a slow
//! terminal costs rows and never latency.

use super::super::style::Surface;
use super::pace::Pace;
use super::request::FinishedRequest;
use super::{lines, tree};
use crate::clock;
use crate::trace::sink::{FinishedSpans, SpanSink};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Requests that may wait to be written, and their bytes. One more is dropped and counted.
const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Runs once, after the first spans have been written.
pub type AfterFirst = Box<dyn FnOnce() + Send>;

/// What became of the spans given to the printer. `accepted = exported + dropped` always holds:
/// a span is the terminal's as soon as there was room for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrintedAccount {
    /// Spans given.
    pub accepted: u64,
    /// Spans taken.
    pub exported: u64,
    /// Spans for which there was no room, or no reader any more.
    pub dropped: u64,
}

impl fmt::Display for PrintedAccount {
    /// The same line as of an exporter; nothing pends here, and nobody rejects.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accepted,
            exported,
            dropped,
        } = self;
        write!(
            f,
            "spans accepted {accepted} = exported {exported} (terminal) + rejected 0 \
             + dropped {dropped} + pending 0"
        )
    }
}

/// The terminal as a receiver of spans.
pub struct SpanPrinter {
    shared: Arc<Shared>,
    is_closed: watch::Sender<bool>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something came, or the end did.
    came: Condvar,
    /// The thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<FinishedSpans>,
    waiting_bytes: usize,
    /// Requests without room since the thread last looked.
    overflowed: u64,
    account: PrintedAccount,
    /// Nothing more is written: no reader, or told to finish.
    is_finishing: bool,
    has_ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds this, and counts stay true even if it did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanPrinter {
    /// Starts writing to `out` as `surface` asks for: trees if it is a terminal, else lines.
    /// `service` is the name our own spans go by.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        out: Box<dyn Write + Send>,
        surface: Surface,
        service: Arc<str>,
        after_first: Option<AfterFirst>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (is_closed, _) = watch::channel(false);
        let writer = Writer {
            shared: Arc::clone(&shared),
            is_closed: is_closed.clone(),
            out,
            surface,
            service,
            after_first,
            pace: Pace::new(clock::instant()),
        };
        let thread = std::thread::Builder::new().name("terminal".to_owned());
        thread.spawn(move || writer.run())?;
        Ok(Self { shared, is_closed })
    }

    /// Comes when nobody reads any more: the pipe was closed. The process then ends in silence.
    pub async fn closed(&self) {
        let mut is_closed = self.is_closed.subscribe();
        // We hold the sender, so this ends by the value alone.
        if is_closed.wait_for(|closed| *closed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What became of the spans so far.
    pub fn account(&self) -> PrintedAccount {
        self.shared.lock().account
    }

    /// Writes what waits, for at most `deadline`, and takes nothing more. Blocks: not for a
    /// runtime's thread.
    pub fn finish(&self, deadline: Duration) -> PrintedAccount {
        let mut state = self.shared.lock();
        state.is_finishing = true;
        self.shared.came.notify_all();
        let waited = self
            .shared
            .ended
            .wait_timeout_while(state, deadline, |s| !s.has_ended);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.account
    }
}

impl SpanSink for SpanPrinter {
    fn accept(&self, spans: &FinishedSpans) {
        let count = u64::from(spans.count);
        let bytes = spans.bytes.len();
        let mut state = self.shared.lock();
        state.account.accepted += count;
        let has_room = state.waiting.len() < WAITING_MAX
            && state.waiting_bytes.saturating_add(bytes) <= WAITING_BYTES_MAX;
        if !has_room || state.is_finishing {
            state.account.dropped += count;
            state.overflowed += 1;
            return;
        }
        state.account.exported += count;
        state.waiting_bytes = state.waiting_bytes.saturating_add(bytes);
        state.waiting.push_back(spans.clone());
        if state.waiting.len() == 1 {
            self.shared.came.notify_one();
        }
    }
}

/// The thread's side.
struct Writer {
    shared: Arc<Shared>,
    is_closed: watch::Sender<bool>,
    out: Box<dyn Write + Send>,
    surface: Surface,
    service: Arc<str>,
    after_first: Option<AfterFirst>,
    pace: Pace,
}

/// What the thread woke up for.
struct Woken {
    requests: VecDeque<FinishedSpans>,
    overflowed: u64,
    is_last: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            let woken = self.next();
            let text = self.draw(&woken);
            if !text.is_empty()
                && let Err(error) = self.write(&text)
            {
                self.stop(&error);
                return;
            }
            let has_shown = !woken.requests.is_empty();
            if has_shown && let Some(after_first) = self.after_first.take() {
                after_first();
            }
            if woken.is_last {
                return;
            }
        }
    }

    fn next(&self) -> Woken {
        let patience = self.pace.patience(clock::instant());
        let mut state = self.shared.lock();
        let is_idle = |state: &mut State| state.waiting.is_empty() && !state.is_finishing;
        state = match patience {
            None => {
                let waited = self.shared.came.wait_while(state, is_idle);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
            Some(patience) => {
                let waited = self
                    .shared
                    .came
                    .wait_timeout_while(state, patience, is_idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.waiting_bytes = 0;
        Woken {
            requests: std::mem::take(&mut state.waiting),
            overflowed: std::mem::take(&mut state.overflowed),
            is_last: state.is_finishing,
        }
    }

    fn draw(&mut self, woken: &Woken) -> String {
        let mut text = String::new();
        if !self.surface.is_terminal {
            for request in &woken.requests {
                if let Some(request) = FinishedRequest::read(request, &self.service) {
                    text.push_str(&lines::draw(&request));
                }
            }
            return text;
        }
        let left_out = self.pace.turn(clock::instant());
        self.push_left_out(left_out, &mut text);
        for request in &woken.requests {
            // Decided before it is decoded: under load most are not shown.
            if self.pace.admit()
                && let Some(request) = FinishedRequest::read(request, &self.service)
            {
                text.push_str(&tree::draw(&request, &self.surface));
            }
        }
        self.pace.add_left_out(woken.overflowed);
        if woken.is_last {
            let left_out = self.pace.take_left_out();
            self.push_left_out(left_out, &mut text);
        }
        text
    }

    fn push_left_out(&self, left_out: Option<u64>, text: &mut String) {
        if let Some(left_out) = left_out {
            let ellipsis = self.surface.glyphs.ellipsis;
            text.push_str(&format!("{ellipsis} {left_out} more\n"));
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn stop(&self, error: &io::Error) {
        // From here on spans are counted as dropped.
        self.shared.lock().is_finishing = true;
        if error.kind() == ErrorKind::BrokenPipe {
            self.is_closed.send_replace(true);
        } else {
            tracing::warn!(error = %error, "spans cannot be printed any more");
        }
    }
}

impl Drop for Writer {
    /// On every way out, a panic included, whoever waits for the end is told.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_finishing = true;
        state.has_ended = true;
        self.shared.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;
    use crate::cli::style::{Glyphs, Paint};
    use std::sync::mpsc;

    /// Hands each write to the test.
    struct Paper(mpsc::Sender<String>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0
                .send(text)
                .map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const PATIENCE: Duration = Duration::from_secs(5);

    fn terminal() -> Surface {
        Surface::fixed(80, Paint::new(false), Glyphs::UNICODE)
    }

    fn pipe() -> Surface {
        terminal().piped()
    }

    fn start(surface: Surface) -> (SpanPrinter, mpsc::Receiver<String>) {
        let (sender, paper) = mpsc::channel();
        let out = Box::new(Paper(sender));
        let printer = SpanPrinter::start(out, surface, "edgespan".into(), None).unwrap();
        (printer, paper)
    }

    #[test]
    fn a_finished_request_is_on_the_terminal_at_once() {
        let (printer, paper) = start(terminal());

        let waits = (0..3).map(|_| {
            let given = clock::instant();
            printer.accept(&fixtures::release_failed());
            let tree = paper.recv_timeout(PATIENCE).unwrap();
            assert!(tree.starts_with("POST /api/v1/orders/{order_id}/release  ✗ 502"));
            given.elapsed()
        });

        // A busy machine may be late once.
        assert!(waits.min().unwrap() < Duration::from_millis(100));
    }

    #[test]
    fn a_pipe_gets_every_span_however_many_come() {
        let (printer, paper) = start(pipe());
        for _ in 0..100 {
            printer.accept(&fixtures::release_done());
        }

        let account = printer.finish(PATIENCE);

        let printed: String = paper.try_iter().collect();
        assert_eq!(printed.lines().count(), 200);
        assert_eq!(
            account.to_string(),
            "spans accepted 200 = exported 200 (terminal) + rejected 0 + dropped 0 + pending 0"
        );
    }

    #[test]
    fn a_flood_of_trees_is_thinned_and_the_rest_counted() {
        let (printer, paper) = start(terminal());
        for _ in 0..42 {
            printer.accept(&fixtures::release_done());
        }

        let account = printer.finish(PATIENCE);

        let printed: String = paper.try_iter().collect();
        assert_eq!(printed.matches("SERVER").count(), 5);
        assert!(printed.ends_with("… 37 more\n"), "{printed}");
        assert_eq!(account.exported, 84);
    }

    #[tokio::test]
    async fn a_closed_pipe_ends_the_printing_and_says_so() {
        let (printer, paper) = start(pipe());
        drop(paper);

        printer.accept(&fixtures::release_done());
        printer.closed().await;
        printer.accept(&fixtures::release_done());

        let account = printer.finish(PATIENCE);
        assert_eq!(
            (account.accepted, account.exported, account.dropped),
            (4, 2, 2)
        );
    }

    #[test]
    fn a_terminal_that_does_not_read_costs_rows_and_never_a_wait() {
        /// Stands still until the test lets go.
        struct Stuck(mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.recv().unwrap_or_default();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (let_go, stuck) = mpsc::channel();
        let out = Box::new(Stuck(stuck));
        let printer = SpanPrinter::start(out, pipe(), "edgespan".into(), None).unwrap();

        for _ in 0..WAITING_MAX * 3 {
            printer.accept(&fixtures::release_done());
        }

        let account = printer.finish(Duration::from_millis(20));
        assert!(account.dropped > 0);
        assert_eq!(account.accepted, account.exported + account.dropped);
        drop(let_go);
    }

    #[test]
    fn what_to_try_next_comes_after_the_first_tree() {
        let (sender, paper) = mpsc::channel();
        let next = sender.clone();
        let after: AfterFirst = Box::new(move || next.send("Try".to_owned()).unwrap());
        let out = Box::new(Paper(sender));
        let printer = SpanPrinter::start(out, terminal(), "edgespan".into(), Some(after)).unwrap();

        printer.accept(&fixtures::release_done());
        printer.finish(PATIENCE);

        let printed: Vec<_> = paper.try_iter().collect();
        assert_eq!(printed.len(), 2);
        assert_eq!(printed[1], "Try");
    }
}
