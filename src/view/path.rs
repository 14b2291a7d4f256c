//! Where the time of a trace went: its critical path, the gaps in it, and each span's own time.
//!
//! The path is walked backward from the root's end: what the root waited for last is the child
//! that ended last before the cursor, then the cursor stands at that child's start. Where no child
//! ran, the time is the span's own. So the path's parts lie side by side and fill the root.

use super::model::{Kind, Span};
use super::tree::Tree;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A gap in the path is told from this part of it on: one twentieth.
const GAP_PART: u64 = 20;
/// A child may end this part of its parent's length after it and still be what that waited for:
/// two machines' clocks differ, and an end is noted a moment late.
const LATE_PART: u64 = 100;

/// The critical path of a trace.
#[derive(Clone, Debug, Default)]
pub struct Path {
    segments: Vec<Segment>,
    ranges: BTreeMap<usize, (u64, u64)>,
    gaps: Vec<Gap>,
    length: u64,
}

/// A part of the path: one span's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Place of the span; None between spans that hang on no other.
    pub place: Option<usize>,
    /// Nanoseconds since 1970.
    pub from: u64,
    /// Nanoseconds since 1970.
    pub to: u64,
    /// What it is known to be, if it lies between two children.
    pub reason: Option<Reason>,
}

/// Time on the path between two children of one span, in which nothing below it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Place of the span whose children they are; None for those that hang on no other.
    pub place: Option<usize>,
    /// Place of the child that comes after it.
    pub before: usize,
    /// Nanoseconds since 1970.
    pub from: u64,
    /// Nanoseconds since 1970.
    pub to: u64,
    /// What it is.
    pub reason: Reason,
}

/// What the time between two children is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The wait before another attempt.
    Retry,
    /// The span's own, as far as anybody recorded it.
    Own,
    /// Nobody's: it lies between spans that hang on no other.
    Nobody,
}

impl Segment {
    /// Nanoseconds.
    pub const fn duration(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

impl Gap {
    /// Nanoseconds.
    pub const fn duration(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

impl Path {
    /// Of the span that stands for the whole trace; if there is none, of all time from the first
    /// start to the last end.
    pub fn of(tree: &Tree<'_>) -> Self {
        let head = tree.head();
        let whole = match head.and_then(|at| tree.span(at)) {
            Some(span) => Some((span.start, span.end)),
            None => tree.extent(),
        };
        let Some((from, to)) = whole else {
            return Self::default();
        };
        let mut walk = Walk {
            tree,
            path: Self {
                length: to.saturating_sub(from),
                ..Self::default()
            },
            ahead: vec![(head, from, to)],
        };
        while let Some((place, from, to)) = walk.ahead.pop() {
            walk.span(place, from, to);
        }
        let mut path = walk.path;
        path.segments.sort_by_key(|segment| segment.from);
        path.gaps.sort_by_key(|gap| gap.from);
        path
    }

    /// Its parts, by time, side by side.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How long it is in all, in nanoseconds.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// From when to when the path led through the span at `place` or what hangs on it; None if it
    /// did not.
    pub fn range(&self, place: usize) -> Option<(u64, u64)> {
        self.ranges.get(&place).copied()
    }

    /// Gaps that are long enough to be told, by time.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }
}

fn is_long(gap: u64, path: u64) -> bool {
    gap > 0 && u128::from(gap) * u128::from(GAP_PART) >= u128::from(path)
}

struct Walk<'t, 'a> {
    tree: &'t Tree<'a>,
    path: Path,
    /// Places still to be walked, each with the part of the path that leads through it.
    ahead: Vec<(Option<usize>, u64, u64)>,
}

impl Walk<'_, '_> {
    fn span(&mut self, place: Option<usize>, from: u64, to: u64) {
        if let Some(place) = place {
            self.path.ranges.insert(place, (from, to));
        }
        let parent = place.and_then(|at| self.tree.span(at));
        let mut candidates: Vec<_> = (self.tree.below(place).iter())
            .filter_map(|at| {
                let child = self.tree.span(*at)?;
                let end = end_for(parent, child)?.min(to);
                let start = child.start.max(from);
                (start < end).then_some((end, start, *at))
            })
            .collect();
        // Of those that end together, the longest.
        candidates.sort_by_key(|(end, start, at)| (Reverse(*end), *start, *at));

        let mut cursor = to;
        let mut next = None;
        for (end, start, at) in candidates {
            if end > cursor {
                continue;
            }
            self.own(place, (end, cursor), next);
            self.ahead.push((Some(at), start, end));
            (cursor, next) = (start, Some(at));
        }
        self.own_edge(place, (from, cursor));
    }

    /// Time of the span's own before its first child on the path, or all of it.
    fn own_edge(&mut self, place: Option<usize>, (from, to): (u64, u64)) {
        if from < to {
            let reason = place.is_none().then_some(Reason::Nobody);
            self.path.segments.push(Segment {
                place,
                from,
                to,
                reason,
            });
        }
    }

    /// Time of the span's own after one child on the path and before `next`.
    fn own(&mut self, place: Option<usize>, (from, to): (u64, u64), next: Option<usize>) {
        let Some(before) = next.filter(|_| from < to) else {
            return self.own_edge(place, (from, to));
        };
        let reason = self.reason(place, before);
        self.path.segments.push(Segment {
            place,
            from,
            to,
            reason: Some(reason),
        });
        // At most a score of gaps is long enough, so that looking at all children stays cheap.
        let runs = |at: &usize| {
            (self.tree.span(*at)).is_some_and(|span| span.start < to && span.end > from)
        };
        let is_told = is_long(to.saturating_sub(from), self.path.length);
        if is_told && !self.tree.below(place).iter().any(runs) {
            self.path.gaps.push(Gap {
                place,
                before,
                from,
                to,
                reason,
            });
        }
    }

    fn reason(&self, place: Option<usize>, before: usize) -> Reason {
        let is_attempt = |at: usize, least: u64| {
            let span = self.tree.span(at);
            span.is_some_and(|span| span.kind == Kind::Client && span.attempt() >= least)
        };
        let earlier = self.tree.below(place).iter();
        let mut earlier = earlier.take_while(|at| **at != before);
        if place.is_none() {
            Reason::Nobody
        } else if is_attempt(before, 2) && earlier.any(|at| is_attempt(*at, 1)) {
            Reason::Retry
        } else {
            Reason::Own
        }
    }
}

/// When `child` ended, as far as its parent could have waited for it; None if it went on by
/// itself. A SERVER span that outlives the call to it is cut off there: the caller waited until it
/// gave up.
fn end_for(parent: Option<&Span>, child: &Span) -> Option<u64> {
    let Some(parent) = parent else {
        return Some(child.end);
    };
    let late = child.end.saturating_sub(parent.end);
    if late == 0 {
        return Some(child.end);
    }
    let waited = child.kind == Kind::Server || late <= parent.duration() / LATE_PART;
    waited.then_some(parent.end)
}

/// The own time of every span, by place, in nanoseconds: its length less the time in which at
/// least one of its children ran.
pub fn own_times(tree: &Tree<'_>) -> Vec<u64> {
    let own = tree.places().iter().map(|place| {
        let children = place.children.iter().filter_map(|at| tree.span(*at));
        let covered = children.map(|child| {
            let (start, end) = (child.start.max(place.span.start), child.end);
            (start, end.min(place.span.end))
        });
        place.span.duration().saturating_sub(covered_by(covered))
    });
    own.collect()
}

/// How long at least one of `intervals` lasts, in nanoseconds. In any order; those that end before
/// they start are nothing.
pub fn covered_by(intervals: impl Iterator<Item = (u64, u64)>) -> u64 {
    let mut intervals: Vec<_> = intervals.filter(|(from, to)| from < to).collect();
    intervals.sort_unstable();
    let mut total = 0_u64;
    let mut until = 0_u64;
    for (from, to) in intervals {
        total = total.saturating_add(to.saturating_sub(from.max(until)));
        until = until.max(to);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{any_trace, call, span, trace};
    use super::*;
    use proptest::prelude::*;

    fn id(tree: &Tree<'_>, place: Option<usize>) -> u64 {
        let span = place.and_then(|at| tree.span(at));
        span.map_or(0, |span| u64::from_be_bytes(span.id.to_bytes()))
    }

    /// Whose own time lies from when to when.
    #[track_caller]
    fn check(spans: Vec<Span>, expected: &[(u64, u64, u64)]) {
        let trace = trace(spans);
        let tree = Tree::of(&trace);
        let path = Path::of(&tree);
        let parts = path.segments().iter();
        let parts: Vec<_> = parts
            .map(|part| (id(&tree, part.place), part.from, part.to))
            .collect();
        assert_eq!(parts, expected);
    }

    #[test]
    fn it_goes_backward_by_the_child_that_ended_last() {
        check(
            vec![span(1, 0, 0, 100), span(2, 1, 10, 50), span(3, 1, 20, 90)],
            &[(1, 0, 20), (3, 20, 90), (1, 90, 100)],
        );
        check(
            vec![
                span(1, 0, 0, 100),
                span(2, 1, 10, 40),
                span(3, 1, 40, 90),
                span(4, 3, 50, 60),
            ],
            &[
                (1, 0, 10),
                (2, 10, 40),
                (3, 40, 50),
                (4, 50, 60),
                (3, 60, 90),
                (1, 90, 100),
            ],
        );
    }

    #[test]
    fn nobody_waited_for_what_goes_on_after_its_parent() {
        check(
            vec![span(1, 0, 0, 100), span(2, 1, 10, 500)],
            &[(1, 0, 100)],
        );
    }

    #[test]
    fn a_call_waited_for_a_server_that_outlived_it() {
        let mut server = span(3, 2, 20, 500);
        server.kind = Kind::Server;
        let call = call(span(2, 1, 10, 90), "payout", 504, 0);
        check(
            vec![span(1, 0, 0, 100), call, server],
            &[(1, 0, 10), (2, 10, 20), (3, 20, 90), (1, 90, 100)],
        );
    }

    #[test]
    fn an_end_that_was_noted_a_moment_late_counts() {
        let late = |end| vec![span(1, 0, 0, 1000), span(2, 1, 10, end)];
        check(late(1010), &[(1, 0, 10), (2, 10, 1000)]);
        check(late(1011), &[(1, 0, 1000)]);
    }

    #[test]
    fn a_child_before_its_parent_is_cut_off_there() {
        check(
            vec![span(1, 0, 100, 200), span(2, 1, 50, 150)],
            &[(2, 100, 150), (1, 150, 200)],
        );
    }

    #[test]
    fn spans_without_a_root_have_nobodys_time_between_them() {
        check(
            vec![span(1, 9, 0, 10), span(2, 9, 30, 40)],
            &[(1, 0, 10), (0, 10, 30), (2, 30, 40)],
        );
    }

    #[test]
    fn a_root_of_no_length_has_no_path() {
        check(vec![span(1, 0, 5, 5), span(2, 1, 5, 5)], &[]);
        check(Vec::new(), &[]);
    }

    #[test]
    fn waiting_for_another_attempt_is_a_gap_with_its_reason() {
        let gaps = |wait: u64| {
            let trace = trace(vec![
                span(1, 0, 0, 1000),
                call(span(2, 1, 0, 100), "payout", 502, 0),
                call(span(3, 1, 100 + wait, 1000), "payout", 502, 1),
            ]);
            let path = Path::of(&Tree::of(&trace));
            let gaps = path.gaps().iter();
            gaps.map(|gap| (gap.duration(), gap.reason))
                .collect::<Vec<_>>()
        };
        assert_eq!(gaps(49), []);
        assert_eq!(gaps(50), [(50, Reason::Retry)]);
        assert_eq!(gaps(51), [(51, Reason::Retry)]);
    }

    #[test]
    fn a_gap_needs_a_child_on_both_sides_and_nothing_between() {
        let gaps = |spans: Vec<Span>| {
            let trace = trace(spans);
            let path = Path::of(&Tree::of(&trace));
            let gaps = path.gaps().iter();
            gaps.map(|gap| (gap.from, gap.to, gap.reason))
                .collect::<Vec<_>>()
        };
        let around = || vec![span(1, 0, 0, 100), span(2, 1, 20, 40), span(3, 1, 60, 80)];
        assert_eq!(gaps(around()), [(40, 60, Reason::Own)]);
        let mut beside = around();
        beside.push(span(4, 1, 50, 500));
        assert_eq!(gaps(beside), []);
    }

    #[test]
    fn own_time_is_the_length_less_the_union_of_children() {
        let trace = trace(vec![
            span(1, 0, 100, 200),
            span(2, 1, 110, 150),
            span(3, 1, 120, 160),
            span(4, 1, 190, 900),
            span(5, 1, 0, 105),
        ]);
        let tree = Tree::of(&trace);
        // 100-105 and 110-160 and 190-200 are children's.
        assert_eq!(own_times(&tree)[usize::from(id(&tree, Some(0)) != 1)], 35);
    }

    #[test]
    fn twenty_thousand_spans_are_walked_at_once() {
        let beside = (2..20_000).map(|id| span(id, 1, id * 10, id * 10 + 5));
        let beside = trace([span(1, 0, 0, 200_000)].into_iter().chain(beside).collect());
        let deep = (1..20_000).map(|id| span(id, id - 1, id, 100_000 - id));
        let deep = trace(deep.collect());
        for trace in [beside, deep] {
            let tree = Tree::of(&trace);
            let path = Path::of(&tree);
            let sum: u64 = path.segments().iter().map(Segment::duration).sum();
            assert_eq!(sum, path.length());
            assert_eq!(own_times(&tree).len(), trace.spans.len());
        }
    }

    proptest! {
        #[test]
        fn its_parts_lie_side_by_side_and_fill_the_root(trace in any_trace()) {
            let tree = Tree::of(&trace);
            let path = Path::of(&tree);

            let whole = match tree.head() {
                Some(head) => tree.span(head).map(|span| (span.start, span.end)),
                None => tree.extent(),
            };
            let (from, to) = whole.unwrap_or_default();
            prop_assert_eq!(path.length(), to - from);
            let mut cursor = from;
            for part in path.segments() {
                prop_assert_eq!(part.from, cursor);
                prop_assert!(part.to > part.from);
                cursor = part.to;
            }
            prop_assert_eq!(cursor, to);
            for gap in path.gaps() {
                prop_assert!(gap.from >= from && gap.to <= to);
            }
        }

        #[test]
        fn own_time_is_never_more_than_all(trace in any_trace()) {
            let tree = Tree::of(&trace);
            let own = own_times(&tree);
            prop_assert_eq!(own.len(), tree.places().len());
            for (own, place) in own.iter().zip(tree.places()) {
                prop_assert!(*own <= place.span.duration());
            }
        }

        #[test]
        fn what_is_covered_is_what_a_pencil_would_fill(
            intervals in proptest::collection::vec((0_u64..60, 0_u64..60), 0..12)
        ) {
            let filled = (0..60_u64).filter(|cell| {
                intervals.iter().any(|(from, to)| from <= cell && cell < to)
            });
            prop_assert_eq!(covered_by(intervals.iter().copied()), filled.count() as u64);
        }
    }
}
