//! Which of two routes for one host and path goes first.

use super::spec::{RouteSpec, ValueRule};
use std::cmp::Reverse;

/// How many conditions there are, then how many of them are exact, then how many expressions.
type Weight = Reverse<(usize, usize, usize)>;

/// Sorts the more specific first. If a route takes a part of another one's requests, it is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank<'s> {
    methods: usize,
    headers: Weight,
    query: Weight,
    name: &'s str,
}

impl<'s> Rank<'s> {
    /// The rank of a route's conditions beside host and path.
    pub(super) fn of(spec: &'s RouteSpec) -> Self {
        Self {
            methods: match distinct_methods(spec) {
                0 => usize::MAX, // none named: all of them
                count => count,
            },
            headers: weight(spec.headers.iter().map(|rule| &rule.value)),
            query: weight(spec.query.iter().map(|rule| &rule.value)),
            name: &spec.name,
        }
    }
}

fn distinct_methods(spec: &RouteSpec) -> usize {
    spec.methods
        .iter()
        .enumerate()
        .filter(|(at, method)| !spec.methods.iter().take(*at).any(|other| other == *method))
        .count()
}

fn weight<'r>(rules: impl Iterator<Item = &'r ValueRule>) -> Weight {
    let (mut count, mut exact, mut expressions) = (0, 0, 0);
    for rule in rules {
        count += 1;
        match rule {
            ValueRule::Exact(_) => exact += 1,
            ValueRule::Regex(_) => expressions += 1,
            ValueRule::Present => {}
        }
    }
    Reverse((count, exact, expressions))
}
