//! Rows with their bars beside them, under an axis.

use super::super::super::bar;
use super::super::super::branch::Trail;
use super::super::super::escape;
use super::super::super::style::{Glyphs, Surface};
use super::label::Label;
use super::{Picture, usable};
use crate::view::Weight;
use std::time::Duration;

/// A bar that is shorter says nothing.
const BAR_MIN: usize = 10;
/// A bar that is shorter has no room for four marks on its axis.
const FOUR_MARKS_MIN: usize = 20;
const SERVICE: &str = "service";
/// The cross and a space before each row.
const MARK: usize = 2;
const TIME_MIN: usize = 10;
const OWN_MIN: usize = 8;
/// What stays of a label for its words, however deep its span hangs.
const WORDS_MIN: usize = 16;

/// Widths of the columns.
struct Columns {
    service: usize,
    label: usize,
    bar: usize,
    time: usize,
    own: usize,
    /// Most levels that are drawn.
    depth: usize,
}

/// The axis and every row.
pub(in super::super) fn rows(picture: &Picture<'_>, surface: &Surface, out: &mut String) {
    let labels = Label::all(picture, surface);
    let columns = Columns::of(&labels, surface);
    axis(picture, &columns, out);
    let mut trail = Trail::below_nothing();
    for label in &labels {
        let branch = trail.branch(label.place(), columns.depth, &surface.glyphs);
        row(label, &branch, picture, &columns, surface, out);
    }
}

impl Columns {
    fn of(labels: &[Label], surface: &Surface) -> Self {
        let total = usable(surface.columns());
        let widest = |of: &dyn Fn(&Label) -> usize| labels.iter().map(of).max().unwrap_or(0);
        let service = widest(&|label| escape::columns(&label.service));
        let service = service.clamp(SERVICE.len(), (total / 6).max(SERVICE.len()));
        let time = (widest(&|label| escape::columns(&label.duration)) + 2).max(TIME_MIN);
        let own = (widest(&|label| escape::columns(&label.own)) + 2).max(OWN_MIN);
        let rest = total.saturating_sub(MARK + service + 1 + time + own);
        // About half for the labels, so that bars of one trace begin where those of the next do;
        // more if they need it and the bars keep enough.
        let most = (rest * 2 / 3).min(rest.saturating_sub(BAR_MIN));
        let half = rest * 12 / 25;
        let depth = most.saturating_sub(WORDS_MIN) / 2;
        let needed = widest(&|label| label.columns_least(label.depth.min(depth + 1) * 2)) + 1;
        let label = half.max(needed.min(most));
        Self {
            service,
            label,
            bar: rest.saturating_sub(label),
            time,
            own,
            depth,
        }
    }
}

fn axis(picture: &Picture<'_>, columns: &Columns, out: &mut String) {
    let (from, to) = picture.window;
    let marks = marks(to.saturating_sub(from), columns.bar);
    let line = format!(
        "{:MARK$}{SERVICE:<service$} {:<label$}{marks}{:>time$}{:>own$}",
        "",
        "span",
        "time",
        "self",
        service = columns.service,
        label = columns.label,
        time = columns.time,
        own = columns.own,
    );
    out.push_str(&line);
    out.push('\n');
}

/// `0       138      275   413`: the numbers at each third, or at both ends.
fn marks(nanos: u64, cells: usize) -> String {
    let [first, between @ .., last] = numbers(nanos);
    let mut out = first;
    if nanos == 0 {
        return format!("{out:<cells$}");
    }
    if cells >= FOUR_MARKS_MIN {
        for (third, text) in (1..).zip(between) {
            let at = cells * third / 3;
            // Only where a space stays on both sides.
            if at > out.len() && at + text.len() + 1 + last.len() <= cells {
                out.push_str(&" ".repeat(at - out.len()));
                out.push_str(&text);
            }
        }
    }
    let fill = cells.saturating_sub(out.len());
    if last.len() < fill {
        out.push_str(&format!("{last:>fill$}"));
    } else {
        out.push_str(&" ".repeat(fill));
    }
    out
}

/// The numbers at both ends and between the thirds of so many nanoseconds, in the unit in which
/// the whole is told.
pub(in super::super) fn numbers(nanos: u64) -> [String; 4] {
    let whole = Duration::from_nanos(nanos).as_secs_f64();
    let scale = if whole * 1000.0 < 999.95 { 1000.0 } else { 1.0 };
    let whole = whole * scale;
    [0.0, 1.0, 2.0, 3.0].map(|third| {
        let part = whole * third / 3.0;
        match whole {
            _ if part <= 0.0 => "0".to_owned(),
            100.0.. => format!("{part:.0}"),
            10.0.. => format!("{part:.1}"),
            0.1.. => format!("{part:.2}"),
            _ => format!("{part:.3}"),
        }
    })
}

fn row(
    label: &Label,
    branch: &str,
    picture: &Picture<'_>,
    columns: &Columns,
    surface: &Surface,
    out: &mut String,
) {
    let paint = surface.paint;
    out.push_str(&mark(label, surface));
    let service = surface.cut(&label.service, columns.service);
    let fill = columns.service.saturating_sub(escape::columns(&service)) + 1;
    out.push_str(&format!("{}{:fill$}", paint.cyan(&service), ""));
    out.push_str(&label.text(branch, columns.label.saturating_sub(1), surface));
    out.push(' ');
    let bar = drawn(label, picture.window, columns.bar, &surface.glyphs);
    let fill = columns.bar.saturating_sub(escape::columns(&bar));
    out.push_str(&bar);
    let time = columns.time;
    out.push_str(&format!("{:fill$}{:>time$}", "", label.duration));
    if !label.own.is_empty() {
        let own = columns.own;
        out.push_str(&format!("{:>own$}", label.own));
    }
    out.push('\n');
}

/// The cross of a row that failed, or as much room.
pub(in super::super) fn mark(label: &Label, surface: &Surface) -> String {
    if label.weight == Weight::Failure {
        format!("{} ", surface.paint.red(surface.glyphs.cross))
    } else {
        " ".repeat(MARK)
    }
}

/// A row's bar: whole cells, one sign where the critical path led through it and another beside
/// that; what is too short for half a cell gets the thinnest sign there is.
pub(in super::super) fn drawn(
    label: &Label,
    window: (u64, u64),
    cells: usize,
    glyphs: &Glyphs,
) -> String {
    let (start, end) = label.time;
    let (first, count) = bar::cells(start, end, window, cells);
    let mut out = " ".repeat(first);
    if label.is_gap {
        out.push_str(&glyphs.gap.repeat(count));
        return out;
    }
    let [thin, .., full] = glyphs.eighths;
    let Some((from, to)) = label.on_path else {
        out.push_str(&glyphs.beside.repeat(count));
        return out;
    };
    let length = u128::from(window.1.saturating_sub(window.0)).max(1);
    let own = u128::from(end.saturating_sub(start));
    if own * 2 * u128::try_from(cells).unwrap_or(1) < length {
        out.push_str(thin);
        return out;
    }
    let (on_first, on_count) = bar::cells(from, to, window, cells);
    for cell in first..first.saturating_add(count) {
        let is_on = cell >= on_first && cell < on_first.saturating_add(on_count);
        out.push_str(if is_on { full } else { glyphs.beside });
    }
    out
}
