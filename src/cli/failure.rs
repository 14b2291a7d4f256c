//! How a command ends when it does not end well: what failed, why, what to do, and the exit code.

use super::escape;
use super::style::Surface;
use crate::telemetry::plain_error;
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Longest chain of causes that is told.
const CAUSES_MAX: usize = 8;

/// Exit codes, as each command's `--help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It failed, or a difference was found.
    Failed,
    /// The command line was wrong (`EX_USAGE`).
    Usage,
    /// The other side could not be reached (`EX_UNAVAILABLE`).
    Unreachable,
    /// The configuration was wrong (`EX_CONFIG`).
    Configuration,
    /// A second Ctrl-C cut a drain short (128 + SIGINT).
    Interrupted,
}

impl ExitStatus {
    /// The status behind a number; none for success.
    pub const fn of_code(code: u8) -> Option<Self> {
        match code {
            0 => None,
            64 => Some(Self::Usage),
            69 => Some(Self::Unreachable),
            78 => Some(Self::Configuration),
            130 => Some(Self::Interrupted),
            _ => Some(Self::Failed),
        }
    }

    /// The number a shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Unreachable => 69,
            Self::Configuration => 78,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command did not succeed.
#[derive(Debug)]
pub struct Failure {
    status: ExitStatus,
    message: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
    help: Vec<String>,
}

impl Failure {
    /// A failure with one sentence about it: lower case, no full stop.
    pub fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: Some(message.into()),
            source: None,
            help: Vec::new(),
        }
    }

    /// A failure that has been told already, as diagnostics are: nothing more is printed.
    pub const fn told(status: ExitStatus) -> Self {
        Self {
            status,
            message: None,
            source: None,
            help: Vec::new(),
        }
    }

    /// What it came from; told below it with its own causes.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it; may be called more than once.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The exit status.
    pub const fn status(&self) -> ExitStatus {
        self.status
    }

    /// The exit code for `main`.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status.code())
    }

    /// What a person reads, each line ended; empty if it has been told.
    pub fn render(&self, surface: &Surface) -> String {
        let Some(message) = &self.message else {
            return String::new();
        };
        let label = surface.paint.red("error:");
        let mut out = format!("{label} {}\n", escape::shown(message));
        let mut above = message.clone();
        for (depth, cause) in self.causes().into_iter().enumerate() {
            // Errors that already quote their cause would say it twice.
            if !above.ends_with(&cause) {
                let indent = "  ".repeat(depth + 1);
                out.push_str(&format!("{indent}{}\n", escape::shown(&cause)));
            }
            above = cause;
        }
        for help in &self.help {
            out.push_str(&format!("  help: {}\n", escape::shown(help)));
        }
        out
    }

    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self
            .source
            .as_ref()
            .map(|source| -> &(dyn Error + 'static) { source.as_ref() });
        while let Some(cause) = next.filter(|_| causes.len() < CAUSES_MAX) {
            causes.push(plain_error(cause));
            next = cause.source();
        }
        causes
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("failed"))
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| -> &(dyn Error + 'static) { source.as_ref() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::style::{Glyphs, Paint};
    use std::io;

    fn rendered(failure: &Failure, colour: bool) -> String {
        let surface = Surface::fixed(80, Paint::new(colour), Glyphs::UNICODE);
        failure.render(&surface).replace('\u{1b}', "\\e")
    }

    #[derive(Debug, thiserror::Error)]
    #[error("certificate `web.pem`")]
    struct Certificate(#[source] io::Error);

    fn unreadable() -> Failure {
        let denied = io::Error::from_raw_os_error(13);
        Failure::new(ExitStatus::Failed, "cannot start listener `web`")
            .because(Certificate(denied))
            .help("let the user that runs edgespan read it")
    }

    #[test]
    fn a_failure_tells_its_causes_and_what_to_do() {
        assert_eq!(
            rendered(&unreadable(), false),
            "error: cannot start listener `web`\n  certificate `web.pem`\n    permission denied\n  \
             help: let the user that runs edgespan read it\n"
        );
        assert!(rendered(&unreadable(), true).starts_with("\\e[31merror:\\e[0m cannot"));
    }

    #[test]
    fn a_failure_that_was_told_prints_nothing_more() {
        let failure = Failure::told(ExitStatus::Configuration);
        assert_eq!(rendered(&failure, true), "");
        assert_eq!(failure.status().code(), 78);
    }

    #[test]
    fn a_cause_already_quoted_is_not_said_twice() {
        let failure = Failure::new(ExitStatus::Failed, "cannot read x: no such file")
            .because(io::Error::other("no such file"));
        assert_eq!(
            rendered(&failure, false),
            "error: cannot read x: no such file\n"
        );
    }
}
