//! What a route asks of a request, as compiled from the configuration.

use super::host::HostPattern;
use super::pattern::{Pattern, PatternError};
use super::template::{PathPrefix, PathTemplate, TemplateError};
use http::{HeaderMap, HeaderName, Method};
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

/// Which paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// Every path, and the `*` of `OPTIONS *`.
    Any,
    /// `/api/v1/orders/{order_id}`
    Template(PathTemplate),
    /// `/static` and everything below it.
    Prefix(PathPrefix),
    /// An expression that has to match the whole path; ranked after templates and prefixes.
    Regex(Pattern),
}

impl PathRule {
    /// A whole path with captures.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn template(text: &str) -> Result<Self, TemplateError> {
        text.parse().map(Self::Template)
    }

    /// A path and everything below it.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn prefix(text: &str) -> Result<Self, TemplateError> {
        text.parse().map(Self::Prefix)
    }

    /// An expression for whole paths. Its named groups are captures.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn regex(source: &str) -> Result<Self, PatternError> {
        Pattern::new(source).map(Self::Regex)
    }

    /// What stands in `http.route`, one value a rule: a template as it was written, `/static/*`
    /// for a prefix, the source of an expression, `/*` for every path.
    pub fn name(&self) -> &str {
        match self {
            Self::Any => "/*",
            Self::Template(template) => template.as_str(),
            Self::Prefix(prefix) => prefix.template(),
            Self::Regex(pattern) => pattern.as_str(),
        }
    }

    /// Whether it takes every path that starts with `/`. Such a rule is ranked after all others.
    pub(super) fn takes_every_path(&self) -> bool {
        match self {
            Self::Any => true,
            Self::Template(template) => template.is_open() && template.segments().is_empty(),
            Self::Prefix(prefix) => prefix.segments().is_empty(),
            Self::Regex(_) => false,
        }
    }
}

/// A condition on one header; any of several values may satisfy it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// Which header.
    pub name: HeaderName,
    /// What its value has to be.
    pub value: ValueRule,
}

impl HeaderRule {
    /// Whether the condition holds. A value beyond ASCII is only `Present`.
    pub fn holds(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(&self.name)
            .iter()
            .any(|value| match &self.value {
                ValueRule::Present => true,
                ValueRule::Exact(expected) => value.as_bytes() == expected.as_bytes(),
                ValueRule::Regex(pattern) => value.to_str().is_ok_and(|text| pattern.matches(text)),
            })
    }
}

/// A condition on one query parameter; any of several values may satisfy it. Names and values
/// are compared without their escapes, `+` being a space as in forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryRule {
    /// Which parameter.
    pub name: Box<str>,
    /// What its value has to be.
    pub value: ValueRule,
}

impl QueryRule {
    /// Whether the condition holds for a raw query.
    pub fn holds(&self, query: Option<&str>) -> bool {
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .any(|(name, value)| name == *self.name && self.value.takes(&value))
    }
}

/// What a header's or parameter's value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueRule {
    /// There, with whatever value.
    Present,
    /// Exactly this.
    Exact(Box<str>),
    /// Matched as a whole by this expression.
    Regex(Pattern),
}

impl ValueRule {
    /// An expression for whole values.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn regex(source: &str) -> Result<Self, PatternError> {
        Pattern::new(source).map(Self::Regex)
    }

    /// Whether a value that is there is taken.
    pub fn takes(&self, value: &str) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(expected) => **expected == *value,
            Self::Regex(pattern) => pattern.matches(value),
        }
    }
}
