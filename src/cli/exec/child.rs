//! The command: started with our context in its environment, told of signals that reach us, and
//! waited for.
//!
//! It stays in our process group, so that Ctrl-C, Ctrl-Z and job control are between it and the
//! terminal as if we were not there.

use crate::cli::job::context::Place;
use crate::trace::span::OpenSpan;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// What shells answer for a command that is there and cannot be run.
const NOT_EXECUTABLE: u8 = 126;
/// What shells answer for a command that is not there.
const NOT_FOUND: u8 = 127;
/// Shells add a signal's number to it.
const SIGNALLED: u8 = 128;

/// How the command ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself, or by a signal.
    Exited {
        status: ExitStatus,
        pid: Option<u32>,
    },
    /// It never began.
    NotRun(io::Error),
}

/// The command, running.
pub(super) struct Spawned {
    child: Child,
    pid: Option<u32>,
    signals: Signals,
}

/// Starts the command with our three streams. `TRACEPARENT` and `TRACESTATE` are those of
/// `place`; `BAGGAGE` is the caller's, byte for byte.
pub(super) fn spawn(
    program: &OsStr,
    arguments: &[OsString],
    place: Option<&Place>,
) -> io::Result<Spawned> {
    // Before the child is there: a signal in between would be lost.
    let signals = Signals::listen()?;
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(place) = place {
        command.env("TRACEPARENT", place.traceparent());
        match place.tracestate() {
            state if state.is_empty() => command.env_remove("TRACESTATE"),
            state => command.env("TRACESTATE", state),
        };
    }
    let child = command.spawn()?;
    let pid = child.id();
    Ok(Spawned {
        child,
        pid,
        signals,
    })
}

impl Spawned {
    /// Waits for the end, and hands on what we are told meanwhile.
    pub(super) async fn wait(mut self) -> Ended {
        let pid = self.pid;
        loop {
            tokio::select! {
                ended = self.child.wait() => return match ended {
                    Ok(status) => Ended::Exited { status, pid },
                    Err(error) => Ended::NotRun(error),
                },
                told = self.signals.next() => hand_on(told, pid),
            }
        }
    }
}

fn hand_on(told: Signal, pid: Option<u32>) {
    // Ctrl-C and Ctrl-\ reach the whole foreground group: the command has it already.
    if matches!(told, Signal::INT | Signal::QUIT) && terminal_tells_us() {
        return;
    }
    let pid = pid.and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // A command that has ended meanwhile needs no signal.
        kill_process(pid, told).unwrap_or_default();
    }
}

/// Whether we are in the foreground of a terminal.
fn terminal_tells_us() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else {
        return false;
    };
    let foreground = rustix::termios::tcgetpgrp(&terminal);
    foreground.is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Signals that are handed on. Those that stop and continue are left to the system, which tells
/// the whole group; and one that was ignored when we were started (`nohup`) stays ignored, for the
/// command, too.
struct Signals(Vec<(Signal, tokio::signal::unix::Signal)>);

/// All of them, with their numbers' kinds.
const HANDED_ON: [Signal; 7] = [
    Signal::TERM,
    Signal::INT,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
];

impl Signals {
    fn listen() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        let told = HANDED_ON.into_iter();
        let told = told.filter(|one| ignored & (1 << (one.as_raw() - 1)) == 0);
        let heard = told.map(|one| Ok((one, signal(SignalKind::from_raw(one.as_raw()))?)));
        heard.collect::<io::Result<_>>().map(Self)
    }

    async fn next(&mut self) -> Signal {
        let heard = &mut self.0;
        std::future::poll_fn(|cx| {
            let mut told = heard.iter_mut();
            let one = told.find_map(|(name, one)| one.poll_recv(cx).is_ready().then_some(*name));
            one.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
        })
        .await
    }
}

/// The mask of ignored signals: `SigIgn` of `/proc/self/status`, hexadecimal.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.map(|mask| u64::from_str_radix(mask.trim(), 16));
    mask.and_then(Result::ok).unwrap_or_default()
}

impl Ended {
    /// The code that a shell would see.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Exited { status, .. } => match (status.code(), status.signal()) {
                (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
                (None, Some(signal)) => {
                    SIGNALLED.saturating_add(u8::try_from(signal).unwrap_or_default())
                }
                (None, None) => 1,
            },
            Self::NotRun(error) if error.kind() == io::ErrorKind::NotFound => NOT_FOUND,
            Self::NotRun(_) => NOT_EXECUTABLE,
        }
    }

    /// Writes the end into its span: `process.exit.code`, and for a signal its name.
    pub(super) fn tell(&self, span: &mut OpenSpan) {
        match self {
            Self::Exited { status, pid } => {
                if let Some(pid) = pid {
                    span.int("process.pid", i64::from(*pid));
                }
                if let Some(code) = status.code() {
                    span.int("process.exit.code", i64::from(code));
                }
                if let Some(signal) = status.signal() {
                    let name = signal_name(signal);
                    span.int("process.exit.code", i64::from(self.code()));
                    span.str("edgespan.process.signal", &name);
                    span.str("error.type", &name);
                    span.set_error();
                } else if !status.success() {
                    span.str("error.type", &self.code().to_string());
                    span.set_error();
                }
            }
            Self::NotRun(error) => {
                span.int("process.exit.code", i64::from(self.code()));
                let is_absent = error.kind() == io::ErrorKind::NotFound;
                let kind = if is_absent {
                    "not_found"
                } else {
                    "not_executable"
                };
                span.str("error.type", kind);
                span.set_error();
            }
        }
    }
}

/// `SIGTERM`; a signal without a name is told by its number.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tedgespan\nSigIgn:\t0000000000001001\nSigCgt:\t00\n";

        assert_eq!(ignored(status), 0x1001);
        assert_eq!(ignored("nothing"), 0);
    }

    #[test]
    fn the_end_is_the_code_that_shells_know() {
        let exited = |raw| Ended::Exited {
            status: ExitStatus::from_raw(raw),
            pid: None,
        };

        assert_eq!(exited(3 << 8).code(), 3);
        assert_eq!(exited(9).code(), 137);
        assert_eq!(
            Ended::NotRun(io::Error::from(io::ErrorKind::NotFound)).code(),
            127
        );
        assert_eq!(
            Ended::NotRun(io::Error::from(io::ErrorKind::PermissionDenied)).code(),
            126
        );
    }
}
