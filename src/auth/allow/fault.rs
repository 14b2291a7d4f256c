//! What is wrong with an expression, and where.

use std::ops::Range;

/// One thing that is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What, as a sentence without a full stop.
    pub message: String,
    /// What stands beside the carets.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// Bytes of the expression.
    pub at: Range<usize>,
    /// The name that was not known, and the names that are known there.
    pub unknown: Option<(String, Vec<String>)>,
}

impl Fault {
    /// A fault of these bytes.
    pub(super) fn at(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            label: None,
            help: None,
            at,
            unknown: None,
        }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// One of these was probably meant.
    pub(super) fn known<'a>(
        mut self,
        wrong: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
        self.help = Some(format!("known: {}", known.join(", ")));
        self.unknown = Some((wrong.to_owned(), known));
        self
    }
}
