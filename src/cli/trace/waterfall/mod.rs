//! A trace over time: a row a span, its bar beside it or, on narrow terminals, below it.

mod below;
pub(super) mod beside;
pub(super) mod ending;
pub(super) mod head;
pub(super) mod label;

#[cfg(test)]
mod tests;

use super::{Canvas, lines};
use crate::view::{Folding, Path, Rows, Trace, Tree, own_times};
pub(in crate::cli) use head::{crossed, painted};

/// Narrower terminals get their bars below the rows.
const BESIDE_MIN: usize = 60;
/// Most rows: more than anybody reads, and few enough that they are there at once.
const ROWS_MAX: usize = 1000;
/// A span far outside the trace's own time, by a clock that is wrong, would leave no room for any
/// other. The picture reaches this many lengths of the whole to both sides, at least a second.
const REACH: u64 = 20;
const REACH_MIN_NANOS: u64 = 1_000_000_000;

/// What the picture leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Five or more alike siblings become one row.
    pub fold: bool,
    /// Gaps in the critical path are rows.
    pub gaps: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fold: true,
            gaps: true,
        }
    }
}

/// A trace with all that is known of it.
pub(super) struct Picture<'a> {
    pub(super) trace: &'a Trace,
    pub(super) tree: Tree<'a>,
    pub(super) path: Path,
    /// By place, in nanoseconds.
    pub(super) own: Vec<u64>,
    pub(super) rows: Rows,
    /// From when to when the bars reach.
    pub(super) window: (u64, u64),
}

/// The whole trace, each line ended: a picture for a person, a line a span for a pipe. With
/// colours forced into a pipe the picture goes there, too (`--color always | less -R`).
pub fn draw(trace: &Trace, canvas: &Canvas<'_>, options: Options) -> String {
    if !canvas.surface.is_terminal && !canvas.surface.paint.is_on() {
        return lines::spans(trace);
    }
    let picture = Picture::of(trace, options);
    let columns = canvas.surface.columns();
    let mut out = String::new();
    if columns >= BESIDE_MIN {
        head::wide(&picture, canvas, &mut out);
        beside::rows(&picture, canvas.surface, &mut out);
    } else {
        head::narrow(&picture, canvas, &mut out);
        below::rows(&picture, canvas.surface, &mut out);
    }
    ending::draw(&picture, canvas, &mut out);
    out
}

impl<'a> Picture<'a> {
    pub(super) fn of(trace: &'a Trace, options: Options) -> Self {
        let tree = Tree::of(trace);
        let path = Path::of(&tree);
        let folding = Folding {
            alike: options.fold,
            gaps: options.gaps,
            rows_max: ROWS_MAX,
        };
        Self {
            trace,
            own: own_times(&tree),
            rows: Rows::of(&tree, &path, folding),
            window: window(&tree),
            tree,
            path,
        }
    }
}

/// From when to when the bars reach: all spans, but for those whose clock is far off.
fn window(tree: &Tree<'_>) -> (u64, u64) {
    let extent = tree.extent().unwrap_or_default();
    let Some(head) = tree.head().and_then(|at| tree.span(at)) else {
        return extent;
    };
    let reach = head.duration().saturating_mul(REACH).max(REACH_MIN_NANOS);
    (
        extent.0.max(head.start.saturating_sub(reach)),
        extent.1.min(head.end.saturating_add(reach)),
    )
}

/// Columns that a picture may take: the last one stays free, so that no line wraps.
const fn usable(columns: usize) -> usize {
    columns.saturating_sub(1)
}
