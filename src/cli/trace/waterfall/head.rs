//! The lines above a waterfall: which request it was, how it ended, how long it took, when.

use super::super::super::duration::duration_text;
use super::super::super::escape;
use super::super::super::layout::Line;
use super::super::super::style::Surface;
use super::super::Canvas;
use super::{Picture, usable};
use crate::clock::Timestamp;
use crate::view::{Outcome, Span, Weight};
use std::time::Duration;

const FLOW_MAX: usize = 20;
const KEPT_MAX: usize = 24;
const SHORT_ID: usize = 12;
/// Reasons of sampling that are the ordinary case and say nothing of this trace.
const ORDINARY: [&str; 2] = ["parent", "ratio"];

/// What the head says before it is laid out; all of it is safe to show.
struct Head {
    name: String,
    outcome: String,
    weight: Weight,
    duration: String,
    flow: String,
    kept: String,
}

impl Head {
    fn of(picture: &Picture<'_>, surface: &Surface) -> Self {
        let tree = &picture.tree;
        let head = tree.head().and_then(|at| tree.span(at));
        let first = head.or_else(|| tree.tops().first().and_then(|at| tree.span(*at)));
        let text = |key: &str| {
            let spans = first.into_iter().chain(picture.trace.spans.iter());
            let told = spans.filter_map(|span| span.text(key)).next();
            escape::shown(told.unwrap_or_default()).into_owned()
        };
        let outcome = first.map(Span::outcome).unwrap_or_default();
        let name = first.map(Span::told_name).unwrap_or_default();
        let name = match tree.tops().len() {
            0 => "(no spans)".to_owned(),
            more @ 2.. if head.is_none() => format!("{name} and {} more", more - 1),
            _ => name,
        };
        let kept = text("edgespan.sampling.reason");
        let kept = match kept.as_str() {
            "" => String::new(),
            reason if ORDINARY.contains(&reason) => String::new(),
            reason => format!("kept: {}", reason.replace('_', " ")),
        };
        Self {
            name: escape::shown(&name).into_owned(),
            outcome: outcome_text(&outcome, surface),
            weight: outcome.weight,
            duration: duration_text(Duration::from_nanos(picture.path.length())),
            flow: surface.cut(&text("flow"), FLOW_MAX),
            kept: surface.cut(&kept, KEPT_MAX),
        }
    }
}

/// `✗ 502`, `404`, `✗ timeout`; safe to show.
pub(in super::super) fn outcome_text(outcome: &Outcome, surface: &Surface) -> String {
    crossed(&outcome.words(), outcome.weight, surface)
}

/// `words`, safe to show, with a cross before them if they tell of a failure.
pub(crate) fn crossed(words: &str, weight: Weight, surface: &Surface) -> String {
    let text = surface.cut(&escape::shown(words), surface.columns() / 4);
    match weight {
        Weight::Failure => format!("{} {text}", surface.glyphs.cross),
        Weight::Fine | Weight::Caution => text,
    }
}

/// `text` in the colour of its weight.
pub(crate) fn painted(text: &str, weight: Weight, surface: &Surface) -> String {
    match weight {
        Weight::Failure => surface.paint.red(text).to_string(),
        Weight::Caution => surface.paint.yellow(text).to_string(),
        Weight::Fine => text.to_owned(),
    }
}

/// `POST …/release   ✗ 502   412.6 ms   escrow  kept: error`, then id, start and number of spans.
pub(in super::super) fn wide(picture: &Picture<'_>, canvas: &Canvas<'_>, out: &mut String) {
    let surface = canvas.surface;
    let head = Head::of(picture, surface);
    let gaps = [3, 3, 3, if head.flow.is_empty() { 3 } else { 2 }];
    let plain = [&head.outcome, &head.duration, &head.flow, &head.kept];
    let rest: usize = (plain.iter().zip(gaps))
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, gap)| escape::columns(text) + gap)
        .sum();
    let room = usable(surface.columns()).saturating_sub(rest);
    let name = escape::shorten_name(&head.name, room, surface.glyphs.ellipsis);
    out.push_str(&surface.paint.bold(&name).to_string());
    let texts = [
        painted(&head.outcome, head.weight, surface),
        head.duration,
        head.flow,
        head.kept,
    ];
    for (text, gap) in texts.iter().zip(gaps) {
        if !text.is_empty() {
            out.push_str(&" ".repeat(gap));
            out.push_str(text);
        }
    }
    out.push('\n');

    let id = picture.trace.id.to_string();
    let start = canvas.zone.whole(started(picture));
    let line = Line::new(2).whole(surface.paint.dim(&id)).text("  ");
    let line = line.styled(escape::columns(&start), start);
    let line = line.text(&format!("  {}", spans(picture)));
    let line = match in_all(picture).map(|all| format!("{all} in all")) {
        Some(all) => line.text("  ").styled(escape::columns(&all), all),
        None => line,
    };
    out.push_str(&line.render(surface));
}

/// Name and outcome on one line; id, duration and number of spans on the next.
pub(in super::super) fn narrow(picture: &Picture<'_>, canvas: &Canvas<'_>, out: &mut String) {
    let surface = canvas.surface;
    let head = Head::of(picture, surface);
    let total = below_total(surface);
    let room = total.saturating_sub(escape::columns(&head.outcome) + 2);
    let name = escape::shorten_name(&head.name, room, surface.glyphs.ellipsis);
    let fill = (room + 2).saturating_sub(escape::columns(&name));
    out.push_str(&surface.paint.bold(&name).to_string());
    out.push_str(&" ".repeat(fill));
    out.push_str(&painted(&head.outcome, head.weight, surface));
    out.push('\n');

    let id: String = picture
        .trace
        .id
        .to_string()
        .chars()
        .take(SHORT_ID)
        .collect();
    let whole = format!("{}   {}", head.duration, spans(picture));
    let fill = total.saturating_sub(SHORT_ID);
    let rest = if whole.len() < fill {
        whole
    } else {
        head.duration
    };
    out.push_str(&surface.paint.dim(&id).to_string());
    out.push_str(&format!("{rest:>fill$}\n"));
}

/// Columns of the narrow form: a margin of three, of one where every column is needed.
pub(in super::super) fn below_total(surface: &Surface) -> usize {
    let columns = surface.columns();
    columns.saturating_sub(if columns < 44 { 1 } else { 3 })
}

fn started(picture: &Picture<'_>) -> Timestamp {
    let tree = &picture.tree;
    let head = tree.head().and_then(|at| tree.span(at));
    let start = head.map(|span| span.start);
    Timestamp::from_unix_nanos(start.or(tree.extent().map(|(from, _)| from)).unwrap_or(0))
}

fn spans(picture: &Picture<'_>) -> String {
    match picture.trace.spans.len() {
        1 => "1 span".to_owned(),
        more => format!("{more} spans"),
    }
}

/// How long the whole trace took, where that is longer than what its duration says.
fn in_all(picture: &Picture<'_>) -> Option<String> {
    let (from, to) = picture.tree.extent()?;
    let all = to.saturating_sub(from);
    let all_text = duration_text(Duration::from_nanos(all));
    let is_longer = all_text != duration_text(Duration::from_nanos(picture.path.length()));
    is_longer.then_some(all_text)
}
