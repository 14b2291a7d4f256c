//! The routes of a configuration, arranged so that ten thousand cost a request what ten do.
//!
//! A host is looked up, then its tree of path segments is walked. Two things are asked one after
//! the other and cost more the more there are: routes that agree in host and path and differ in
//! their conditions, and the regular expressions of a host, which are only asked if no template
//! and no prefix took the request.

use super::captures::{Captures, Places};
use super::host::{HostPattern, parent_domain};
use super::pattern::Pattern;
use super::rank::Rank;
use super::spec::{PathRule, RouteSpec};
use super::trie::{Node, RouteIndex, SegmentHasher, Tail};
use http::{HeaderMap, Method};
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

type ByHost = HashMap<Box<str>, HostRoutes, BuildHasherDefault<SegmentHasher>>;

/// What of a request decides its route. All of it as `message::normalize` left it.
#[derive(Clone, Copy, Debug)]
pub struct RouteRequest<'r> {
    /// Host: lower case, no port; empty if the request names none.
    pub host: &'r str,
    /// Path, with its escapes; `*` for `OPTIONS *`.
    pub path: &'r str,
    /// Query without its `?`, with its escapes.
    pub query: Option<&'r str>,
    /// Method.
    pub method: &'r Method,
    /// Headers.
    pub headers: &'r HeaderMap,
}

/// The route of a request.
#[derive(Clone, Debug)]
pub struct RouteMatch<'t, T> {
    /// What the table holds for the route.
    pub value: &'t T,
    /// The route's conditions.
    pub spec: &'t RouteSpec,
    /// What stands in `http.route`; see [`PathRule::name`].
    pub template: &'t str,
    /// What its captures took.
    pub captures: Captures<'t>,
    /// Length in bytes of what a prefix rule matched; `None` for the other rules.
    pub matched_prefix_len: Option<usize>,
}

/// Routes with what belongs to each.
#[derive(Debug)]
pub struct RouteTable<T> {
    entries: Vec<Entry<T>>,
    exact: ByHost,
    wildcard: ByHost,
    any: HostRoutes,
}

/// Why routes make no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Two routes of one name.
    #[error("two routes are named `{0}`")]
    RepeatedName(Arc<str>),
}

#[derive(Debug)]
struct Entry<T> {
    spec: RouteSpec,
    value: T,
    /// Names of an expression's captures; a template has its own.
    groups: Box<[Box<str>]>,
}

/// Routes of one host pattern, each list with the more specific first.
#[derive(Debug, Default)]
struct HostRoutes {
    paths: Node,
    expressions: Vec<RouteIndex>,
    every_path: Vec<RouteIndex>,
}

impl<T> RouteTable<T> {
    /// Arranges the routes. Their order does not matter.
    ///
    /// # Errors
    /// [`BuildError`] if a name stands twice.
    pub fn build(routes: Vec<(RouteSpec, T)>) -> Result<Self, BuildError> {
        let mut names = HashSet::with_capacity(routes.len());
        for (spec, _) in &routes {
            if !names.insert(&*spec.name) {
                return Err(BuildError::RepeatedName(Arc::clone(&spec.name)));
            }
        }
        let mut entries: Vec<Entry<T>> = routes.into_iter().map(Entry::new).collect();
        // Lists keep the order in which routes are added to them.
        entries.sort_by(|left, right| Rank::of(&left.spec).cmp(&Rank::of(&right.spec)));
        let mut table = Self {
            entries: Vec::new(),
            exact: ByHost::default(),
            wildcard: ByHost::default(),
            any: HostRoutes::default(),
        };
        for (index, entry) in entries.iter().enumerate() {
            if entry.spec.hosts.is_empty() {
                table.any.add(&entry.spec.path, index);
            }
            let distinct: HashSet<&HostPattern> = entry.spec.hosts.iter().collect();
            for host in distinct {
                let (by_host, name) = match host {
                    HostPattern::Exact(name) => (&mut table.exact, name),
                    HostPattern::Wildcard(suffix) => (&mut table.wildcard, suffix),
                };
                let routes = by_host.entry(name.clone()).or_default();
                routes.add(&entry.spec.path, index);
            }
        }
        table.entries = entries;
        Ok(table)
    }

    /// The route of a request; `None` if no route takes it.
    pub fn find(&self, request: &RouteRequest<'_>) -> Option<RouteMatch<'_, T>> {
        let wildcard = || {
            let parent = parent_domain(request.host)?;
            self.find_in(self.wildcard.get(parent)?, request)
        };
        self.exact
            .get(request.host)
            .and_then(|routes| self.find_in(routes, request))
            .or_else(wildcard)
            .or_else(|| self.find_in(&self.any, request))
    }

    /// All routes, the one with the more specific conditions first.
    pub fn iter(&self) -> impl Iterator<Item = (&RouteSpec, &T)> {
        self.entries.iter().map(|entry| (&entry.spec, &entry.value))
    }

    /// Number of routes.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no route at all.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find_in(
        &self,
        routes: &HostRoutes,
        request: &RouteRequest<'_>,
    ) -> Option<RouteMatch<'_, T>> {
        let accepts = |index: RouteIndex| {
            self.entries
                .get(index)
                .is_some_and(|entry| conditions_hold(&entry.spec, request))
        };
        if let Some((index, places)) = routes.paths.find(request.path, &mut { accepts }) {
            return self.entries.get(index).map(|entry| entry.matched(places));
        }
        let expression = routes.expressions.iter().find_map(|&index| {
            let entry = self.entries.get(index)?;
            let places = entry.expression_places(request.path)?;
            accepts(index).then(|| entry.matched(places))
        });
        expression.or_else(|| {
            let entry = routes.every_path.iter().find_map(|&index| {
                let entry = self.entries.get(index)?;
                let has_path = request.path.starts_with('/') || entry.spec.path == PathRule::Any;
                (has_path && accepts(index)).then_some(entry)
            })?;
            let mut places = Places::default();
            if let PathRule::Template(_) = entry.spec.path {
                places.push(1, request.path.len()); // `/{rest...}`
            }
            Some(entry.matched(places))
        })
    }
}

impl HostRoutes {
    fn add(&mut self, path: &PathRule, index: RouteIndex) {
        match path {
            _ if path.takes_every_path() => self.every_path.push(index),
            PathRule::Any => {} // takes every path
            PathRule::Template(template) if template.is_open() => {
                self.paths.insert(template.segments(), Tail::Rest, index);
            }
            PathRule::Template(template) => {
                self.paths.insert(template.segments(), Tail::Closed, index);
            }
            PathRule::Prefix(prefix) => self.paths.insert(prefix.segments(), Tail::Prefix, index),
            PathRule::Regex(_) => self.expressions.push(index),
        }
    }
}

impl<T> Entry<T> {
    fn new((spec, value): (RouteSpec, T)) -> Self {
        let groups = match &spec.path {
            PathRule::Regex(pattern) => pattern.groups().map(Box::from).collect(),
            PathRule::Any | PathRule::Template(_) | PathRule::Prefix(_) => Box::default(),
        };
        Self {
            spec,
            value,
            groups,
        }
    }

    fn matched(&self, places: Places) -> RouteMatch<'_, T> {
        let (names, matched_prefix_len) = match &self.spec.path {
            PathRule::Any => (Default::default(), None),
            PathRule::Template(template) => (template.captured(), None),
            PathRule::Prefix(prefix) => (Default::default(), Some(prefix.as_str().len())),
            PathRule::Regex(_) => (&*self.groups, None),
        };
        RouteMatch {
            value: &self.value,
            spec: &self.spec,
            template: self.spec.path.name(),
            captures: Captures::new(names, places),
            matched_prefix_len,
        }
    }

    /// Where an expression's captures stand; `None` if it does not match. Only an expression with
    /// named groups pays for captures.
    fn expression_places(&self, path: &str) -> Option<Places> {
        let PathRule::Regex(pattern) = &self.spec.path else {
            return None;
        };
        expression_places(pattern, &self.groups, path)
    }
}

fn expression_places(pattern: &Pattern, groups: &[Box<str>], path: &str) -> Option<Places> {
    let mut places = Places::default();
    if groups.is_empty() {
        return pattern.matches(path).then_some(places);
    }
    let captures = pattern.regex().captures(path)?;
    for group in groups {
        match captures.name(group) {
            Some(found) => places.push(found.start(), found.end()),
            None => places.push_absent(),
        }
    }
    Some(places)
}

/// Everything beside host and path.
fn conditions_hold(spec: &RouteSpec, request: &RouteRequest<'_>) -> bool {
    (spec.methods.is_empty() || spec.methods.contains(request.method))
        && spec.headers.iter().all(|rule| rule.holds(request.headers))
        && spec.query.iter().all(|rule| rule.holds(request.query))
}
