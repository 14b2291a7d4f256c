//! What `run` and `demo` share: a proxy with its printer, until a signal, a drain request or a
//! closed pipe ends it.

use super::failure::{ExitStatus, Failure};
use super::reloads::Reloads;
use super::run::{Flags, cannot_start};
use super::takeover::{Taken, succeed};
use super::terminal::{AfterFirst, SpanPrinter};
use super::{Console, banner, say};
use crate::admin::SpanAccount;
use crate::app::{
    HandoverSocket, Inherited, Next, Options, ReadAccount, Running, Signals, Stop, Stopped,
    Successor, see_off_orphans, service_manager,
};
use crate::clock;
use crate::config::Plan;
use crate::telemetry::log::{LogFormat, LogOutlet};
use crate::trace::sink::SpanSink;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
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
    /// Sockets that the service manager has left.
    pub(super) inherited: Inherited,
    /// Where sockets are taken from a process that runs, and handed to one that comes.
    pub(super) takeover: Option<PathBuf>,
    pub(super) log: Option<LogOutlet>,
}

/// What has to be ended with a proxy.
pub(super) struct Ending {
    printer: Option<Arc<SpanPrinter>>,
    /// Whether the terminal is where spans go.
    terminal_exports: bool,
    cancel: Option<CancellationToken>,
    signals: Signals,
    reloads: Option<Reloads>,
    handover: Option<HandoverSocket>,
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
        let access_log = Some((self.log_form, self.logs_access));
        let Taken {
            predecessor,
            inherited,
            handover,
        } = Taken::begin(self.takeover.as_deref(), self.inherited).await?;
        let options = Options {
            sinks,
            accounts,
            access_log,
            inherited,
            log: self.log,
        };
        // Before anybody is told that it listens: from then on a signal means a drain.
        let signals = Signals::listen().map_err(|error| {
            Failure::new(ExitStatus::Failed, "signals cannot be listened to").because(error)
        })?;
        let running = Running::start(plan, options)
            .await
            .map_err(|error| cannot_start(error, flags))?;
        let is_successor = predecessor.is_some();
        let handover = match (predecessor, &self.takeover) {
            (Some(predecessor), Some(path)) => succeed(predecessor, path).await,
            (_, _) => handover,
        };
        service_manager::ready(is_successor, "serving");
        tokio::spawn(service_manager::watchdog());
        tokio::spawn(see_off_orphans());
        Ok((
            running,
            Ending {
                printer,
                terminal_exports,
                cancel: None,
                signals,
                reloads: None,
                handover,
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

    /// Reads the configuration anew when this says so.
    pub(super) fn with_reloads(mut self, reloads: Reloads) -> Self {
        self.reloads = Some(reloads);
        self
    }
}

/// What ends a running proxy.
enum End {
    /// A signal, or the operator.
    Asked,
    /// Nobody reads what is printed any more: an end in silence.
    Unread,
    /// Another process has the sockets and serves.
    HandedOver(Successor),
}

/// Serves until told to stop, then drains and settles the account. `tells` says whether a person
/// reads along.
pub(super) async fn until_stopped(
    mut running: Running,
    mut ending: Ending,
    tells: bool,
    console: &Console,
) -> Result<(), Failure> {
    let end = ending.comes(&mut running, console).await;
    let next = match &end {
        End::Asked | End::Unread => Next::Nobody,
        End::HandedOver(_) => Next::Successor,
    };
    let has_reader = !matches!(end, End::Unread);
    service_manager::stopping("draining");
    let handover = ending.handover.take();
    if let End::HandedOver(successor) = end {
        handover.into_iter().for_each(HandoverSocket::pass_on);
        running.hand_over();
        if let Err(error) = successor.told_that_we_leave().await {
            tracing::warn!(%error, "the successor has the sockets and was not told that we leave");
        }
    }
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
    let stopped = ending.stopped(running.stop(next), tells).await?;
    // What was printed last stands before the end of the drain.
    let printed = match ending.printer.take() {
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
    let accounts = stopped.accounts.iter();
    let printed = printed.filter(|_| ending.terminal_exports);
    let told = accounts.map(|account| banner::account(account));
    let told = told.chain(printed.as_ref().map(|account| banner::account(account)));
    for line in told.filter(|_| has_reader) {
        if tells {
            say(&line);
        } else {
            tracing::info!("{}", line.trim_end());
        }
    }
    Ok(())
}

/// A successor that is being supplied with our sockets.
type Supplying = Pin<Box<dyn Future<Output = io::Result<Successor>> + Send>>;

impl Ending {
    /// Serves until something ends it. Reloads meanwhile, and hands over; never both at once, or a
    /// successor would get sockets that are no longer right.
    async fn comes(&mut self, running: &mut Running, console: &Console) -> End {
        let drain_asked = Arc::clone(&running.drain_asked);
        let printer = self.printer.clone();
        let closed = async {
            match &printer {
                Some(printer) => printer.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(closed);
        let mut supplying: Option<Supplying> = None;
        loop {
            let is_free = supplying.is_none();
            tokio::select! {
                _ = self.signals.next() => return End::Asked,
                () = drain_asked.notified() => return End::Asked,
                () = &mut closed => return End::Unread,
                () = due(&mut self.reloads), if is_free => {
                    if let Some(reloads) = &mut self.reloads {
                        Box::pin(reloads.reload(running, console)).await;
                    }
                }
                successor = next(self.handover.as_ref()), if is_free => {
                    tracing::info!("another process asks for the listening sockets");
                    supplying = Some(Box::pin(successor.supply(running)));
                }
                supplied = supplied(&mut supplying) => match supplied {
                    Ok(successor) => return End::HandedOver(successor),
                    Err(error) => {
                        tracing::warn!(%error, "no successor took over; serving on");
                        supplying = None;
                    }
                }
            }
        }
    }

    /// Waits for the end of the drain. Another SIGTERM changes nothing; another Ctrl-C means now.
    async fn stopped(
        &mut self,
        stopping: impl Future<Output = Stopped>,
        tells: bool,
    ) -> Result<Stopped, Failure> {
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                stopped = &mut stopping => return Ok(stopped),
                stop = self.signals.next() => if stop == Stop::Interrupt {
                    if tells {
                        say(banner::stopped_now());
                    }
                    return Err(Failure::told(ExitStatus::Interrupted));
                },
            }
        }
    }
}

async fn due(reloads: &mut Option<Reloads>) {
    match reloads {
        Some(reloads) => reloads.due().await,
        None => std::future::pending().await,
    }
}

async fn next(handover: Option<&HandoverSocket>) -> Successor {
    match handover {
        Some(handover) => handover.next().await,
        None => std::future::pending().await,
    }
}

async fn supplied(supplying: &mut Option<Supplying>) -> io::Result<Successor> {
    match supplying {
        Some(supplying) => supplying.await,
        None => std::future::pending().await,
    }
}
