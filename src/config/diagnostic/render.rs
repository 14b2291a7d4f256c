//! Problems as a person reads them, drawn by rustc's renderer.

use super::{Diagnostic, Severity};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use anstyle::{AnsiColor, Style};
use std::ops::Range;

/// How many problems are shown unless all are asked for.
const SHOWN_MAX: usize = 20;

/// How a report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal; long lines of the document are cut to it.
    pub width: usize,
    /// Whether escapes for colour are written.
    pub color: bool,
    /// Whether line drawing characters are used instead of ASCII.
    pub unicode: bool,
    /// Whether all problems are shown instead of the first twenty.
    pub all: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            width: 80,
            color: false,
            unicode: false,
            all: false,
        }
    }
}

/// All problems, one below the other.
pub(super) fn report(name: &str, text: &str, diagnostics: &[Diagnostic], look: Look) -> String {
    let shown = if look.all { usize::MAX } else { SHOWN_MAX };
    let renderer = renderer(look);
    let mut out = String::new();
    for diagnostic in diagnostics.iter().take(shown) {
        out.push_str(&one(&renderer, name, text, diagnostic));
        out.push('\n');
    }
    let left = diagnostics.len().saturating_sub(shown);
    if left > 0 {
        out.push_str(&format!("\u{2026} and {left} more (--all)\n"));
    }
    out
}

/// Only foregrounds that themes remap; never blue, which vanishes on dark screens.
fn renderer(look: Look) -> Renderer {
    let decor = if look.unicode {
        DecorStyle::Unicode
    } else {
        DecorStyle::Ascii
    };
    let renderer = if look.color {
        let cyan = AnsiColor::Cyan.on_default();
        Renderer::styled()
            .hyperlink(false)
            .error(AnsiColor::Red.on_default().bold())
            .warning(AnsiColor::Yellow.on_default().bold())
            .help(cyan)
            .note(cyan)
            .info(cyan)
            .context(cyan)
            .emphasis(Style::new().bold())
            .line_num(Style::new().dimmed())
    } else {
        Renderer::plain()
    };
    renderer.term_width(look.width).decor_style(decor)
}

fn one(renderer: &Renderer, name: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.code.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()));
    if let Some(span) = &diagnostic.span {
        let window = Window::around(text, diagnostic);
        let primary = AnnotationKind::Primary
            .span(window.first_line_of(span))
            .label(diagnostic.label.as_deref());
        let context = diagnostic.context.iter().map(|(span, label)| {
            AnnotationKind::Context
                .span(window.first_line_of(span))
                .label(label.as_str())
        });
        group = group.element(
            Snippet::source(window.text)
                .line_start(window.line)
                .path(name)
                .annotations(context)
                .annotation(primary),
        );
    } else if let Some(label) = &diagnostic.label {
        group = group.element(Level::NOTE.message(label.as_str()));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// The lines of the document that a problem touches: the renderer goes through all lines it is
/// given, and a document may have ten thousand routes.
struct Window<'a> {
    text: &'a str,
    start: usize,
    line: usize,
}

impl<'a> Window<'a> {
    fn around(text: &'a str, diagnostic: &Diagnostic) -> Self {
        let places = || {
            let context = diagnostic.context.iter().map(|(span, _)| span);
            diagnostic.span.iter().chain(context)
        };
        let first = places().map(|span| span.start).min().unwrap_or(0);
        let last = places().map(|span| span.start).max().unwrap_or(0);
        let before = text.get(..first).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let behind = text.get(last..).and_then(|rest| rest.find('\n'));
        let end = behind.map_or(text.len(), |newline| last + newline + 1);
        Self {
            text: text.get(start..end).unwrap_or(text),
            start,
            line: before.matches('\n').count() + 1,
        }
    }

    /// A map over many lines is pointed at by its first one.
    fn first_line_of(&self, span: &Range<usize>) -> Range<usize> {
        let start = span.start.saturating_sub(self.start).min(self.text.len());
        let end = span.end.saturating_sub(self.start).min(self.text.len());
        let covered = self.text.get(start..end).unwrap_or_default();
        let first = covered.lines().next().unwrap_or_default().trim_end();
        start..start + first.len()
    }
}
