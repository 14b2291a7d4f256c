//! Where in the text something stands, for the carets of a fault.

use super::rules::literal_index;
use super::walk::Walk;
use cel::IdedExpr;
use cel::common::ast::Expr;
use std::ops::Range;

impl Walk<'_> {
    /// The bytes of a node.
    pub(super) fn place(&self, id: u64) -> Range<usize> {
        let (start, stop) = self.info.offset_for(id).unwrap_or((0, 0));
        let byte = |offset: u32| {
            let mut chars = self.text.char_indices();
            let found = chars.nth(offset as usize);
            found.map_or(self.text.len(), |(at, _)| at)
        };
        let start = byte(start);
        start..byte(stop.saturating_add(1)).max(start)
    }

    /// The bytes of the name before the bracket of a call, or the place.
    pub(super) fn name_before(&self, at: Range<usize>) -> Range<usize> {
        let head = self.text.get(..at.start).unwrap_or_default().trim_end();
        let name = head.trim_end_matches(|one: char| one.is_ascii_alphanumeric() || one == '_');
        if name.len() < head.len() {
            name.len()..head.len()
        } else {
            at
        }
    }

    /// The bytes of a word at or behind a place, or the place.
    pub(super) fn word_from(&self, at: Range<usize>, word: &str) -> Range<usize> {
        let found = self.text.get(at.start..).and_then(|rest| rest.find(word));
        // Of a member the dot is known, of a call the bracket: then the word stands before it.
        let before = || self.text.get(..at.start).and_then(|head| head.rfind(word));
        match (before(), found) {
            (Some(start), _) if start + word.len() == at.start => start..at.start,
            (_, Some(behind)) => at.start + behind..at.start + behind + word.len(),
            (_, None) => at,
        }
    }

    /// The bytes of one name of a path.
    pub(super) fn place_of_name(&self, node: &IdedExpr, name: &str) -> Range<usize> {
        let mut root = node;
        let mut outer = self.place(node.id);
        loop {
            root = if let Expr::Select(select) = &root.expr {
                &select.operand
            } else if let Expr::Call(call) = &root.expr
                && let Some((of, _)) = literal_index(call)
            {
                of
            } else {
                break;
            };
            outer.start = outer.start.min(self.place(root.id).start);
        }
        self.word_from(outer.start..outer.end, name)
    }
}
