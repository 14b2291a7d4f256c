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
        let (segment, next) = match left.split_once('/') {
            Some((segment, next)) => (segment, Some(next)),
            None => (left, None),
        };
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

/// FNV-1a. The keys of a table come from the configuration, so nobody can aim at collisions: a
/// request only looks up, and a lookup ends at the first empty slot.
#[derive(Debug)]
pub(super) struct SegmentHasher(u64);

impl Default for SegmentHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for SegmentHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
