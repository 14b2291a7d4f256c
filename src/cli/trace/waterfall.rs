//! A trace over time: a row a span, its bar beside it.

use super::{Canvas, lines};
use crate::view::Trace;

/// What may be left out of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Alike siblings become one row.
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

/// The whole trace, each line ended: a picture for a person, a line a span for a pipe. With
/// colours forced into a pipe the picture goes there, too (`--color always | less -R`).
pub fn draw(trace: &Trace, canvas: &Canvas<'_>, _options: Options) -> String {
    lines::spans(trace, canvas)
}
