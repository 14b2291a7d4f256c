//! The spans of a request in the order of their tree, each with what its row says.

use super::super::branch::Trail;
use super::super::duration::duration_text;
use super::super::escape;
use super::super::style::Surface;
use super::request::FinishedRequest;
use super::tree::{decision_text, outcome_text};
use crate::view::{Folding, Gap, Kind, Path, Reason, Rows as Listed, Span, Subject, Tree, Weight};
use std::time::Duration;

/// More rows than this are counted instead of drawn.
pub(super) const ROWS_MAX: usize = 40;
const DEPTH_MAX: usize = 12;

/// One span's row before it is laid out, or a gap's; everything in it is safe to show.
pub(super) struct Row {
    /// Nanoseconds since 1970.
    pub(super) time: (u64, u64),
    pub(super) is_root: bool,
    pub(super) is_gap: bool,
    /// How loudly the outcome is told.
    pub(super) weight: Weight,
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

pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    pub(super) left_out: usize,
}

impl Rows {
    pub(super) fn of(request: &FinishedRequest, surface: &Surface) -> Self {
        let retried = request.trace.spans.iter().any(|span| span.attempt() > 1);
        let tree = Tree::of(&request.trace);
        let folding = Folding {
            alike: false,
            gaps: true,
            rows_max: ROWS_MAX,
        };
        let listed = Listed::of(&tree, &Path::of(&tree), folding);
        let mut trail = Trail::below_a_line();
        let rows = listed.rows.iter().filter_map(|row| {
            let is_gap = matches!(row.subject, Subject::Gap(_));
            let place = (row.depth, row.is_last, is_gap);
            let branch = trail.branch(place, DEPTH_MAX, &surface.glyphs);
            match &row.subject {
                Subject::Span(at) => {
                    let span = tree.span(*at)?;
                    Some(Row::span(span, branch, request, retried, surface))
                }
                Subject::Gap(gap) => Some(Row::gap(gap, branch, &tree)),
                Subject::Alike(_) => None,
            }
        });
        Self {
            rows: rows.collect(),
            left_out: listed.left_out,
        }
    }

    pub(super) fn widest(&self, of: impl Fn(&Row) -> usize) -> usize {
        self.rows.iter().map(of).max().unwrap_or(0)
    }
}

impl Row {
    fn span(
        span: &Span,
        branch: String,
        request: &FinishedRequest,
        retried: bool,
        surface: &Surface,
    ) -> Self {
        let outcome = span.outcome();
        let is_root = request.is_root(span);
        let is_attempt = retried && span.kind == Kind::Client;
        Self {
            time: (span.start, span.end),
            is_root,
            is_gap: false,
            branch,
            kind: span.kind.name(),
            // An INTERNAL span is always ours, and has a name of its own.
            service: match span.kind {
                Kind::Internal => String::new(),
                Kind::Unspecified
                | Kind::Server
                | Kind::Client
                | Kind::Producer
                | Kind::Consumer => escape::shown(span.told_service()).into_owned(),
            },
            what: match span.kind {
                Kind::Server => String::new(),
                Kind::Client => escape::shown(&span.told_method()).into_owned(),
                Kind::Unspecified | Kind::Internal | Kind::Producer | Kind::Consumer => {
                    escape::shown(&span.told_name()).into_owned()
                }
            },
            // The head line has told the root's.
            outcome: match span.decision() {
                Some(decision) => decision_text(decision, outcome.weight, surface),
                None if is_root || outcome.weight == Weight::Fine => String::new(),
                None => outcome_text(&outcome, surface),
            },
            weight: outcome.weight,
            attempt: if is_attempt {
                format!("try {}", span.attempt())
            } else {
                String::new()
            },
            duration: duration_text(Duration::from_nanos(span.duration())),
        }
    }

    fn gap(gap: &Gap, branch: String, tree: &Tree<'_>) -> Self {
        let what = match (gap.reason, tree.span(gap.before)) {
            (Reason::Retry, Some(next)) => format!("waiting before try {}", next.attempt()),
            (Reason::Retry | Reason::Own | Reason::Nobody, _) => "no span inside".to_owned(),
        };
        Self {
            time: (gap.from, gap.to),
            is_root: false,
            is_gap: true,
            branch,
            kind: "",
            service: String::new(),
            what,
            outcome: String::new(),
            weight: Weight::Fine,
            attempt: String::new(),
            duration: duration_text(Duration::from_nanos(gap.duration())),
        }
    }

    /// Columns of branch, kind, service and method.
    /// A gap has no outcome beside its name, so that it needs none of these.
    pub(super) fn name_columns(&self) -> usize {
        if self.is_gap {
            return 0;
        }
        let words = [self.kind, &self.service, &self.what];
        let words = words.iter().filter(|word| !word.is_empty());
        let columns: usize = words.map(|word| escape::columns(word) + 1).sum();
        escape::columns(&self.branch) + columns.saturating_sub(1)
    }

    /// Branch, kind, service and method on exactly `columns` columns: the method goes first, then
    /// the service is cut.
    pub(super) fn name(&self, columns: usize, surface: &Surface) -> String {
        let paint = surface.paint;
        if self.is_gap {
            let mut out = surface.cut(&format!("{}{}", self.branch, self.what), columns);
            let fill = columns.saturating_sub(escape::columns(&out));
            out.push_str(&" ".repeat(fill));
            return out;
        }
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
