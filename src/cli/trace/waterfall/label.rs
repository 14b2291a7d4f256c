//! What a row of a waterfall says beside its bar.

use super::super::super::duration::{duration_text, number_like};
use super::super::super::escape;
use super::super::super::style::Surface;
use super::Picture;
use super::head::painted;
use crate::view::{Alike, Gap, Kind, Outcome, Reason, Row, Span, Subject, Weight, covered_by};
use std::borrow::Cow;
use std::time::Duration;

/// A name may be cut down to this before anything else of its row goes.
const NAME_MIN: usize = 16;
/// And down to this before its end is cut instead.
const NAME_CUT: usize = 6;
/// An outcome may be cut down to this before its name is cut further: a status and how the words
/// behind it begin.
const OUTCOME_MIN: usize = 12;

/// A row before it is laid out; everything in it is safe to show.
pub(in super::super) struct Label {
    /// How far it is from the top.
    pub(in super::super) depth: usize,
    pub(in super::super) is_last: bool,
    pub(in super::super) is_gap: bool,
    pub(in super::super) weight: Weight,
    pub(in super::super) service: String,
    kind: &'static str,
    name: String,
    /// `try 2`, where there was more than one.
    attempt: String,
    /// What went wrong, if anything did.
    outcome: String,
    /// A status stands close to its attempt, a word apart from the name.
    is_status: bool,
    pub(in super::super) duration: String,
    /// In the unit of `duration`.
    pub(in super::super) own: String,
    /// From when to when it lasted.
    pub(in super::super) time: (u64, u64),
    /// From when to when the critical path led through it.
    pub(in super::super) on_path: Option<(u64, u64)>,
}

impl Label {
    /// Every row of the picture.
    pub(in super::super) fn all(picture: &Picture<'_>, surface: &Surface) -> Vec<Self> {
        let retried = picture.trace.spans.iter().any(|span| span.attempt() > 1);
        let rows = picture.rows.rows.iter();
        rows.filter_map(|row| Self::of(row, picture, retried, surface))
            .collect()
    }

    fn of(row: &Row, picture: &Picture<'_>, retried: bool, surface: &Surface) -> Option<Self> {
        let mut label = match &row.subject {
            Subject::Span(at) => {
                let span = picture.tree.span(*at)?;
                Self::span(*at, span, picture, retried)
            }
            Subject::Alike(alike) => Self::alike(alike, picture, surface)?,
            Subject::Gap(gap) => Self::gap(gap),
        };
        (label.depth, label.is_last) = (row.depth, row.is_last);
        Some(label)
    }

    fn span(at: usize, span: &Span, picture: &Picture<'_>, retried: bool) -> Self {
        let outcome = span.outcome();
        let is_head = picture.tree.head() == Some(at);
        let (text, is_status) = if is_head {
            // The head line has told it.
            (String::new(), false)
        } else {
            outcome_words(span, &outcome)
        };
        let is_attempt = retried && span.kind == Kind::Client;
        let own = picture.own.get(at).copied().unwrap_or(0);
        Self {
            name: name(span),
            attempt: if is_attempt {
                format!("try {}", span.attempt())
            } else {
                String::new()
            },
            outcome: escape::shown(&text).into_owned(),
            is_status,
            // The head line has the cross of the whole.
            weight: if is_head {
                Weight::Fine
            } else {
                outcome.weight
            },
            on_path: picture.path.range(at),
            ..Self::timed(span, (span.start, span.end), span.duration(), own)
        }
    }

    fn alike(alike: &Alike, picture: &Picture<'_>, surface: &Surface) -> Option<Self> {
        let tree = &picture.tree;
        let span = tree.span(*alike.places.first()?)?;
        let times = || alike.places.iter().filter_map(|at| tree.span(*at));
        let start = times().map(|span| span.start).min()?;
        let end = times().map(|span| span.end).max()?;
        let all = covered_by(times().map(|span| (span.start, span.end)));
        let below = alike.places.iter().flat_map(|at| tree.below(Some(*at)));
        let below = below.filter_map(|at| tree.span(*at));
        let below = covered_by(below.map(|span| (span.start.max(start), span.end.min(end))));
        let ranges = || alike.places.iter().filter_map(|at| picture.path.range(*at));
        let from = ranges().map(|(from, _)| from).min();
        let to = ranges().map(|(_, to)| to).max();
        let errors = match alike.errors {
            0 => String::new(),
            1 => "1 error".to_owned(),
            more => format!("{more} errors"),
        };
        let (times, count) = (surface.glyphs.times, alike.places.len());
        Some(Self {
            name: name(span),
            attempt: format!("{times}{count}"),
            weight: if alike.errors > 0 {
                Weight::Failure
            } else {
                Weight::Fine
            },
            outcome: errors,
            on_path: from.zip(to),
            ..Self::timed(span, (start, end), all, all.saturating_sub(below))
        })
    }

    fn gap(gap: &Gap) -> Self {
        let name = match gap.reason {
            Reason::Retry => "waiting to retry",
            Reason::Own => "no span inside",
            Reason::Nobody => "nothing recorded",
        };
        Self {
            depth: 0,
            is_last: false,
            is_gap: true,
            weight: Weight::Fine,
            service: String::new(),
            kind: "",
            name: name.to_owned(),
            attempt: String::new(),
            outcome: String::new(),
            is_status: false,
            duration: duration_text(Duration::from_nanos(gap.duration())),
            own: String::new(),
            time: (gap.from, gap.to),
            on_path: None,
        }
    }

    /// What every row of a span has.
    fn timed(span: &Span, time: (u64, u64), all: u64, own: u64) -> Self {
        let (all, own) = (Duration::from_nanos(all), Duration::from_nanos(own));
        Self {
            depth: 0,
            is_last: false,
            is_gap: false,
            weight: Weight::Fine,
            service: escape::shown(span.told_service()).into_owned(),
            kind: if span.kind == Kind::Unspecified {
                ""
            } else {
                span.kind.name()
            },
            name: String::new(),
            attempt: String::new(),
            outcome: String::new(),
            is_status: false,
            duration: duration_text(all),
            own: number_like(own, all),
            time,
            on_path: None,
        }
    }

    /// Columns without which something of it is cut but its name.
    pub(in super::super) fn columns_least(&self, branch: usize) -> usize {
        let name = escape::columns(&self.name).min(NAME_MIN);
        branch + self.kind_columns() + name + self.tail_columns()
    }

    /// Where it stands in the tree: how deep, whether it is the last there, whether it is a gap.
    pub(in super::super) const fn place(&self) -> (usize, bool, bool) {
        (self.depth, self.is_last, self.is_gap)
    }

    /// All that it says, without its place in the tree; what is long is cut.
    pub(in super::super) fn words(&self) -> String {
        let words = [self.kind, &self.name, &self.attempt, &self.outcome];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        words.join(" ")
    }

    fn kind_columns(&self) -> usize {
        let columns = escape::columns(self.kind);
        if columns > 0 { columns + 1 } else { 0 }
    }

    fn tail_columns(&self) -> usize {
        let attempt = escape::columns(&self.attempt);
        let outcome = escape::columns(&self.outcome);
        let attempt = if attempt > 0 { attempt + 1 } else { 0 };
        let outcome = if outcome > 0 {
            outcome + self.outcome_gap()
        } else {
            0
        };
        attempt + outcome
    }

    /// What is told of the outcome on a row of so many columns: a long error leaves the name its
    /// least.
    fn outcome_within<'a>(&'a self, columns: usize, surface: &Surface) -> Cow<'a, str> {
        let outcome = escape::columns(&self.outcome);
        let name = escape::columns(&self.name).min(NAME_MIN);
        let wanted = self.kind_columns() + name + self.tail_columns();
        let over = wanted.saturating_sub(columns);
        if over == 0 || outcome <= OUTCOME_MIN {
            return Cow::Borrowed(&self.outcome);
        }
        let room = outcome.saturating_sub(over).max(OUTCOME_MIN);
        Cow::Owned(surface.cut(&self.outcome, room))
    }

    const fn outcome_gap(&self) -> usize {
        if self.is_status { 1 } else { 2 }
    }

    /// `branch`, kind, name, attempt and outcome on exactly `columns` columns. The name is
    /// shortened first, then the outcome, then the name again; then the kind goes, then the end is
    /// cut.
    pub(in super::super) fn text(&self, branch: &str, columns: usize, surface: &Surface) -> String {
        let branch = surface.cut(branch, columns);
        let mut line = Fitted::new(columns, surface);
        line.push(&branch, 0, &str::to_owned);
        let outcome = self.outcome_within(line.room, surface);
        let cut = escape::columns(&self.outcome).saturating_sub(escape::columns(&outcome));
        let tail = self.tail_columns().saturating_sub(cut);
        let room = line.room.saturating_sub(tail);
        let least = escape::columns(&self.name).min(5);
        let kind = self.kind_columns();
        let has_kind = kind > 0 && kind + least <= room;
        if has_kind {
            line.push(self.kind, 0, &str::to_owned);
        }
        let gap = usize::from(has_kind);
        let room = room.saturating_sub(if has_kind { kind } else { 0 });
        // Of a call, attempt and status say more than the method does.
        let is_call = self.kind == Kind::Client.name() && tail > 0;
        let name = if room < least && is_call {
            String::new()
        } else {
            let room = room.max(NAME_CUT.min(line.room));
            escape::shorten_name(&self.name, room, surface.glyphs.ellipsis)
        };
        let paint = surface.paint;
        if self.is_gap {
            line.push(&name, gap, &str::to_owned);
        } else {
            line.push(&name, gap, &|text| paint.bold(text).to_string());
        }
        let is_first = name.is_empty() && !has_kind;
        line.push(&self.attempt, usize::from(!is_first), &str::to_owned);
        line.push(&outcome, self.outcome_gap(), &|text| {
            painted(text, self.weight, surface)
        });
        line.filled()
    }

    /// The same for narrow terminals: a call is named by whom it asks.
    pub(in super::super) fn narrow(mut self) -> Self {
        if self.kind == Kind::Client.name() && !self.service.is_empty() {
            self.name = std::mem::take(&mut self.service);
        }
        self
    }
}

/// A line of bounded width being filled.
struct Fitted<'s> {
    out: String,
    room: usize,
    surface: &'s Surface,
}

impl<'s> Fitted<'s> {
    const fn new(room: usize, surface: &'s Surface) -> Self {
        let out = String::new();
        Self { out, room, surface }
    }

    /// `text` after `gap` spaces, cut to the room there is; nothing of it where there is none.
    fn push(&mut self, text: &str, gap: usize, paint: &dyn Fn(&str) -> String) {
        if text.is_empty() || self.room <= gap {
            return;
        }
        let text = self.surface.cut(text, self.room - gap);
        self.room = self.room.saturating_sub(gap + escape::columns(&text));
        self.out.push_str(&" ".repeat(gap));
        self.out.push_str(&paint(&text));
    }

    fn filled(mut self) -> String {
        self.out.push_str(&" ".repeat(self.room));
        self.out
    }
}

/// The method of a call, whose service has a column of its own; else its name.
fn name(span: &Span) -> String {
    let name = match span.kind {
        Kind::Client => span.told_method(),
        Kind::Unspecified | Kind::Internal | Kind::Server | Kind::Producer | Kind::Consumer => {
            span.told_name()
        }
    };
    escape::shown(&name).into_owned()
}

/// What is told of an outcome on a row, and whether it begins with a status.
fn outcome_words(span: &Span, outcome: &Outcome) -> (String, bool) {
    match (span.decision(), outcome.weight) {
        (Some(_), Weight::Fine) | (None, Weight::Fine) => (String::new(), false),
        (Some(decision), Weight::Caution | Weight::Failure) => (decision.to_owned(), false),
        (None, Weight::Caution | Weight::Failure) => (outcome.words(), outcome.status.is_some()),
    }
}
