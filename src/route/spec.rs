//! What a route asks of a request, as compiled from the configuration.

use http::{HeaderName, Method};
use std::sync::Arc;

/// One route's conditions. All of them have to hold.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// The route's name, unique in a table.
    pub name: Arc<str>,
    /// Hosts it answers for; empty takes every host.
    pub hosts: Vec<HostPattern>,
    /// Paths it answers for.
    pub path: PathRule,
    /// Methods it answers for; empty takes every method.
    pub methods: Vec<Method>,
    /// Header conditions, all of which have to hold.
    pub headers: Vec<HeaderRule>,
    /// Query conditions, all of which have to hold.
    pub query: Vec<QueryRule>,
}

/// A host pattern from a route. Lower case, no port; `*` only as the whole first label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `app.example.com`
    Exact(Box<str>),
    /// `*.example.com` takes exactly one label before `example.com`; kept without the `*.`.
    Wildcard(Box<str>),
}

/// Which paths.
#[derive(Clone, Debug)]
pub enum PathRule {
    /// Every path.
    Any,
    /// `/api/v1/orders/{order_id}`: whole path, a capture is one non-empty segment;
    /// `{rest...}` as the last segment takes what is left.
    Template(Box<str>),
    /// `/static`: that path and everything below it, by whole segments.
    Prefix(Box<str>),
    /// An expression that has to match the whole path; ranked after templates and prefixes.
    Regex(regex::Regex),
}

/// A condition on one header; any of several values may satisfy it.
#[derive(Clone, Debug)]
pub struct HeaderRule {
    /// Which header.
    pub name: HeaderName,
    /// What its value has to be.
    pub value: ValueRule,
}

/// A condition on one query parameter, compared after percent-decoding.
#[derive(Clone, Debug)]
pub struct QueryRule {
    /// Which parameter.
    pub name: Box<str>,
    /// What its value has to be.
    pub value: ValueRule,
}

/// What a header's or parameter's value has to be.
#[derive(Clone, Debug)]
pub enum ValueRule {
    /// There, with whatever value.
    Present,
    /// Exactly this.
    Exact(Box<str>),
    /// Matched as a whole by this expression.
    Regex(regex::Regex),
}
