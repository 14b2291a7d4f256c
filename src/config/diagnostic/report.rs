//! All problems of one document, with the document they are about.

use super::json;
use super::render::{self, Look};
use super::{Diagnostic, Mask};
use std::sync::Arc;

/// What a document's check found. Holds the document's text with every secret masked, so that
/// an excerpt cannot show one.
#[derive(Clone, Debug)]
pub struct Report {
    name: Arc<str>,
    masked: Arc<str>,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub(in crate::config) fn new(
        name: &str,
        text: &str,
        mask: &Mask,
        diagnostics: Vec<Diagnostic>,
    ) -> Self {
        Self {
            name: Arc::from(name),
            masked: Arc::from(mask.apply(text)),
            diagnostics,
        }
    }

    /// The document's name as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All problems, in line order.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The same without what has this id, where whoever wrote the document means it so.
    #[must_use]
    pub fn without(mut self, id: &str) -> Self {
        self.diagnostics.retain(|one| one.code.id() != id);
        self
    }

    /// How many of them refuse the document.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|one| one.is_error()).count()
    }

    /// How many of them are warnings.
    pub fn warnings(&self) -> usize {
        self.diagnostics.len().saturating_sub(self.errors())
    }

    /// The problems as a person reads them, each line ended; empty if there are none. The summary
    /// line is the caller's: see [`Report::summary`].
    pub fn render(&self, look: Look) -> String {
        render::report(&self.name, &self.masked, &self.diagnostics, look)
    }

    /// `3 errors, 1 warning`, or nothing if there is nothing.
    pub fn counts(&self) -> Option<String> {
        let parts: Vec<String> = [(self.errors(), "error"), (self.warnings(), "warning")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, noun)| match count {
                1 => format!("1 {noun}"),
                _ => format!("{count} {noun}s"),
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The last line of a refusal: `edgespan.yaml: 3 errors; nothing was started (exit 78)`.
    pub fn summary(&self) -> String {
        let counts = self.counts().unwrap_or_else(|| "no errors".to_owned());
        format!("{}: {counts}; nothing was started (exit 78)", self.name)
    }

    /// The problems as an array for machines.
    pub fn to_json(&self) -> serde_json::Value {
        json::report(&self.name, &self.masked, &self.diagnostics)
    }
}
