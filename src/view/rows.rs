//! A trace as a list of rows: what is alike becomes one row, gaps become rows of their own, and
//! of a trace that is too long for any reader the path and the errors stay.

use super::model::Kind;
use super::path::{Gap, Path};
use super::told::Weight;
use super::tree::Tree;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// From this many alike siblings on they become one row.
const ALIKE_MIN: usize = 5;

/// What becomes of a trace's spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folding {
    /// Siblings of one name, kind and service become one row if they are five or more.
    pub alike: bool,
    /// Gaps in the critical path are rows.
    pub gaps: bool,
    /// Most rows. What is over it is left out and counted: first what is neither on the critical
    /// path nor an error, and the deepest of that.
    pub rows_max: usize,
}

/// The rows of a trace.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Parents before their children.
    pub rows: Vec<Row>,
    /// Spans that have no row and are in none.
    pub left_out: usize,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub subject: Subject,
    /// How many rows stand above it in the tree.
    pub depth: usize,
    /// Whether none of its siblings follows.
    pub is_last: bool,
    above: Option<usize>,
}

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The span at a place.
    Span(usize),
    /// Spans at these places, by start, with all that hang on them.
    Alike(Alike),
    /// Time in which nothing ran.
    Gap(Gap),
}

/// Siblings of one name, kind and service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Their places, by start.
    pub places: Vec<usize>,
    /// How many spans hang on them.
    pub below: usize,
    /// How many of all these failed.
    pub errors: usize,
}

impl Rows {
    /// Of a whole trace.
    pub fn of(tree: &Tree<'_>, path: &Path, folding: Folding) -> Self {
        let mut growing = Growing {
            tree,
            path,
            folding,
            rows: Vec::new(),
            stack: Vec::new(),
        };
        growing.siblings(None, None, 0);
        while let Some((subject, above, depth)) = growing.stack.pop() {
            growing.row(subject, above, depth);
        }
        let mut rows = growing.rows;
        let mut left_out = 0;
        if rows.len() > folding.rows_max {
            let kept = most_important(&rows, tree, path, folding.rows_max);
            left_out = (rows.iter().zip(&kept))
                .filter(|(_, kept)| !**kept)
                .map(|(row, _)| row.spans())
                .sum();
            let mut kept = kept.into_iter();
            // `above` is the row's place in the whole list, and none of the kept lost its own.
            let numbered: Vec<_> = (rows.into_iter().enumerate())
                .filter(|_| kept.next().unwrap_or(false))
                .collect();
            rows = renumbered(numbered);
        }
        let mut closed = HashSet::new();
        for row in rows.iter_mut().rev() {
            row.is_last = closed.insert(row.above);
        }
        Self { rows, left_out }
    }
}

impl Row {
    /// Spans it stands for.
    fn spans(&self) -> usize {
        match &self.subject {
            Subject::Span(_) => 1,
            Subject::Alike(alike) => alike.places.len() + alike.below,
            Subject::Gap(_) => 0,
        }
    }
}

fn renumbered(rows: Vec<(usize, Row)>) -> Vec<Row> {
    let by_old: HashMap<usize, usize> =
        (rows.iter().enumerate().map(|(new, (old, _))| (*old, new))).collect();
    let rows = rows.into_iter().map(|(_, mut row)| {
        row.above = row.above.and_then(|old| by_old.get(&old).copied());
        row
    });
    rows.collect()
}

/// Which rows stay. With each of them its parents stay, too.
fn most_important(rows: &[Row], tree: &Tree<'_>, path: &Path, most: usize) -> Vec<bool> {
    let rank = |row: &Row| {
        let (on_path, failed) = match &row.subject {
            Subject::Span(at) => (path.range(*at).is_some(), is_failure(tree, *at)),
            Subject::Alike(alike) => (
                alike.places.iter().any(|at| path.range(*at).is_some()),
                alike.errors > 0,
            ),
            Subject::Gap(_) => (true, false),
        };
        (Reverse(on_path), Reverse(failed), row.depth)
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_cached_key(|at| rows.get(*at).map(rank));

    let mut kept = vec![false; rows.len()];
    let mut count = 0;
    for at in order {
        let mut chain = Vec::new();
        let mut next = Some(at);
        while let Some(at) = next.filter(|at| kept.get(*at) == Some(&false)) {
            chain.push(at);
            next = rows.get(at).and_then(|row| row.above);
        }
        if count + chain.len() > most {
            continue;
        }
        count += chain.len();
        for at in chain {
            if let Some(kept) = kept.get_mut(at) {
                *kept = true;
            }
        }
    }
    kept
}

fn is_failure(tree: &Tree<'_>, at: usize) -> bool {
    tree.span(at)
        .is_some_and(|span| span.is_error() || span.outcome().weight == Weight::Failure)
}

struct Growing<'t, 'a> {
    tree: &'t Tree<'a>,
    path: &'t Path,
    folding: Folding,
    rows: Vec<Row>,
    /// Rows still to come, the next one on top.
    stack: Vec<(Subject, Option<usize>, usize)>,
}

impl Growing<'_, '_> {
    fn row(&mut self, subject: Subject, above: Option<usize>, depth: usize) {
        let at = self.rows.len();
        let place = match &subject {
            Subject::Span(place) => Some(*place),
            Subject::Alike(_) | Subject::Gap(_) => None,
        };
        self.rows.push(Row {
            subject,
            depth,
            is_last: false,
            above,
        });
        if place.is_some() {
            self.siblings(place, Some(at), depth + 1);
        }
    }

    /// Puts what hangs on `place` on the stack, first on top.
    fn siblings(&mut self, place: Option<usize>, above: Option<usize>, depth: usize) {
        let children = self.tree.below(place);
        let mut groups = self.groups(children);
        let mut subjects = Vec::with_capacity(children.len());
        for at in children {
            // Gaps between those that became one row are not seen.
            let is_told = groups.get(at).is_none_or(|group| !group.is_empty());
            if self.folding.gaps && is_told {
                let gap = self.path.gaps().iter().find(|gap| gap.before == *at);
                subjects.extend(gap.map(|gap| Subject::Gap(*gap)));
            }
            match groups.remove(at) {
                None => subjects.push(Subject::Span(*at)),
                Some(group) if group.is_empty() => {}
                Some(group) => subjects.push(Subject::Alike(self.alike(group))),
            }
        }
        let subjects = subjects.into_iter().rev();
        self.stack
            .extend(subjects.map(|subject| (subject, above, depth)));
    }

    /// By the first of its places, each group that becomes one row; by its other places, nothing.
    fn groups(&self, children: &[usize]) -> HashMap<usize, Vec<usize>> {
        let mut by_place = HashMap::new();
        if !self.folding.alike || children.len() < ALIKE_MIN {
            return by_place;
        }
        let mut groups: HashMap<(Kind, &str, String), Vec<usize>> = HashMap::new();
        for at in children {
            if let Some(span) = self.tree.span(*at) {
                let key = (span.kind, span.told_service(), span.told_name());
                groups.entry(key).or_default().push(*at);
            }
        }
        for group in groups.into_values().filter(|one| one.len() >= ALIKE_MIN) {
            for other in group.iter().skip(1) {
                by_place.insert(*other, Vec::new());
            }
            if let Some(first) = group.first() {
                by_place.insert(*first, group);
            }
        }
        by_place
    }

    fn alike(&self, places: Vec<usize>) -> Alike {
        let mut stack = places.clone();
        let (mut all, mut errors) = (0, 0);
        while let Some(at) = stack.pop() {
            all += 1;
            errors += usize::from(is_failure(self.tree, at));
            stack.extend(self.tree.below(Some(at)));
        }
        Alike {
            below: all - places.len(),
            places,
            errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{any_trace, span, trace};
    use super::super::model::{Status, Trace};
    use super::*;
    use proptest::prelude::*;

    const WHOLE: Folding = Folding {
        alike: true,
        gaps: true,
        rows_max: 1000,
    };

    fn rows(trace: &Trace, folding: Folding) -> Rows {
        let tree = Tree::of(trace);
        Rows::of(&tree, &Path::of(&tree), folding)
    }

    /// A root, so many children of one name, each with one below it, the third of them failed.
    fn alike(count: u64) -> Trace {
        let mut spans = vec![span(1, 0, 0, 1000)];
        for at in 0..count {
            let mut one = span(100 + at, 1, at * 10, at * 10 + 9);
            one.name = "query".to_owned();
            let mut below = span(200 + at, 100 + at, at * 10, at * 10 + 1);
            if at == 2 {
                below.status = Status::Error;
            }
            spans.extend([one, below]);
        }
        trace(spans)
    }

    #[test]
    fn five_alike_siblings_are_one_row_and_four_are_four() {
        let four = rows(&alike(4), WHOLE);
        assert_eq!(four.rows.len(), 1 + 8);

        let five = rows(&alike(5), WHOLE);
        assert_eq!(five.rows.len(), 2);
        let Subject::Alike(alike) = &five.rows[1].subject else {
            panic!("{:?}", five.rows[1]);
        };
        assert_eq!((alike.places.len(), alike.below, alike.errors), (5, 5, 1));
        let unfolded = Folding {
            alike: false,
            ..WHOLE
        };
        assert_eq!(rows(&self::alike(5), unfolded).rows.len(), 11);
    }

    #[test]
    fn what_is_left_out_is_counted_and_is_what_matters_least() {
        let trace = alike(4);
        let all = Folding {
            rows_max: 9,
            ..WHOLE
        };
        assert_eq!(rows(&trace, all).left_out, 0);
        let less = Folding {
            rows_max: 8,
            ..WHOLE
        };
        let less = rows(&trace, less);
        assert_eq!((less.rows.len(), less.left_out), (8, 1));
        assert!(less.rows.last().unwrap().is_last);
    }

    proptest! {
        #[test]
        fn every_span_is_in_a_row_or_counted(trace in any_trace(), rows_max in 0_usize..30) {
            for folding in [WHOLE, Folding { rows_max, ..WHOLE }] {
                let rows = rows(&trace, folding);
                let told: usize = rows.rows.iter().map(Row::spans).sum();
                prop_assert_eq!(told + rows.left_out, trace.spans.len());
                prop_assert!(rows.rows.len() <= folding.rows_max);
                let mut depth = 0;
                for row in &rows.rows {
                    prop_assert!(row.depth <= depth, "a row whose parent is not there");
                    depth = row.depth + 1;
                }
            }
        }
    }
}
