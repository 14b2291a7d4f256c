//! Single values out of text: durations, sizes, addresses, URLs, header names.
//!
//! Each parser takes a text and gives a value or a [`Misread`]; places and codes are the
//! caller's.

mod duration;
mod endpoint;
mod header;
mod host;
mod path;
mod size;

pub(in crate::config) use duration::duration;
pub(in crate::config) use endpoint::{collector, endpoint};
pub(in crate::config) use header::{Purpose, header_name, header_value, method, token};
pub(in crate::config) use host::{authority, host_name, host_pattern};
pub(in crate::config) use path::plain_path;
pub(in crate::config) use size::size;

/// Why a text is not the value it should be. Never quotes the text: it may be a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct Misread {
    /// One sentence without a full stop.
    pub(in crate::config) message: String,
    /// What stands beside the carets.
    pub(in crate::config) label: Option<String>,
    /// What to do.
    pub(in crate::config) help: Option<String>,
}

impl Misread {
    /// What an error of another folder says.
    pub(in crate::config) fn told_by(error: &impl std::error::Error) -> Self {
        Self::new(error.to_string())
    }

    pub(in crate::config) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            label: None,
            help: None,
        }
    }

    #[must_use]
    pub(in crate::config) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    #[must_use]
    pub(in crate::config) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
