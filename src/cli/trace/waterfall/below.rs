//! Rows with their bars below them, for narrow terminals: service and self time go.

use super::super::super::escape;
use super::super::super::style::Surface;
use super::Picture;
use super::beside::{drawn, mark};
use super::head::below_total;
use super::label::Label;

/// Deeper spans are indented no further.
const INDENT_MAX: usize = 6;
const MARK: usize = 2;

/// Every row; the head's bar is the whole line, so it is not drawn.
pub(super) fn rows(picture: &Picture<'_>, surface: &Surface, out: &mut String) {
    let total = below_total(surface);
    let has_head = picture.tree.head().is_some();
    for (at, label) in Label::all(picture, surface).into_iter().enumerate() {
        let label = label.narrow();
        let indent = label.depth.saturating_sub(1).min(INDENT_MAX);
        let mut branch = " ".repeat(indent);
        if label.is_gap {
            branch.push_str(&surface.glyphs.gap.repeat(2));
            branch.push(' ');
        }
        let room = total.saturating_sub(MARK + escape::columns(&label.duration) + 2);
        out.push_str(&mark(&label, surface));
        out.push_str(&label.text(&branch, room, surface));
        out.push_str(&format!("  {}\n", label.duration));
        if at > 0 || !has_head {
            out.push_str(&drawn(&label, picture.window, total, &surface.glyphs));
            out.push('\n');
        }
    }
}
