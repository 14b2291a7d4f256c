//! Single values out of text: durations, sizes, addresses, URLs, header names.
//!
//! Each parser takes a text and gives a value or a [`Misread`]; places and codes are the
//! caller's.

mod duration;
mod endpoint;
mod header;
mod host;
mod path;
mod redis;
mod request_rate;
mod size;

pub(in crate::config) use duration::{duration, duration_up_to};
pub(in crate::config) use endpoint::{collector, endpoint, endpoint_source};
pub(in crate::config) use header::{Purpose, header_name, header_value, method, token};
pub(in crate::config) use host::{authority, host_name, host_pattern};
pub(in crate::config) use path::plain_path;
pub(in crate::config) use redis::redis;
pub(in crate::config) use request_rate::request_rate;
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
    /// The text that is meant, where there is one reading.
    pub(in crate::config) replacement: Option<String>,
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
            replacement: None,
        }
    }

    #[must_use]
    pub(in crate::config) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub(in crate::config) fn write(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.help = Some(format!("write `{text}`"));
        self.replacement = Some(text);
        self
    }

    #[must_use]
    pub(in crate::config) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
