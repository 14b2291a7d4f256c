//! The spans of a request in the order of their tree, each with what its row says.

use super::super::escape;
use super::super::style::Surface;
use super::request::{FinishedRequest, ShownSpan, Weight, duration_text};
use super::tree::{decision_text, outcome_text};
use std::collections::{HashMap, HashSet};

/// More rows than this are counted instead of drawn.
pub(super) const ROWS_MAX: usize = 40;
const DEPTH_MAX: usize = 12;

/// One span's row before it is laid out; everything in it is safe to show.
pub(super) struct Row<'a> {
    pub(super) span: &'a ShownSpan,
    /// The branches before it.
    pub(super) branch: String,
    /// `SERVER`, `CLIENT` ...
    pub(super) kind: &'static str,
    pub(super) service: String,
    /// The method of a CLIENT span, the name of an INTERNAL one.
    pub(super) what: String,
    /// What went wrong, if anything did.
    pub(super) outcome: String,
    /// `try 2`, where there was more than one.
    pub(super) attempt: String,
    pub(super) duration: String,
}

pub(super) struct Rows<'a> {
    pub(super) rows: Vec<Row<'a>>,
    pub(super) left_out: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn of(request: &'a FinishedRequest, surface: &Surface) -> Self {
        let retried = request.spans.iter().any(|span| span.attempt > 1);
        let root = request.root().map(|span| span.id.as_str());
        let placed = in_tree_order(&request.spans, surface);
        // Those without a place, too: spans whose parents go in a circle hang on nothing.
        let left_out = request
            .spans
            .len()
            .saturating_sub(placed.len().min(ROWS_MAX));
        let rows = placed.into_iter().take(ROWS_MAX).map(|(branch, span)| {
            let is_root = Some(span.id.as_str()) == root;
            let is_attempt = retried && span.kind == "CLIENT";
            Row {
                span,
                branch,
                kind: span.kind,
                // An INTERNAL span is always ours, and has a name of its own.
                service: match span.kind {
                    "INTERNAL" => String::new(),
                    _ => escape::shown(&span.service).into_owned(),
                },
                what: match span.kind {
                    "SERVER" => String::new(),
                    "CLIENT" => escape::shown(&span.method).into_owned(),
                    _ => escape::shown(&span.name).into_owned(),
                },
                // The head line has told the root's.
                outcome: match &span.decision {
                    Some(decision) => decision_text(decision, span.outcome.weight, surface),
                    None if is_root || span.outcome.weight == Weight::Fine => String::new(),
                    None => outcome_text(&span.outcome, surface),
                },
                attempt: if is_attempt {
                    format!("try {}", span.attempt)
                } else {
                    String::new()
                },
                duration: duration_text(span.duration()),
            }
        });
        Self {
            rows: rows.collect(),
            left_out,
        }
    }

    pub(super) fn widest(&self, of: impl Fn(&Row<'a>) -> usize) -> usize {
        self.rows.iter().map(of).max().unwrap_or(0)
    }
}

impl Row<'_> {
    /// Columns of branch, kind, service and method.
    pub(super) fn name_columns(&self) -> usize {
        let gap = usize::from(!self.service.is_empty()) + usize::from(!self.what.is_empty());
        [&self.branch, self.kind, &self.service, &self.what]
            .map(escape::columns)
            .iter()
            .sum::<usize>()
            + gap
    }

    /// Branch, kind, service and method on exactly `columns` columns: the method goes first, then
    /// the service is cut.
    pub(super) fn name(&self, columns: usize, surface: &Surface) -> String {
        let paint = surface.paint;
        let mut out = surface.cut(&format!("{}{}", self.branch, self.kind), columns);
        let fixed = escape::columns(&out);
        let mut room = columns.saturating_sub(fixed);
        let mut add = |text: String, painted: &dyn Fn(&str) -> String| {
            let width = escape::columns(&text);
            if !text.is_empty() && width < room {
                out.push(' ');
                out.push_str(&painted(&text));
                room -= width + 1;
            }
        };
        let service = surface.cut(&self.service, columns.saturating_sub(fixed + 1));
        add(service, &|text| paint.cyan(text).to_string());
        add(self.what.clone(), &|text| paint.bold(text).to_string());
        out.push_str(&" ".repeat(room));
        out
    }
}

/// Spans with the branches that lead to them, parents before children, siblings by start.
fn in_tree_order<'a>(spans: &'a [ShownSpan], surface: &Surface) -> Vec<(String, &'a ShownSpan)> {
    let known: HashSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    let is_top = |span: &ShownSpan| span.parent == span.id || !known.contains(span.parent.as_str());
    let mut children: HashMap<&str, Vec<&ShownSpan>> = HashMap::new();
    let mut tops = Vec::new();
    for span in spans {
        if is_top(span) {
            tops.push(span);
        } else {
            children.entry(span.parent.as_str()).or_default().push(span);
        }
    }
    let mut placed = Vec::with_capacity(spans.len());
    // Depth first, with the next sibling on top of the stack.
    let mut stack = Vec::new();
    push_siblings(tops, "", 0, &mut stack);
    while let Some((span, before, is_last, depth)) = stack.pop() {
        let glyphs = surface.glyphs;
        let branch = if is_last { glyphs.corner } else { glyphs.tee };
        placed.push((format!("{before}{branch} "), span));
        let within = if is_last { " " } else { glyphs.pipe };
        let before = if depth < DEPTH_MAX {
            format!("{before}{within} ")
        } else {
            before
        };
        // Taken out, so that parents in a circle end.
        let below = children.remove(span.id.as_str()).unwrap_or_default();
        push_siblings(below, &before, depth + 1, &mut stack);
    }
    placed
}

type Branch<'a> = (&'a ShownSpan, String, bool, usize);

fn push_siblings<'a>(
    mut siblings: Vec<&'a ShownSpan>,
    before: &str,
    depth: usize,
    stack: &mut Vec<Branch<'a>>,
) {
    siblings.sort_by_key(|span| span.start);
    let last = siblings.len().saturating_sub(1);
    for (at, span) in siblings.into_iter().enumerate().rev() {
        stack.push((span, before.to_owned(), at == last, depth));
    }
}
