//! The branches before the rows of a tree.

use super::style::Glyphs;

/// Which of the levels above a row have more to come. Rows are told in their order.
#[derive(Clone, Debug)]
pub struct Trail {
    last: Vec<bool>,
    /// What stands at the top hangs on nothing, and has no branch.
    is_bare: bool,
}

impl Trail {
    /// Of a tree whose first level has branches.
    pub const fn below_a_line() -> Self {
        Self {
            last: Vec::new(),
            is_bare: false,
        }
    }

    /// Of a tree whose first level is its root.
    pub const fn below_nothing() -> Self {
        Self {
            last: Vec::new(),
            is_bare: true,
        }
    }

    /// What stands before a row's words. Each level takes two columns, and those below `most`
    /// none. A gap lies between two others, so that its own level goes on.
    pub fn branch(
        &mut self,
        (depth, is_last, is_gap): (usize, bool, bool),
        most: usize,
        glyphs: &Glyphs,
    ) -> String {
        self.last.truncate(depth);
        let sign = match (is_gap, is_last) {
            (true, _) => glyphs.pipe,
            (false, true) => glyphs.corner,
            (false, false) => glyphs.tee,
        };
        let above = self.last.iter().skip(usize::from(self.is_bare)).take(most);
        let above = above.map(|is_last| if *is_last { " " } else { glyphs.pipe });
        let own = (depth > 0 || !self.is_bare).then_some(sign);
        let mut branch = String::new();
        for sign in above.chain(own) {
            branch.push_str(sign);
            branch.push(' ');
        }
        if is_gap {
            branch.push_str(&glyphs.gap.repeat(2));
            branch.push(' ');
        }
        self.last.push(is_last);
        branch
    }
}
