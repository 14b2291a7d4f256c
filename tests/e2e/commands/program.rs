//! The program as a process: what it is started with, what it has written so far, how it ended.

use crate::support::{PATIENCE, until};
use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;
use tempfile::TempDir;

pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_edgespan");

/// What the program is to be started with.
pub(super) struct Call {
    command: Command,
    stdout: Out,
    stderr: Out,
    home: TempDir,
}

/// Where one of its streams leads.
enum Out {
    Pipe,
    /// A pipe whose reader leaves after the first line.
    PipeForOneLine,
    /// A terminal of this many columns.
    Terminal(u16),
    /// Something else.
    To(Stdio),
}

/// Begins a call with these arguments, nothing in the environment and nobody at a terminal.
pub(super) fn edgespan(arguments: &[&str]) -> Call {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .env("LANG", "C.UTF-8")
        .current_dir(home.path())
        .stdin(Stdio::null());
    Call {
        command,
        stdout: Out::Pipe,
        stderr: Out::Pipe,
        home,
    }
}

impl Call {
    pub(super) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Called by this name instead of its path.
    pub(super) fn called(mut self, name: &str) -> Self {
        self.command.arg0(name);
        self
    }

    pub(super) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(super) fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Puts a file where relative paths begin, and names it by the last argument.
    pub(super) fn file(self, name: &str, text: &str) -> Self {
        self.beside(name, text).argument(name)
    }

    /// Puts a file where relative paths begin.
    pub(super) fn beside(self, name: &str, text: &str) -> Self {
        std::fs::write(self.home.path().join(name), text).unwrap();
        self
    }

    /// Both streams lead to one terminal.
    pub(super) fn on_terminal(mut self, columns: u16) -> Self {
        self.stdout = Out::Terminal(columns);
        self.stderr = Out::Terminal(columns);
        self.variable("TERM", "xterm-256color")
    }

    /// Whoever reads stdout leaves after its first line.
    pub(super) fn read_one_line(mut self) -> Self {
        self.stdout = Out::PipeForOneLine;
        self
    }

    /// Where relative paths begin.
    pub(super) fn folder(&self) -> std::path::PathBuf {
        self.home.path().to_owned()
    }

    pub(super) fn stdout_to(mut self, file: &str) -> Self {
        let file = OpenOptions::new().write(true).open(file).unwrap();
        self.stdout = Out::To(file.into());
        self
    }

    pub(super) fn start(mut self) -> Program {
        let mut readers = Vec::new();
        let (stdout, stderr) = (Written::default(), Written::default());
        let mut terminal = None;
        for (is_stdout, out, written) in
            [(true, self.stdout, &stdout), (false, self.stderr, &stderr)]
        {
            let stdio = match out {
                Out::To(stdio) => stdio,
                Out::Pipe | Out::PipeForOneLine => {
                    let one_line = matches!(out, Out::PipeForOneLine);
                    let (reader, writer) = std::io::pipe().unwrap();
                    readers.push(written.read(reader, one_line));
                    writer.into()
                }
                Out::Terminal(columns) => {
                    let shared = terminal.get_or_insert_with(|| {
                        let (controller, user) = open_terminal(columns);
                        readers.push(stdout.read(controller, false));
                        user
                    });
                    Stdio::from(shared.try_clone().unwrap())
                }
            };
            if is_stdout {
                self.command.stdout(stdio);
            } else {
                self.command.stderr(stdio);
            }
        }
        let started = Instant::now();
        let child = self.command.spawn().unwrap();
        // Our ends of its streams have to close, or a reader would wait for us.
        drop(self.command);
        Program {
            child,
            stdout,
            stderr,
            readers,
            home: self.home,
            started,
        }
    }

    /// Starts it and waits until it has ended by itself.
    pub(super) async fn ended(self) -> Ended {
        self.start().ended().await
    }
}

fn open_terminal(columns: u16) -> (File, OwnedFd) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let name = ptsname(&controller, Vec::new()).unwrap();
    let user = File::options()
        .read(true)
        .write(true)
        .open(OsStr::from_bytes(name.as_bytes()))
        .unwrap();
    tcsetwinsize(&user, size).unwrap();
    (File::from(controller), OwnedFd::from(user))
}

/// What came out of a stream so far.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn read(&self, mut from: impl Read + Send + 'static, one_line: bool) -> JoinHandle<()> {
        let bytes = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // A terminal that nobody writes to any more ends with an error.
            while let Ok(length @ 1..) = from.read(&mut chunk) {
                let mut bytes = bytes.lock().unwrap();
                bytes.extend_from_slice(&chunk[..length]);
                if one_line && bytes.contains(&b'\n') {
                    return;
                }
            }
        })
    }

    fn text(&self) -> String {
        let text = String::from_utf8(self.0.lock().unwrap().clone());
        // A terminal writes its line ends in its own way.
        text.expect("UTF-8").replace("\r\n", "\n")
    }
}

/// The program at work. It is killed when a test gives up.
pub(super) struct Program {
    child: Child,
    stdout: Written,
    stderr: Written,
    readers: Vec<JoinHandle<()>>,
    home: TempDir,
    pub(super) started: Instant,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The exit code; None if a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// What stood in its home folder at the end.
    pub(super) files: Vec<OsString>,
}

impl Program {
    /// Everything on stdout so far; on a terminal, everything on it.
    pub(super) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(super) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until stdout has this text.
    pub(super) async fn shows(&self, text: &str) -> String {
        until(&format!("`{text}` on stdout"), || {
            self.stdout().contains(text)
        })
        .await;
        self.stdout()
    }

    /// Waits until stderr has this text.
    pub(super) async fn tells(&self, text: &str) -> String {
        until(&format!("`{text}` on stderr"), || {
            self.stderr().contains(text)
        })
        .await;
        self.stderr()
    }

    /// Where it listens, as it says itself: behind `word`, on either stream.
    pub(super) async fn address_behind(&self, word: &str) -> SocketAddr {
        let find = || {
            let text = self.stderr() + &self.stdout();
            let line = text
                .split_inclusive('\n')
                .find(|line| line.ends_with('\n') && line.contains(word))?
                .to_owned();
            let found = line.match_indices("127.0.0.1:").next()?.0;
            let rest = &line[found..];
            let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
            rest[..end.unwrap_or(rest.len())].parse().ok()
        };
        until(&format!("an address behind `{word}`"), || find().is_some()).await;
        find().unwrap()
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// As Ctrl-C does.
    pub(super) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Waits until it has ended.
    pub(super) async fn ended(mut self) -> Ended {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(PATIENCE / 5000).await;
            }
        });
        let Ok(status) = waited.await else {
            panic!("it does not end: {}{}", self.stdout(), self.stderr());
        };
        for reader in std::mem::take(&mut self.readers) {
            reader.join().unwrap();
        }
        let entries = std::fs::read_dir(self.home()).unwrap();
        Ended {
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            files: entries.map(|entry| entry.unwrap().file_name()).collect(),
        }
    }

    /// Stops it with Ctrl-C and waits until it has ended.
    pub(super) async fn stopped(self) -> Ended {
        self.interrupt();
        self.ended().await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already unless a test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Ended {
    /// The last line of stderr.
    pub(super) fn last_word(&self) -> &str {
        self.stderr.lines().next_back().unwrap_or_default()
    }
}
