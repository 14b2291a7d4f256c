//! A span's place within its request, in cells of a terminal and eighths of cells.

use super::style::Glyphs;

const EIGHTHS: u128 = 8;

/// The bar of `start..end` within `whole`, on `cells` columns. Both in nanoseconds; what lies
/// outside the whole is cut off, and a span that is too short to see still gets an eighth.
pub fn draw(start: u64, end: u64, whole: (u64, u64), cells: usize, glyphs: &Glyphs) -> String {
    let (from, to) = whole;
    let length = u128::from(to.saturating_sub(from)).max(1);
    let cells = u128::try_from(cells).unwrap_or(0);
    let offset = u128::from(start.clamp(from, to.max(from)).saturating_sub(from));
    let until = u128::from(end.clamp(from, to.max(from)).saturating_sub(from));

    // Blocks fill a cell from its left edge only, so the start is rounded to whole cells.
    let first = rounded(offset * cells, length).min(cells.saturating_sub(1));
    let eighths = rounded(until.saturating_sub(offset) * cells * EIGHTHS, length);
    let eighths = eighths.clamp(1, (cells.saturating_sub(first) * EIGHTHS).max(1));

    let mut bar = " ".repeat(usize::try_from(first).unwrap_or(0));
    let [.., whole_cell] = glyphs.eighths;
    bar.push_str(&whole_cell.repeat(usize::try_from(eighths / EIGHTHS).unwrap_or(0)));
    let rest = usize::try_from(eighths % EIGHTHS).unwrap_or(0);
    if let Some(part) = rest
        .checked_sub(1)
        .and_then(|rest| glyphs.eighths.get(rest))
    {
        bar.push_str(part);
    }
    bar
}

/// The same in whole cells: how many come before the bar, and how many it has, at least one.
pub fn cells(start: u64, end: u64, whole: (u64, u64), cells: usize) -> (usize, usize) {
    let (from, to) = whole;
    let length = u128::from(to.saturating_sub(from)).max(1);
    let cells = u128::try_from(cells).unwrap_or(0).max(1);
    let edge = |at: u64| {
        let offset = at.clamp(from, to.max(from)).saturating_sub(from);
        rounded(u128::from(offset) * cells, length).min(cells)
    };
    let first = edge(start).min(cells.saturating_sub(1));
    let count = edge(end).saturating_sub(first).max(1);
    let fit = |number: u128| usize::try_from(number).unwrap_or(0);
    (fit(first), fit(count))
}

const fn rounded(numerator: u128, denominator: u128) -> u128 {
    (numerator + denominator / 2) / denominator
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::escape;
    use proptest::prelude::*;

    #[track_caller]
    fn check(start: u64, end: u64, expected: &str) {
        assert_eq!(
            draw(start, end, (1000, 2000), 10, &Glyphs::UNICODE),
            expected
        );
    }

    #[test]
    fn a_bar_lies_where_its_span_lay() {
        check(1000, 2000, "██████████");
        check(1000, 1250, "██▌");
        check(1500, 2000, "     █████");
        check(1190, 1410, "  ██▎");
    }

    #[test]
    fn a_span_too_short_to_see_is_seen() {
        check(1000, 1000, "▏");
        check(2000, 2000, "         ▏");
    }

    #[test]
    fn what_lies_outside_the_request_is_cut_off() {
        check(0, 9000, "██████████");
        check(5000, 9000, "         ▏");
        assert_eq!(draw(5, 5, (5, 5), 4, &Glyphs::ASCII), "#");
    }

    #[test]
    fn whole_cells_leave_no_room_between_neighbours() {
        let check =
            |start, end, expected| assert_eq!(cells(start, end, (1000, 2000), 10), expected);
        check(1000, 2000, (0, 10));
        check(1000, 1340, (0, 3));
        check(1340, 1660, (3, 4));
        check(1660, 2000, (7, 3));
        check(1500, 1500, (5, 1));
        check(2000, 2000, (9, 1));
        check(0, 9000, (0, 10));
    }

    proptest! {
        #[test]
        fn no_whole_cell_lies_outside(start: u64, end: u64, from: u64, to: u64, count in 1_usize..100) {
            let (first, own) = cells(start, end, (from, to), count);
            prop_assert!(own >= 1 && first + own <= count);
        }

        #[test]
        fn no_bar_is_wider_than_its_cells(start: u64, end: u64, from: u64, to: u64, cells in 1_usize..100) {
            let bar = draw(start, end, (from, to), cells, &Glyphs::UNICODE);
            prop_assert!(escape::columns(&bar) <= cells);
        }
    }
}
