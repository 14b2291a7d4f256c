//! Routes that can never match.
//!
//! Asked by the configuration's check. Since the more specific route always goes first, little
//! can be hidden: twins, routes whose methods are all taken one by one, and expressions below a
//! prefix. What is told is certain; not everything that is hidden is found.

use super::host::HostPattern;
use super::rank::Rank;
use super::spec::{HeaderRule, PathRule, QueryRule, RouteSpec, ValueRule};
use super::template::Segment;
use super::trie::Tail;
use http::Method;
use std::collections::HashMap;

/// How many routes for one host and path are compared with each other, so that a file of
/// thousands of them is checked in no time.
const COMPARED_MAX: usize = 500;

const SAME: &str = "takes the same requests";
const METHODS: &str = "takes every method of it, together with others";
const BELOW: &str = "takes every path below it, and goes before expressions";

/// A route that can never match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Its place among the routes asked about.
    pub route: usize,
    /// The place of the route that goes before it.
    pub by: usize,
    /// What that route does, to be read beside it.
    pub reason: &'static str,
}

/// The routes that can never match, in their order.
pub fn shadowed(specs: &[RouteSpec]) -> Vec<Shadow> {
    let groups = Groups::of(specs);
    specs
        .iter()
        .enumerate()
        .filter_map(|(route, spec)| {
            let mut covers = hosts(spec).map(|host| groups.cover(route, spec, host));
            let (by, reason) = covers.next()??;
            covers
                .all(|cover| cover.is_some())
                .then_some(Shadow { route, by, reason })
        })
        .collect()
}

/// Routes that agree in host and path.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place<'s> {
    host: Option<&'s HostPattern>,
    path: Shape<'s>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Shape<'s> {
    Every,
    Expression(&'s str),
    Segments(&'s [Segment], Tail),
}

struct Groups<'s> {
    specs: &'s [RouteSpec],
    /// Places in `specs`, in the order in which the table asks them.
    by_place: HashMap<Place<'s>, Vec<usize>>,
}

impl<'s> Groups<'s> {
    fn of(specs: &'s [RouteSpec]) -> Self {
        let mut order: Vec<usize> = (0..specs.len()).collect();
        order.sort_by_cached_key(|&index| specs.get(index).map(Rank::of));
        let mut by_place: HashMap<Place<'s>, Vec<usize>> = HashMap::new();
        for index in order {
            let Some(spec) = specs.get(index) else {
                continue;
            };
            let path = shape(&spec.path);
            for host in hosts(spec) {
                let group = by_place.entry(Place { host, path }).or_default();
                if group.last() != Some(&index) {
                    group.push(index); // a host may stand twice
                }
            }
        }
        Self { specs, by_place }
    }

    /// What takes all of a route's requests for one of its hosts, and how.
    fn cover(
        &self,
        route: usize,
        spec: &RouteSpec,
        host: Option<&HostPattern>,
    ) -> Option<(usize, &'static str)> {
        let place = Place {
            host,
            path: shape(&spec.path),
        };
        let before = self
            .group(&place)
            .take_while(|(index, _)| *index != route)
            .filter(|(_, other)| covers_path(&other.path, &spec.path));
        if let Some((by, together)) = taken_by(spec, before) {
            return Some((by, if together { METHODS } else { SAME }));
        }
        let PathRule::Regex(pattern) = &spec.path else {
            return None;
        };
        let mut segments = Vec::new();
        for segment in leading_segments(pattern.as_str()) {
            segments.push(Segment::Literal(segment.into()));
            for tail in [Tail::Rest, Tail::Prefix] {
                let path = Shape::Segments(&segments, tail);
                let place = Place { host, path };
                if let Some((by, _)) = taken_by(spec, self.group(&place)) {
                    return Some((by, BELOW));
                }
            }
        }
        None
    }

    fn group<'g>(
        &'g self,
        place: &Place<'g>,
    ) -> impl Iterator<Item = (usize, &'s RouteSpec)> + use<'g, 's> {
        let group: &'g [usize] = self.by_place.get(place).map_or(&[], Vec::as_slice);
        let specs = self.specs;
        group
            .iter()
            .take(COMPARED_MAX)
            .filter_map(move |&index| specs.get(index).map(|spec| (index, spec)))
    }
}

/// The hosts of a route, where `None` is every host.
fn hosts(spec: &RouteSpec) -> impl Iterator<Item = Option<&HostPattern>> {
    let every = spec.hosts.is_empty().then_some(None);
    every.into_iter().chain(spec.hosts.iter().map(Some))
}

fn shape(path: &PathRule) -> Shape<'_> {
    match path {
        _ if path.takes_every_path() => Shape::Every,
        PathRule::Any => Shape::Every,
        PathRule::Template(template) if template.is_open() => {
            Shape::Segments(template.segments(), Tail::Rest)
        }
        PathRule::Template(template) => Shape::Segments(template.segments(), Tail::Closed),
        PathRule::Prefix(prefix) => Shape::Segments(prefix.segments(), Tail::Prefix),
        PathRule::Regex(pattern) => Shape::Expression(pattern.as_str()),
    }
}

/// Of two rules of one shape, whether the first takes all paths of the second. Only `OPTIONS *`
/// makes a difference.
fn covers_path(first: &PathRule, second: &PathRule) -> bool {
    *first == PathRule::Any || *second != PathRule::Any
}

/// The route among `others` that takes whatever `spec` would, and whether it takes several of
/// them to do so.
fn taken_by<'s>(
    spec: &RouteSpec,
    others: impl Iterator<Item = (usize, &'s RouteSpec)>,
) -> Option<(usize, bool)> {
    let wider: Vec<(usize, &RouteSpec)> = others
        .filter(|(_, other)| asks_no_more(other, spec))
        .collect();
    let taking = |method: &Method| {
        wider
            .iter()
            .find(|(_, other)| other.methods.is_empty() || other.methods.contains(method))
    };
    let Some(first) = spec.methods.first() else {
        let (by, _) = wider.iter().find(|(_, other)| other.methods.is_empty())?;
        return Some((*by, false));
    };
    let (by, _) = taking(first)?;
    let mut together = false;
    for method in &spec.methods {
        together |= taking(method)?.0 != *by;
    }
    Some((*by, together))
}

/// Whether every condition of `other`, methods aside, holds whenever those of `spec` do.
fn asks_no_more(other: &RouteSpec, spec: &RouteSpec) -> bool {
    let header_implied = |rule: &HeaderRule| {
        spec.headers
            .iter()
            .any(|own| own.name == rule.name && implies(&own.value, &rule.value))
    };
    let query_implied = |rule: &QueryRule| {
        spec.query
            .iter()
            .any(|own| own.name == rule.name && implies(&own.value, &rule.value))
    };
    other.headers.iter().all(header_implied) && other.query.iter().all(query_implied)
}

fn implies(own: &ValueRule, other: &ValueRule) -> bool {
    *other == ValueRule::Present || own == other
}

/// Segments that every path begins with that an expression matches, each followed by a slash.
/// Knows only plain text at the start of an expression without alternatives.
fn leading_segments(source: &str) -> impl Iterator<Item = &str> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'~');
    let source = source.strip_prefix('^').unwrap_or(source);
    let length = source.bytes().take_while(|&byte| plain(byte)).count();
    let (text, rest) = source.split_at_checked(length).unwrap_or_default();
    // What a `?`, `*` or `{` follows may be missing; with `|` all of it may.
    let certain = match rest.bytes().next() {
        _ if rest.contains('|') => 0,
        Some(b'?' | b'*' | b'{') => length.saturating_sub(1),
        Some(_) | None => length,
    };
    let text = text.get(..certain).unwrap_or_default();
    let segments = text.strip_prefix('/').unwrap_or_default();
    let end = segments.rfind('/').unwrap_or_default();
    let whole = segments.get(..end).unwrap_or_default();
    whole.split('/').filter(|segment| !segment.is_empty())
}
