//! A request as a tree with bars, for a person at a terminal.
//!
//! A head line, then a row a span. From sixty columns on the bars stand beside the rows, below
//! that under them.

use super::super::bar;
use super::super::duration::duration_text;
use super::super::escape;
use super::super::style::{Glyphs, Surface};
use super::super::trace::waterfall::{crossed, painted};
use super::request::FinishedRequest;
use super::rows::{Row, Rows};
use crate::view::{Outcome, Span, Weight};
use opentelemetry::trace::TraceId;
use std::time::Duration;

/// Narrower terminals get their bars below the rows.
const BESIDE_MIN: usize = 60;
/// From here on a head line has room for a whole trace id.
const WHOLE_ID_MIN: usize = 120;
const SHORT_ID: usize = 12;
/// A bar that is shorter says nothing.
const BAR_MIN: usize = 10;

/// Columns that a tree may take: a margin of three, of one where every column is needed.
const fn usable(columns: usize) -> usize {
    columns.saturating_sub(if columns < 44 { 1 } else { 3 })
}

/// The whole tree, each line ended.
pub(super) fn draw(request: &FinishedRequest, surface: &Surface) -> String {
    let Some(root) = request.root() else {
        return String::new();
    };
    let columns = surface.columns();
    let rows = Rows::of(request, surface);
    let mut out = String::new();
    if columns >= BESIDE_MIN {
        head(root, request.trace.id, surface, columns, &mut out);
        beside(&rows, root, surface, columns, &mut out);
    } else {
        narrow_head(root, request, surface, columns, &mut out);
        below(&rows, root, surface, columns, &mut out);
    }
    if rows.left_out > 0 {
        let ellipsis = surface.glyphs.ellipsis;
        out.push_str(&format!("  {ellipsis} {} more spans\n", rows.left_out));
    }
    out
}

/// `✗ 502`, `404`, `✗ timeout`; safe to show.
pub(super) fn outcome_text(outcome: &Outcome, surface: &Surface) -> String {
    crossed(&outcome.words(), outcome.weight, surface)
}

/// `allow`, `✗ timeout`; safe to show.
pub(super) fn decision_text(decision: &str, weight: Weight, surface: &Surface) -> String {
    crossed(decision, weight, surface)
}

/// `POST /api/v1/orders/{order_id}/release  ✗ 502  412.6 ms  escrow  4bf92f3577b3`
fn head(root: &Span, trace: TraceId, surface: &Surface, columns: usize, out: &mut String) {
    let paint = surface.paint;
    let told = root.outcome();
    let outcome = outcome_text(&told, surface);
    let duration = duration_text(Duration::from_nanos(root.duration()));
    let flow = root.text("flow").map(escape::shown).unwrap_or_default();
    let flow = surface.cut(&flow, 20);
    let id = if columns >= WHOLE_ID_MIN {
        trace.to_string()
    } else {
        trace.to_string().chars().take(SHORT_ID).collect()
    };
    let rest = [&outcome, &duration, &flow, &id];
    let rest: usize = rest
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| escape::columns(text) + 2)
        .sum();
    let name = root.told_name();
    let name = escape::shown(&name);
    let name = escape::shorten_name(&name, columns.saturating_sub(rest), surface.glyphs.ellipsis);

    out.push_str(&paint.bold(&name).to_string());
    let painted = [
        painted(&outcome, told.weight, surface),
        duration,
        flow,
        paint.dim(&id).to_string(),
    ];
    for text in painted.iter().filter(|text| !text.is_empty()) {
        out.push_str("  ");
        out.push_str(text);
    }
    out.push('\n');
}

/// Rows with their bars beside them.
fn beside(rows: &Rows, root: &Span, surface: &Surface, columns: usize, out: &mut String) {
    let total = usable(columns);
    let gap = |width: usize| if width > 0 { width + 2 } else { 0 };
    let duration = gap(rows.widest(|row| escape::columns(&row.duration))).max(10);
    let outcome = gap(rows.widest(|row| escape::columns(&row.outcome)));
    let attempt = gap(rows.widest(|row| escape::columns(&row.attempt)));
    let name = rows.widest(Row::name_columns);

    // About half of the line, so that bars of one request begin where those of the next do; more
    // if the names need it and the bars keep enough.
    let label_max = total.saturating_sub(duration + BAR_MIN);
    let label_min = total * 37 / 77;
    let label = (name + outcome + attempt + 1).clamp(label_min.min(label_max), label_max);
    let name = name.min(label.saturating_sub(outcome + attempt + 1));
    let slack = label.saturating_sub(name + outcome + attempt);
    let cells = total.saturating_sub(label + duration);

    for row in &rows.rows {
        if row.is_gap {
            out.push_str(&row.name(name + outcome + attempt, surface));
        } else {
            out.push_str(&row.name(name, surface));
            push_column(&row.outcome, outcome, row.weight, surface, out);
            push_column(&row.attempt, attempt, Weight::Fine, surface, out);
        }
        out.push_str(&" ".repeat(slack));
        let drawn = bar(row, (root.start, root.end), cells, &surface.glyphs);
        out.push_str(&drawn);
        out.push_str(&" ".repeat(cells.saturating_sub(escape::columns(&drawn))));
        out.push_str(&format!("{:>duration$}\n", row.duration));
    }
}

/// The bar of a span, or the dots of a gap.
fn bar(row: &Row, whole: (u64, u64), cells: usize, glyphs: &Glyphs) -> String {
    let (start, end) = row.time;
    if !row.is_gap {
        return bar::draw(start, end, whole, cells, glyphs);
    }
    let (first, count) = bar::cells(start, end, whole, cells);
    " ".repeat(first) + &glyphs.gap.repeat(count)
}

/// Two columns of space, then `text`, filled up to `columns` in all.
fn push_column(text: &str, columns: usize, weight: Weight, surface: &Surface, out: &mut String) {
    if columns == 0 {
        return;
    }
    out.push_str("  ");
    out.push_str(&painted(text, weight, surface));
    out.push_str(&" ".repeat(columns.saturating_sub(2 + escape::columns(text))));
}

/// Name and outcome on one line; id, duration and number of spans on the next.
fn narrow_head(
    root: &Span,
    request: &FinishedRequest,
    surface: &Surface,
    columns: usize,
    out: &mut String,
) {
    let total = usable(columns);
    let told = root.outcome();
    let outcome = outcome_text(&told, surface);
    let room = total.saturating_sub(escape::columns(&outcome) + 2);
    let name = root.told_name();
    let name = escape::shown(&name);
    let name = escape::shorten_name(&name, room, surface.glyphs.ellipsis);
    let fill = (room + 2).saturating_sub(escape::columns(&name));
    out.push_str(&surface.paint.bold(&name).to_string());
    out.push_str(&" ".repeat(fill));
    out.push_str(&painted(&outcome, told.weight, surface));
    out.push('\n');

    let id: String = request
        .trace
        .id
        .to_string()
        .chars()
        .take(SHORT_ID)
        .collect();
    let spans = match request.trace.spans.len() {
        1 => "1 span".to_owned(),
        more => format!("{more} spans"),
    };
    let duration = duration_text(Duration::from_nanos(root.duration()));
    let whole = format!("{duration}   {spans}");
    let fill = total.saturating_sub(SHORT_ID);
    let rest = if whole.len() < fill { whole } else { duration };
    out.push_str(&surface.paint.dim(&id).to_string());
    out.push_str(&format!("{rest:>fill$}\n"));
}

/// Rows with their bars under them; the root's bar is the whole line, so it is not drawn.
fn below(rows: &Rows, root: &Span, surface: &Surface, columns: usize, out: &mut String) {
    let total = usable(columns);
    for row in &rows.rows {
        let duration = escape::columns(&row.duration) + 2;
        let gap = |text: &str| {
            let width = escape::columns(text);
            if width > 0 { width + 1 } else { 0 }
        };
        let fixed = duration + gap(&row.outcome) + gap(&row.attempt);
        let room = total.saturating_sub(fixed);
        let name = if row.is_gap {
            room
        } else {
            row.name_columns().min(room)
        };
        out.push_str(&row.name(name, surface));
        for (text, weight) in [(&row.attempt, Weight::Fine), (&row.outcome, row.weight)] {
            if !text.is_empty() {
                out.push(' ');
                out.push_str(&painted(text, weight, surface));
            }
        }
        out.push_str(&" ".repeat(room.saturating_sub(name)));
        out.push_str(&format!("{:>duration$}\n", row.duration));
        if !row.is_root {
            let whole = (root.start, root.end);
            out.push_str(&bar(row, whole, total, &surface.glyphs));
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::super::rows::ROWS_MAX;
    use super::*;
    use crate::cli::style::Paint;
    use crate::trace::sink::FinishedSpans;

    fn drawn(finished: &FinishedSpans, columns: usize, colour: bool, glyphs: Glyphs) -> String {
        let request = FinishedRequest::read(finished, "edgespan").unwrap();
        let surface = Surface::fixed(columns, Paint::new(colour), glyphs);
        let tree = draw(&request, &surface);
        if !colour {
            for line in tree.lines() {
                assert!(escape::columns(line) <= columns, "too wide: {line}");
            }
        }
        tree
    }

    /// The fixtures one below the other, as they come on a terminal of this width.
    fn all(columns: usize, colour: bool, glyphs: Glyphs) -> String {
        let requests = [
            fixtures::release_failed(),
            fixtures::release_tried_twice(),
            fixtures::release_done(),
            fixtures::unrouted(),
            fixtures::refused(),
        ];
        let trees = requests
            .iter()
            .map(|request| drawn(request, columns, colour, glyphs));
        trees.collect::<String>().replace('\u{1b}', "\\e")
    }

    #[test]
    fn a_request_is_a_tree_on_80_columns() {
        insta::assert_snapshot!(all(80, false, Glyphs::UNICODE));
    }

    #[test]
    fn a_request_is_a_tree_on_80_columns_in_colour() {
        insta::assert_snapshot!(all(80, true, Glyphs::UNICODE));
    }

    #[test]
    fn a_request_is_a_tree_on_60_columns() {
        insta::assert_snapshot!(all(60, false, Glyphs::UNICODE));
    }

    #[test]
    fn a_request_is_a_tree_on_40_columns() {
        insta::assert_snapshot!(all(40, false, Glyphs::UNICODE));
    }

    #[test]
    fn a_request_is_a_tree_on_40_columns_in_colour() {
        insta::assert_snapshot!(all(40, true, Glyphs::UNICODE));
    }

    #[test]
    fn a_wide_terminal_shows_whole_ids() {
        insta::assert_snapshot!(all(120, false, Glyphs::UNICODE));
    }

    #[test]
    fn a_terminal_without_utf8_gets_ascii_alone() {
        let trees = all(80, false, Glyphs::ASCII);
        assert!(trees.is_ascii());
        insta::assert_snapshot!(trees);
    }

    #[test]
    fn the_head_line_wears_its_colours_as_drawn_in_the_manual() {
        let tree = all(80, true, Glyphs::UNICODE);
        assert_eq!(
            tree.lines().next(),
            Some(
                "\\e[1mPOST /api/v1/orders/{order_id}/release\\e[0m  \\e[31m✗ 502\\e[0m  \
                 412.6 ms  escrow  \\e[2m4bf92f3577b3\\e[0m"
            )
        );
    }

    #[test]
    fn a_span_hangs_below_its_parent() {
        insta::assert_snapshot!(drawn(&fixtures::nested(), 80, false, Glyphs::UNICODE));
    }

    #[test]
    fn what_policies_decided_stands_beside_their_names() {
        insta::assert_snapshot!(drawn(&fixtures::undecided(), 80, false, Glyphs::UNICODE));
    }

    #[test]
    fn what_is_not_drawn_is_counted() {
        let many = drawn(&fixtures::many(60), 80, false, Glyphs::UNICODE);
        assert_eq!(many.lines().count(), 1 + ROWS_MAX + 1);
        assert!(many.ends_with("  … 21 more spans\n"), "{many}");
    }

    #[test]
    fn spans_that_are_each_others_parents_are_drawn() {
        insta::assert_snapshot!(drawn(&fixtures::circle(), 80, false, Glyphs::UNICODE));
    }

    #[test]
    fn span_data_never_drives_the_terminal() {
        for columns in [24, 40, 60, 80, 200] {
            let tree = drawn(&fixtures::hostile(), columns, false, Glyphs::UNICODE);
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!tree.contains(bad), "{tree:?}");
        }
        insta::assert_snapshot!(drawn(&fixtures::hostile(), 80, false, Glyphs::UNICODE));
    }
}
