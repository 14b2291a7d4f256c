//! The lines below a waterfall: who had the time, what went wrong, what is not here.

use super::super::super::duration::duration_text;
use super::super::super::escape;
use super::super::super::layout::Line;
use super::super::super::style::Surface;
use super::super::Canvas;
use super::Picture;
use crate::view::{Hold, Holder, Kind, Span, causes, percents, shares};
use opentelemetry::trace::SpanId;
use std::collections::BTreeMap;
use std::time::Duration;
use unicode_width::UnicodeWidthChar;

/// Where what a line says begins.
const INDENT: usize = 7;
/// Services that are told by name; the others are told together.
const HOLDERS_MAX: usize = 6;
const SERVICE_MAX: usize = 24;
/// Lines of one kind.
const LINES_MAX: usize = 3;
/// Longest sentence with span data in it, in columns.
const SENTENCE_MAX: usize = 300;
const NAME_MAX: usize = 48;

/// All of them, each ended.
pub(in super::super) fn draw(picture: &Picture<'_>, canvas: &Canvas<'_>, out: &mut String) {
    let surface = canvas.surface;
    if picture.rows.left_out > 0 {
        out.push_str(&format!(
            "{} {} more spans; --json has all\n",
            surface.glyphs.ellipsis, picture.rows.left_out
        ));
    }
    out.push_str(&time(picture, surface));
    for cause in causes(&picture.tree) {
        let sentence = surface.cut(&escape::shown(&cause.sentence), SENTENCE_MAX);
        let span = format!("(span {})", cause.span);
        let line = Line::new(INDENT)
            .whole(surface.paint.red("error"))
            .text(&format!("  {} ", parted(&sentence, surface)));
        let line = if INDENT + span.len() <= surface.columns() {
            line.styled(span.len(), span)
        } else {
            line.text(&span)
        };
        out.push_str(&line.render(surface));
    }
    listed("note", &notes(picture, surface), surface, out);
    listed("link", &links(picture, surface), surface, out);
}

/// `time   payout 80 %, waiting 19 %, edgespan 1 %   █ critical path ░ beside it`
fn time(picture: &Picture<'_>, surface: &Surface) -> String {
    let shares = shares(&picture.tree, &picture.path);
    let percents = percents(&shares.iter().map(|(_, share)| *share).collect::<Vec<_>>());
    let mut told = Vec::new();
    let mut others = 0;
    for ((holder, share), percent) in shares.iter().zip(percents) {
        // Waiting is told whatever it is, since it is what can be mended.
        let is_little = told.len() >= HOLDERS_MAX || (percent == 0 && !told.is_empty());
        if is_little && *holder != Holder::Waiting {
            others += percent;
            continue;
        }
        if *share > 0 {
            told.push(format!("{} {percent} %", name_of(holder, surface)));
        }
    }
    if others > 0 {
        told.push(format!("others {others} %"));
    }
    if told.is_empty() {
        return String::new();
    }
    let glyphs = surface.glyphs;
    let [.., full] = glyphs.eighths;
    let legend = format!("{full} critical path {} beside it", glyphs.beside);
    let mut line = Line::new(INDENT).text("time   ");
    let last = told.len().saturating_sub(1);
    for (at, share) in told.into_iter().enumerate() {
        // Never parted: a number belongs to its name.
        let share = if at < last { share + "," } else { share };
        line = line.styled(escape::columns(&share), share).text(" ");
    }
    line = line.text("  ");
    let columns = escape::columns(&legend);
    let line = if INDENT + columns <= surface.columns() {
        line.styled(columns, legend)
    } else {
        line.text(&legend)
    };
    line.render(surface)
}

fn name_of(holder: &Holder, surface: &Surface) -> String {
    match holder {
        Holder::Service(name) if name.is_empty() => "(no service)".to_owned(),
        Holder::Service(name) => {
            surface.cut(&escape::shown(name), SERVICE_MAX.min(surface.columns() / 3))
        }
        Holder::Waiting => "waiting".to_owned(),
        Holder::Nobody => "(nothing recorded)".to_owned(),
    }
}

/// Span data has words longer than a narrow terminal: they are parted where it ends, since a line
/// that wraps by itself breaks the picture. Nothing of them is left out.
fn parted(sentence: &str, surface: &Surface) -> String {
    let room = surface.columns().saturating_sub(INDENT).max(1);
    let mut out = String::with_capacity(sentence.len());
    let mut used = 0_usize;
    for character in sentence.chars() {
        let width = character.width().unwrap_or(0);
        if character == ' ' {
            used = 0;
        } else if used + width > room {
            out.push(' ');
            used = width;
        } else {
            used += width;
        }
        out.push(character);
    }
    out
}

/// The first lines of a kind, and how many more there are.
fn listed(kind: &str, lines: &[String], surface: &Surface, out: &mut String) {
    for line in lines.iter().take(LINES_MAX) {
        let line = parted(&surface.cut(line, SENTENCE_MAX), surface);
        out.push_str(
            &Line::new(INDENT)
                .text(&format!("{kind}   {line}"))
                .render(surface),
        );
    }
    if let Some(more) = lines.len().checked_sub(LINES_MAX).filter(|more| *more > 0) {
        let ellipsis = surface.glyphs.ellipsis;
        out.push_str(&format!("       {ellipsis} and {more} more\n"));
    }
}

fn label(span: &Span, surface: &Surface) -> String {
    let name = span.told_name();
    let service = span.told_service();
    let words = if span.kind == Kind::Unspecified {
        format!("{service} {name}")
    } else {
        format!("{service} {} {name}", span.kind.name())
    };
    surface.cut(&escape::shown(words.trim()), NAME_MAX)
}

/// What is not here, hangs wrong, or has another clock.
fn notes(picture: &Picture<'_>, surface: &Surface) -> Vec<String> {
    let tree = &picture.tree;
    let mut missing: BTreeMap<[u8; 8], (SpanId, Vec<&Span>)> = BTreeMap::new();
    let mut notes = Vec::new();
    for place in tree.tops().iter().filter_map(|at| tree.place(*at)) {
        match place.hold {
            Hold::Missing(parent) => {
                let waiting = missing.entry(parent.to_bytes());
                waiting.or_insert((parent, Vec::new())).1.push(place.span);
            }
            Hold::Circle(parent) => notes.push(format!(
                "{} hangs on {parent}, which hangs on it",
                label(place.span, surface)
            )),
            Hold::Root | Hold::Parent(_) => {}
        }
    }
    let missing = missing.into_values().map(|(parent, spans)| {
        let is_call = |span: &&Span| matches!(span.kind, Kind::Server | Kind::Consumer);
        match spans.as_slice() {
            [span] if is_call(span) => format!("the caller's span {parent} is not here"),
            [span] => format!(
                "{parent}, the parent of {}, is not here",
                label(span, surface)
            ),
            more => format!("{parent}, the parent of {} spans, is not here", more.len()),
        }
    });
    let mut all: Vec<String> = missing.collect();
    all.append(&mut notes);
    all.extend(early(picture, surface));
    all
}

/// Spans that begin before their parents, by clocks that differ; the most first.
fn early(picture: &Picture<'_>, surface: &Surface) -> Vec<String> {
    let tree = &picture.tree;
    let places = tree.places().iter();
    let mut early: Vec<(u64, &Span)> = places
        .filter_map(|place| {
            let Hold::Parent(above) = place.hold else {
                return None;
            };
            let by = tree.span(above)?.start.saturating_sub(place.span.start);
            (by > 0).then_some((by, place.span))
        })
        .collect();
    early.sort_by_key(|(by, _)| std::cmp::Reverse(*by));
    let told = early.into_iter().map(|(by, span)| {
        let by = duration_text(Duration::from_nanos(by));
        format!(
            "{} begins ~ {by} before its parent (span {})",
            label(span, surface),
            span.id
        )
    });
    told.collect()
}

/// What spans point at elsewhere.
fn links(picture: &Picture<'_>, surface: &Surface) -> Vec<String> {
    let spans = picture.trace.spans.iter();
    let links = spans.flat_map(|span| span.links.iter().map(move |link| (span, link)));
    let told = links.map(|(span, link)| {
        let label = label(span, surface);
        format!("{label} to trace {}, span {}", link.trace, link.span)
    });
    told.collect()
}
