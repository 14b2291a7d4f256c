//! Files of one entry a line: what is wrong with which line, without a word of what it holds.

use std::sync::Arc;

/// Longest name of a user or of a key's owner, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Most problems of a file that are told.
const PROBLEMS_MAX: usize = 20;

/// What is wrong with one line. Never quotes it: a line may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Which, counted from one; None: the file as a whole.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: &'static str,
    /// What to do.
    pub help: Option<&'static str>,
}

impl LineError {
    pub(super) const fn new(line: usize, problem: &'static str) -> Self {
        Self {
            line: Some(line),
            problem,
            help: None,
        }
    }

    pub(super) const fn of_file(problem: &'static str) -> Self {
        Self {
            line: None,
            problem,
            help: None,
        }
    }

    pub(super) const fn help(mut self, help: &'static str) -> Self {
        self.help = Some(help);
        self
    }
}

/// What is wrong with a file so far. Past a bound nothing more is told.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<LineError>);

impl Problems {
    pub(super) fn push(&mut self, problem: LineError) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(problem);
        }
    }

    pub(super) const fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn none_or<T>(self, value: T) -> Result<T, Vec<LineError>> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self.0)
        }
    }
}

/// The lines that hold something, with their numbers. A `#` makes a whole line a comment.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = text.lines().enumerate();
    numbered
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// A name that a header's value can hold and that reads in one way only.
pub(super) fn name(line: usize, text: &str) -> Result<Arc<str>, LineError> {
    if text.is_empty() {
        return Err(LineError::new(line, "the name is missing"));
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(LineError::new(line, "the name is longer than 256 bytes"));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        let problem = "the name has control characters, or spaces around it";
        return Err(LineError::new(line, problem));
    }
    Ok(Arc::from(text))
}

/// Names between commas; nothing at all is none.
pub(super) fn list(line: usize, text: &str) -> Result<Vec<Arc<str>>, LineError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|one| name(line, one.trim())).collect()
}
