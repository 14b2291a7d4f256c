//! What is wrong with a document, where, and what to do about it.
//!
//! Every pass of the compiler pushes into one [`Findings`]; nothing stops at the first problem.
//! Knows positions and words; `render` and `json` know how they look.

mod code;
mod json;
mod mask;
mod render;
mod report;

pub use code::{Code, Severity};
pub use json::report_schema;
pub use render::Look;
pub use report::Report;

pub(in crate::config) use mask::{Mask, is_secret_key};

use std::ops::Range;

/// Bytes of the document, half open.
pub(in crate::config) type Span = Range<usize>;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of problem; its id never changes.
    pub code: Code,
    /// One sentence without a full stop.
    pub message: String,
    /// Which bytes of the document are meant; None for problems of the environment or of the
    /// file as a whole.
    pub span: Option<Range<usize>>,
    /// What stands beside the carets.
    pub label: Option<String>,
    /// Other places that explain the problem, with what stands beside them.
    pub context: Vec<(Range<usize>, String)>,
    /// What to do.
    pub help: Option<String>,
    /// The text to put at `span`, where there is one reading.
    pub replacement: Option<String>,
}

impl Diagnostic {
    /// A problem of the whole file or of the environment.
    pub(in crate::config) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span: None,
            label: None,
            context: Vec::new(),
            help: None,
            replacement: None,
        }
    }

    /// A problem of these bytes.
    pub(in crate::config) fn at(code: Code, span: &Span, message: impl Into<String>) -> Self {
        let mut diagnostic = Self::new(code, message);
        diagnostic.span = Some(span.clone());
        diagnostic
    }

    /// Says this beside the carets.
    #[must_use]
    pub(in crate::config) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub(in crate::config) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points at another place, too.
    #[must_use]
    pub(in crate::config) fn beside(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.context.push((span.clone(), label.into()));
        self
    }

    /// Offers a text for the place, and asks "did you mean" beside the carets.
    #[must_use]
    pub(in crate::config) fn suggest(mut self, text: &str) -> Self {
        self.label = Some(format!("did you mean `{text}`?"));
        self.replacement = Some(text.to_owned());
        self
    }

    /// Whether the document is refused because of this.
    pub const fn is_error(&self) -> bool {
        matches!(self.code.severity(), Severity::Error)
    }
}

/// Where the passes put what they find.
#[derive(Debug, Default)]
pub(in crate::config) struct Findings {
    diagnostics: Vec<Diagnostic>,
}

impl Findings {
    /// One more problem.
    pub(in crate::config) fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Whether nothing refuses the document so far.
    pub(in crate::config) fn are_harmless(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Whether something refuses this very value.
    pub(in crate::config) fn refuse(&self, span: &Span) -> bool {
        let mut diagnostics = self.diagnostics.iter();
        diagnostics.any(|one| one.is_error() && one.span.as_ref() == Some(span))
    }

    /// All problems in the order of the document's lines, those without a place last. A node that
    /// an alias repeats is told once.
    pub(in crate::config) fn in_line_order(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| {
            diagnostic
                .span
                .as_ref()
                .map_or((usize::MAX, usize::MAX), |span| (span.start, span.end))
        });
        let mut told: Vec<Diagnostic> = Vec::with_capacity(self.diagnostics.len());
        for diagnostic in self.diagnostics {
            let again = told
                .iter()
                .rev()
                .take_while(|earlier| earlier.span == diagnostic.span)
                .any(|earlier| *earlier == diagnostic);
            if !again {
                told.push(diagnostic);
            }
        }
        told
    }
}
