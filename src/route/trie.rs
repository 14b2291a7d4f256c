//! Templates and prefixes as a tree of segments.
//!
//! A lookup goes down from the left, literal text first, and comes back up when what it found
//! does not take the request. It sees a node at most once, and of a node's literal children only
//! the one it looks up, so its cost follows the path's segments and not the number of routes.

use super::captures::Places;
use super::template::Segment;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A route by its place in the table.
pub(super) type RouteIndex = usize;

/// How a rule ends after its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tail {
    /// With the path.
    Closed,
    /// `{rest...}`: anything after one more slash.
    Rest,
    /// A prefix: nothing, or anything after one more slash.
    Prefix,
}

/// Where rules stand that agree up to here. Lists are in the order in which routes were added.
#[derive(Debug, Default)]
pub(super) struct Node {
    literals: HashMap<Box<str>, Self, BuildHasherDefault<SegmentHasher>>,
    capture: Option<Box<Self>>,
    closed: Vec<RouteIndex>,
    rest: Vec<RouteIndex>,
    prefix: Vec<RouteIndex>,
}

impl Node {
    /// Adds a rule below this node. What is added first is asked first.
    pub(super) fn insert(&mut self, segments: &[Segment], tail: Tail, route: RouteIndex) {
        let mut node = self;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Capture => node.capture.get_or_insert_default(),
            };
        }
        match tail {
            Tail::Closed => node.closed.push(route),
            Tail::Rest => node.rest.push(route),
            Tail::Prefix => node.prefix.push(route),
        }
    }

    /// The most specific rule for `path` that `accepts` takes, with the places of its captures.
    pub(super) fn find(
        &self,
        path: &str,
        accepts: &mut dyn FnMut(RouteIndex) -> bool,
    ) -> Option<(RouteIndex, Places)> {
        let rest = path.strip_prefix('/')?;
        let mut walk = Walk {
            path_bytes: path.len(),
            places: Places::default(),
            accepts,
        };
        let route = walk.below(self, Some(rest))?;
        Some((route, walk.places))
    }
}

struct Walk<'a> {
    path_bytes: usize,
    places: Places,
    accepts: &'a mut dyn FnMut(RouteIndex) -> bool,
}

impl Walk<'_> {
    /// `left` is what comes after this node's segment and a slash; `None` if the path ends here.
    /// Goes as deep as the longest rule has segments.
    fn below(&mut self, node: &Node, left: Option<&str>) -> Option<RouteIndex> {
        let Some(left) = left else {
            return self
                .first(&node.closed)
                .or_else(|| self.first(&node.prefix));
        };
        let (segment, next) = split_segment(left);
        if let Some(child) = node.literals.get(segment)
            && let Some(route) = self.below(child, next)
        {
            return Some(route);
        }
        let start = self.path_bytes - left.len();
        let count = self.places.count();
        if let Some(child) = &node.capture
            && !segment.is_empty()
        {
            self.places.push(start, start + segment.len());
            if let Some(route) = self.below(child, next) {
                return Some(route);
            }
            self.places.truncate(count);
        }
        if let Some(route) = self.first(&node.rest) {
            self.places.push(start, self.path_bytes);
            return Some(route);
        }
        self.first(&node.prefix)
    }

    fn first(&mut self, routes: &[RouteIndex]) -> Option<RouteIndex> {
        routes.iter().copied().find(|&route| (self.accepts)(route))
    }
}

/// Up to the next slash, and after it. A plain loop: segments are shorter than what a vectorised
/// search needs to pay off.
fn split_segment(left: &str) -> (&str, Option<&str>) {
    let slash = left.bytes().position(|byte| byte == b'/');
    match slash.and_then(|at| left.split_at_checked(at)) {
        Some((segment, next)) => (segment, next.get(1..)),
        None => (left, None),
    }
}

/// Folded multiplication, eight bytes at a time. The keys of a table come from the configuration,
/// so nobody can aim at collisions: a request only looks up, and never adds.
#[derive(Debug, Default)]
pub(super) struct SegmentHasher(u64);

/// An odd number without a pattern: the fraction of the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl SegmentHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ MULTIPLIER) * u128::from(MULTIPLIER);
        let (high, low) = (product >> 64, product & u128::from(u64::MAX));
        self.0 = u64::try_from(high ^ low).unwrap_or_default();
    }
}

impl Hasher for SegmentHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let fold = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
            self.mix(rest.iter().fold(1, fold));
        }
    }

    /// What ends a text: without it `str` would be hashed by two calls of `write`.
    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
