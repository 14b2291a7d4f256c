//! Which span hangs on which.

use super::model::{Span, Trace};
use opentelemetry::trace::SpanId;
use std::collections::HashMap;

/// The spans of a trace, parents before their children, siblings by start.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    places: Vec<Place<'a>>,
    tops: Vec<usize>,
}

/// A span's place in the tree.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The span.
    pub span: &'a Span,
    /// What it hangs on.
    pub hold: Hold,
    /// How many spans stand above it.
    pub depth: usize,
    /// Places of its children, by start.
    pub children: Vec<usize>,
}

/// What a span hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nothing: it has no parent.
    Root,
    /// A parent that is not here: the caller's, or one that was lost.
    Missing(SpanId),
    /// The span at this place.
    Parent(usize),
    /// Its parents go in a circle; this is where it was cut open.
    Circle(SpanId),
}

impl<'a> Tree<'a> {
    /// Of all spans of `trace`; each has exactly one place.
    pub fn of(trace: &'a Trace) -> Self {
        let spans = &trace.spans;
        let by_id: HashMap<SpanId, usize> = (spans
            .iter()
            .enumerate()
            .rev()
            .map(|(at, span)| (span.id, at)))
        .collect();
        let mut growing = Growing {
            spans,
            children: vec![Vec::new(); spans.len()],
            taken: vec![false; spans.len()],
            places: Vec::with_capacity(spans.len()),
            tops: Vec::new(),
        };
        let mut tops = Vec::new();
        for (at, span) in spans.iter().enumerate() {
            let above = span.parent.map(|parent| (parent, by_id.get(&parent)));
            match above {
                None => tops.push((at, Hold::Root)),
                Some((parent, None)) => tops.push((at, Hold::Missing(parent))),
                Some((parent, Some(above))) if *above == at => {
                    tops.push((at, Hold::Circle(parent)));
                }
                Some((_, Some(above))) => {
                    if let Some(children) = growing.children.get_mut(*above) {
                        children.push(at);
                    }
                }
            }
        }
        for (at, hold) in tops {
            growing.grow(at, hold);
        }
        // Whoever has no place by now has parents that go in a circle, or hangs on one who has.
        for (at, span) in spans.iter().enumerate() {
            growing.grow(at, Hold::Circle(span.parent.unwrap_or(span.id)));
        }
        Self {
            places: growing.places,
            tops: growing.tops,
        }
    }

    /// All places, parents before children.
    pub fn places(&self) -> &[Place<'a>] {
        &self.places
    }

    /// A place.
    pub fn place(&self, at: usize) -> Option<&Place<'a>> {
        self.places.get(at)
    }

    /// The span at a place.
    pub fn span(&self, at: usize) -> Option<&'a Span> {
        self.places.get(at).map(|place| place.span)
    }

    /// Places of spans that hang on no other, by start.
    pub fn tops(&self) -> &[usize] {
        &self.tops
    }

    /// Places of the children of `at`; of the tops for None.
    pub fn below(&self, at: Option<usize>) -> &[usize] {
        match at {
            None => &self.tops,
            Some(at) => self
                .places
                .get(at)
                .map_or(&[], |place| place.children.as_slice()),
        }
    }

    /// The span that stands for the whole trace: its only root, else its only span at the top,
    /// else none.
    pub fn head(&self) -> Option<usize> {
        let is_root = |at: &usize| {
            self.place(*at)
                .is_some_and(|place| place.hold == Hold::Root)
        };
        let mut roots = self.tops.iter().copied().filter(is_root);
        match (roots.next(), roots.next(), self.tops.as_slice()) {
            (Some(root), None, _) => Some(root),
            (None, _, [only]) => Some(*only),
            _ => None,
        }
    }

    /// From the first start to the last end; None of a trace without spans.
    pub fn extent(&self) -> Option<(u64, u64)> {
        let spans = || self.places.iter().map(|place| place.span);
        let from = spans().map(|span| span.start).min()?;
        let to = spans().map(|span| span.end).max()?;
        Some((from, to))
    }
}

struct Growing<'a> {
    spans: &'a [Span],
    /// By index of the span; emptied as places are given.
    children: Vec<Vec<usize>>,
    taken: Vec<bool>,
    places: Vec<Place<'a>>,
    tops: Vec<usize>,
}

impl Growing<'_> {
    /// Gives `top` and all that hang on it their places; nothing if it has one.
    fn grow(&mut self, top: usize, hold: Hold) {
        // Depth first, with the next sibling on top of the stack: a chain of spans may be longer
        // than a thread's stack is deep.
        let mut stack = vec![(top, hold, 0)];
        while let Some((index, hold, depth)) = stack.pop() {
            let Some(span) = self.spans.get(index) else {
                continue;
            };
            match self.taken.get_mut(index) {
                Some(taken) if !*taken => *taken = true,
                _ => continue,
            }
            let at = self.places.len();
            self.places.push(Place {
                span,
                hold,
                depth,
                children: Vec::new(),
            });
            match hold {
                Hold::Parent(above) => {
                    if let Some(above) = self.places.get_mut(above) {
                        above.children.push(at);
                    }
                }
                Hold::Root | Hold::Missing(_) | Hold::Circle(_) => self.tops.push(at),
            }
            let children = self.children.get_mut(index).map(std::mem::take);
            let children = children.unwrap_or_default();
            stack.extend(
                (children.into_iter().rev()).map(|child| (child, Hold::Parent(at), depth + 1)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{any_trace, span, trace};
    use super::*;
    use proptest::prelude::*;

    fn ids(tree: &Tree<'_>, places: &[usize]) -> Vec<u64> {
        let id = |at: &usize| u64::from_be_bytes(tree.span(*at).unwrap().id.to_bytes());
        places.iter().map(id).collect()
    }

    #[test]
    fn parents_come_before_their_children_and_siblings_by_start() {
        let trace = trace(vec![
            span(1, 0, 0, 100),
            span(2, 1, 50, 60),
            span(3, 1, 10, 20),
            span(4, 3, 12, 13),
        ]);
        let tree = Tree::of(&trace);

        assert_eq!(ids(&tree, &[0, 1, 2, 3]), [1, 3, 4, 2]);
        assert_eq!(ids(&tree, tree.below(Some(0))), [3, 2]);
        assert_eq!(tree.head(), Some(0));
    }

    #[test]
    fn spans_whose_parents_are_not_here_stand_at_the_top() {
        let trace = trace(vec![span(1, 9, 0, 100), span(2, 1, 1, 2)]);
        let tree = Tree::of(&trace);

        assert_eq!(tree.places()[0].hold, Hold::Missing(SpanId::from(9)));
        assert_eq!(tree.head(), Some(0), "the only one there is");

        let trace = self::trace(vec![span(1, 9, 0, 100), span(2, 8, 1, 2)]);
        assert_eq!(Tree::of(&trace).head(), None);
        let trace = self::trace(vec![span(1, 9, 0, 100), span(2, 0, 1, 2)]);
        let tree = Tree::of(&trace);
        assert_eq!(ids(&tree, &[tree.head().unwrap()]), [2], "the root");
    }

    #[test]
    fn circles_are_cut_open() {
        let trace = trace(vec![
            span(1, 2, 0, 10),
            span(2, 1, 1, 9),
            span(3, 3, 2, 8),
            span(4, 2, 3, 4),
        ]);
        let tree = Tree::of(&trace);

        assert_eq!(ids(&tree, tree.tops()), [3, 1]);
        assert_eq!(tree.places().len(), 4);
    }

    proptest! {
        #[test]
        fn every_span_has_exactly_one_place(trace in any_trace()) {
            let tree = Tree::of(&trace);

            prop_assert_eq!(tree.places().len(), trace.spans.len());
            let mut ids: Vec<_> = tree.places().iter().map(|one| one.span.id.to_bytes()).collect();
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), trace.spans.len());
            for (at, place) in tree.places().iter().enumerate() {
                for child in &place.children {
                    prop_assert!(*child > at);
                    prop_assert_eq!(tree.place(*child).unwrap().depth, place.depth + 1);
                }
            }
        }
    }
}
