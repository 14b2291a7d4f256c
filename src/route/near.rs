//! Which routes nearly took a request, and which others would have.
//!
//! Read by `explain`: it looks at every route.

use super::spec::{PathRule, RouteSpec};
use super::table::{RouteRequest, RouteTable};
use super::template::Segment;
use http::HeaderName;
use std::cmp::Reverse;
use std::fmt;

/// How many are told.
const NEAREST_MAX: usize = 3;

/// A route that did not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearMiss<'t> {
    /// The route's name.
    pub route: &'t str,
    /// The first of its conditions that does not hold.
    pub missed: Missed<'t>,
}

/// A condition that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed<'t> {
    /// Another host.
    Host,
    /// Another path.
    Path,
    /// Another method.
    Method,
    /// This header.
    Header(&'t HeaderName),
    /// This query parameter.
    Query(&'t str),
}

impl fmt::Display for Missed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Path => f.write_str("path"),
            Self::Method => f.write_str("method"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query {name}"),
        }
    }
}

/// Smaller is nearer: how many kinds of condition were missed, then which one comes first (a
/// method is nearer than a path), then how much of the path agrees.
type Distance = (usize, u8, Reverse<usize>);

impl<T> RouteTable<T> {
    /// Up to three routes that came nearest to taking `request`, the nearest first.
    pub fn near(&self, request: &RouteRequest<'_>) -> Vec<NearMiss<'_>> {
        let mut nearest: Vec<(Distance, NearMiss<'_>)> = Vec::with_capacity(NEAREST_MAX + 1);
        for (spec, _) in self.iter() {
            let Some(found) = miss(spec, request) else {
                continue;
            };
            let at = nearest.partition_point(|(distance, _)| *distance <= found.0);
            if at < NEAREST_MAX {
                nearest.insert(at, found);
                nearest.truncate(NEAREST_MAX);
            }
        }
        nearest.into_iter().map(|(_, miss)| miss).collect()
    }

    /// Every route that would take `request`, whichever goes first. Looks at every route.
    pub fn taking(&self, request: &RouteRequest<'_>) -> Vec<&RouteSpec> {
        self.iter()
            .filter(|(spec, _)| miss(spec, request).is_none())
            .map(|(spec, _)| spec)
            .collect()
    }
}

/// How far a route is from a request; `None` if it takes it.
fn miss<'t>(spec: &'t RouteSpec, request: &RouteRequest<'_>) -> Option<(Distance, NearMiss<'t>)> {
    let host = spec.hosts.is_empty() || spec.hosts.iter().any(|host| host.takes(request.host));
    let (path, shared) = path_agrees(&spec.path, request.path);
    let method = spec.methods.is_empty() || spec.methods.contains(request.method);
    let header = spec
        .headers
        .iter()
        .find(|rule| !rule.holds(request.headers))
        .map(|rule| Missed::Header(&rule.name));
    let query = spec
        .query
        .iter()
        .find(|rule| !rule.holds(request.query))
        .map(|rule| Missed::Query(&rule.name));
    let missed = [
        (!host).then_some(Missed::Host),
        (!path).then_some(Missed::Path),
        (!method).then_some(Missed::Method),
        header,
        query,
    ];
    let first = missed.iter().flatten().next()?;
    let order = match first {
        Missed::Query(_) | Missed::Header(_) => 0,
        Missed::Method => 1,
        Missed::Path => 2,
        Missed::Host => 3,
    };
    let distance = (missed.iter().flatten().count(), order, Reverse(shared));
    let miss = NearMiss {
        route: &spec.name,
        missed: *first,
    };
    Some((distance, miss))
}

/// Whether a rule takes a path, and how many segments agree from the left.
fn path_agrees(rule: &PathRule, path: &str) -> (bool, usize) {
    let (segments, open, bare) = match rule {
        PathRule::Any => return (true, 0),
        PathRule::Regex(pattern) => return (pattern.matches(path), 0),
        PathRule::Template(template) => (template.segments(), template.is_open(), false),
        PathRule::Prefix(prefix) => (prefix.segments(), true, true),
    };
    let Some(left) = path.strip_prefix('/') else {
        return (false, 0);
    };
    let shared = segments
        .iter()
        .zip(left.split('/'))
        .take_while(|(segment, text)| match segment {
            Segment::Literal(literal) => **literal == **text,
            Segment::Capture => !text.is_empty(),
        })
        .count();
    let length = left.split('/').count();
    let ends = length == segments.len();
    let takes = shared == segments.len() && if open { bare || !ends } else { ends };
    (takes, shared)
}
