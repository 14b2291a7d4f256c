//! What `run` and `demo` share: a proxy with its printer, until a signal, a drain request or a
//! closed pipe ends it.

use super::failure::{ExitStatus, Failure};
use super::run::{Flags, cannot_start};
use super::terminal::{AfterFirst, SpanPrinter};
use super::{Console, banner, say};
use crate::admin::SpanAccount;
use crate::app::{Options, ReadAccount, Running, Signals, Stop};
use crate::clock;
use crate::config::Plan;
use crate::telemetry::log::{LogFormat, LogOutlet};
use crate::trace::sink::SpanSink;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest wait for a terminal that does not take its last lines.
const PRINT_MAX: Duration = Duration::from_secs(2);

/// How a proxy shows itself.
pub(super) struct Serving {
    pub(super) service: Arc<str>,
    pub(super) prints: bool,
    pub(super) logs_access: bool,
    pub(super) log_form: LogFormat,
    pub(super) after_first: Option<AfterFirst>,
    pub(super) log: Option<LogOutlet>,
}

/// What has to be ended with a proxy.
pub(super) struct Ending {
    printer: Option<Arc<SpanPrinter>>,
    /// Whether the terminal is where spans go.
    terminal_exports: bool,
    cancel: Option<CancellationToken>,
    signals: Signals,
}

impl Serving {
    /// Starts the printer, then the proxy.
    pub(super) async fn start(
        self,
        plan: Plan,
        console: &Console,
        flags: Flags,
    ) -> Result<(Running, Ending), Failure> {
        let printer = if self.prints {
            let surface = console.stdout;
            // Only on one terminal can a tree come upon a line that stderr has begun.
            let out: Box<dyn Write + Send> = if surface.is_terminal && console.stderr.is_terminal {
                Box::new(console.open_line.before(io::stdout()))
            } else {
                Box::new(io::stdout())
            };
            let printer = SpanPrinter::start(out, surface, self.service, self.after_first);
            Some(Arc::new(printer.map_err(|error| {
                Failure::new(ExitStatus::Failed, "the printer cannot start").because(error)
            })?))
        } else {
            None
        };
        let terminal_exports = plan.terminal_exports() && plan.tracing.recording;
        let sinks: Vec<Arc<dyn SpanSink>> = printer
            .iter()
            .map(|one| Arc::clone(one) as Arc<dyn SpanSink>)
            .collect();
        let accounts = printer
            .iter()
            .filter(|_| terminal_exports)
            .map(read_account)
            .collect();
        let access_log = self.logs_access.then_some(self.log_form);
        let options = Options {
            sinks,
            accounts,
            access_log,
            log: self.log,
        };
        // Before anybody is told that it listens: from then on a signal means a drain.
        let signals = Signals::listen().map_err(|error| {
            Failure::new(ExitStatus::Failed, "signals cannot be listened to").because(error)
        })?;
        let running = Running::start(plan, options)
            .await
            .map_err(|error| cannot_start(error, flags))?;
        Ok((
            running,
            Ending {
                printer,
                terminal_exports,
                cancel: None,
                signals,
            },
        ))
    }
}

fn read_account(printer: &Arc<SpanPrinter>) -> ReadAccount {
    let printer = Arc::clone(printer);
    Arc::new(move || {
        let account = printer.account();
        SpanAccount {
            exporter: "terminal".into(),
            accepted: account.accepted,
            exported: account.exported,
            dropped: vec![("queue_full", account.dropped)],
            ..SpanAccount::default()
        }
    })
}

impl Ending {
    /// Cancels this when the end begins.
    pub(super) fn also_cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }
}

/// Serves until told to stop, then drains and settles the account. `tells` says whether a person
/// reads along.
pub(super) async fn until_stopped(
    running: Running,
    ending: Ending,
    tells: bool,
    console: &Console,
) -> Result<(), Failure> {
    let mut signals = ending.signals;
    let closed = async {
        match &ending.printer {
            Some(printer) => printer.closed().await,
            None => std::future::pending().await,
        }
    };
    let drain_asked = Arc::clone(&running.drain_asked);
    let has_reader = tokio::select! {
        _ = signals.next() => true,
        () = drain_asked.notified() => true,
        // Whoever read has seen enough: a closed pipe ends in silence.
        () = closed => false,
    };
    if let Some(token) = &ending.cancel {
        token.cancel();
    }
    let tells = tells && has_reader;
    let requests = u64::try_from(running.requests()).unwrap_or(u64::MAX);
    let (limit, began) = (running.drain_max(), clock::instant());
    if tells {
        let begun = banner::draining(requests, limit);
        // Without a reader there is nobody to tell.
        let told = console.open_line.begin(&begun, io::stderr());
        told.unwrap_or_default();
    } else if has_reader {
        tracing::info!(requests, "draining");
    }
    let stopping = running.stop();
    tokio::pin!(stopping);
    let stopped = loop {
        tokio::select! {
            stopped = &mut stopping => break stopped,
            // Another SIGTERM changes nothing; another Ctrl-C means now.
            stop = signals.next() => if stop == Stop::Interrupt {
                if tells {
                    say(banner::stopped_now());
                }
                return Err(Failure::told(ExitStatus::Interrupted));
            },
        }
    };
    // What was printed last stands before the end of the drain.
    let printed = match ending.printer {
        Some(printer) => tokio::task::spawn_blocking(move || printer.finish(PRINT_MAX))
            .await
            .ok(),
        None => None,
    };
    if tells {
        console.open_line.end();
        let cut_off = if stopped.clean { 0 } else { requests };
        say(&banner::drained(began.elapsed(), cut_off));
    }
    let mut told: Vec<String> = stopped
        .accounts
        .iter()
        .map(|account| banner::account(account))
        .collect();
    if let Some(printed) = printed.filter(|_| ending.terminal_exports) {
        told.push(banner::account(&printed));
    }
    for line in told.iter().filter(|_| has_reader) {
        if tells {
            say(line);
        } else {
            tracing::info!("{}", line.trim_end());
        }
    }
    Ok(())
}
