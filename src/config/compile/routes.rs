//! Routes: conditions, what becomes of the request, and what its spans say.

use super::flows::Compiled;
use super::sampling::{self, everything, resolve};
use super::unreachable;
use super::{
    Compiler, action, allow, assertion, auth, conditions, cors, headers, identity, message,
    ratelimit, retry, websocket,
};
use crate::auth::IdentitySettings;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::message::compression::CompressionRules;
use crate::proxy::plan::RoutePlan;
use crate::route::{PathRule, RouteSpec};
use crate::trace::sampler::SamplingRule;
use std::collections::HashMap;
use std::sync::Arc;

/// Longest name of a span.
const SPAN_NAME_MAX: usize = 200;

/// What routes refer to.
pub(super) struct Scope<'a> {
    pub(super) config: &'a raw::Config,
    /// The file's compression.
    pub(super) compression: Option<Arc<CompressionRules>>,
    pub(super) flows: &'a [Compiled<'a>],
    /// What origins learn of who a client is, if a route does not say.
    pub(super) identity: Option<&'a Arc<IdentitySettings>>,
    pub(super) default: SamplingRule,
    pub(super) trace_debug: bool,
}

pub(super) fn compile(
    scope: &Scope<'_>,
    compiler: &mut Compiler<'_>,
) -> Vec<(RouteSpec, RoutePlan)> {
    let routes = &scope.config.routes;
    let mut names: HashMap<&str, &Span> = HashMap::with_capacity(routes.len());
    for route in routes {
        let Some(name) = &route.value.name else {
            continue;
        };
        if name.value.trim().is_empty() {
            compiler.tell(Diagnostic::at(
                Code::Empty,
                &name.span,
                "a route's name is empty",
            ));
        } else if let Some(first) = names.get(name.value.as_str()) {
            let message = format!("two routes are called `{}`", name.value);
            let diagnostic = Diagnostic::at(Code::DuplicateName, &name.span, message);
            compiler.tell(diagnostic.beside(first, "first here"));
        } else {
            names.insert(&name.value, &name.span);
        }
    }
    let index = Index::of(scope);
    let compiled: Vec<(RouteSpec, RoutePlan)> = routes
        .iter()
        .map(|route| one(route, scope, &index, compiler))
        .collect();
    unreachable::warn(routes, &compiled, compiler);
    compiled
}

/// Names to look up, since ten thousand routes may refer to a thousand upstreams.
pub(super) struct Index<'a> {
    pub(super) upstreams: HashMap<&'a str, &'a Span>,
    flows: HashMap<&'a str, &'a Compiled<'a>>,
}

impl<'a> Index<'a> {
    fn of(scope: &'a Scope<'a>) -> Self {
        let upstreams = scope.config.upstreams.iter();
        Self {
            upstreams: upstreams
                .map(|(name, _)| (name.value.as_str(), &name.span))
                .collect(),
            flows: scope
                .flows
                .iter()
                .map(|flow| (&*flow.flow.name, flow))
                .collect(),
        }
    }
}

fn one(
    route: &Spanned<raw::Route>,
    scope: &Scope<'_>,
    index: &Index<'_>,
    compiler: &mut Compiler<'_>,
) -> (RouteSpec, RoutePlan) {
    let written = &route.value;
    let name: Arc<str> = Arc::from(written.name.as_ref().map_or("", |name| &name.value));
    let spec = conditions::compile(Arc::clone(&name), &written.conditions, compiler);
    let flow = flow(written, &spec, scope, index, compiler);
    let action = action::compile(route, scope, index, compiler);
    let auth = auth::requirement(written, scope.config, compiler);
    if auth.is_none() {
        let (names, limits) = (&written.rate_limits, &scope.config.rate_limits);
        let why = "the route has no `auth`, so that nobody is known";
        ratelimit::refuse_identity(names, limits, why, compiler);
    }
    let plan = RoutePlan {
        name,
        action,
        request_headers: headers::edits(&written.headers.request, compiler),
        response_headers: headers::edits(&written.headers.response, compiler),
        identity: identity::of_route(written, auth.is_some(), scope.identity, compiler),
        allow: allow::compile(written, auth.is_some(), compiler),
        asserts: assertion::of_route(written, auth.is_some(), scope.config, compiler),
        auth,
        cors: written
            .cors
            .as_ref()
            .map(|cors| cors::compile(&cors.value, compiler)),
        compression: message::route_compression(written, scope, compiler),
        mirror: written
            .mirror
            .as_ref()
            .map(|mirror| message::mirror(mirror, scope, index, compiler)),
        first_byte_timeout: written
            .timeouts
            .first_byte
            .as_ref()
            .and_then(|written| compiler.duration(&written.span, &written.value.0)),
        request_timeout: compiler.off_or_duration(written.timeouts.request.as_ref()),
        retries: retry::compile(written.retries.as_ref(), compiler),
        body_bytes_max: compiler.size(written.limits.body_bytes.as_ref()),
        websocket: websocket::compile(&written.websocket, compiler),
        rate_limits: ratelimit::names(&written.rate_limits, &scope.config.rate_limits, compiler),
        span_name: written
            .span_name
            .as_ref()
            .map(|name| span_name(name, compiler)),
        sampling: sampling_rule(written, flow, scope),
        flow: flow.map(|flow| Arc::clone(&flow.flow)),
        feature_flags: sampling::flags(
            &[&scope.config.feature_flags, &written.feature_flags],
            compiler,
        ),
    };
    (spec, plan)
}

/// The flow, if the route has one; and every capture that it takes has to be there.
fn flow<'a>(
    route: &raw::Route,
    spec: &RouteSpec,
    scope: &Scope<'_>,
    index: &Index<'a>,
    compiler: &mut Compiler<'_>,
) -> Option<&'a Compiled<'a>> {
    let name = route.flow.as_ref()?;
    let Some(flow) = index.flows.get(name.value.as_str()).copied() else {
        let defined: Vec<_> = scope
            .flows
            .iter()
            .map(|flow| (&*flow.flow.name, flow.place))
            .collect();
        compiler.dangling("flow", name, &defined);
        return None;
    };
    let captures = captures(&spec.path);
    // A path that was refused says nothing of its captures.
    let written = route.conditions.path.is_some() || route.conditions.regex.is_some();
    if written && captures.is_none() {
        return Some(flow);
    }
    for capture in &flow.captures {
        let known = captures.as_ref();
        if !known.is_some_and(|names| names.contains(&capture.value.as_str())) {
            let route_name = route.name.as_ref().map_or("", |name| &name.value);
            let message = format!("route `{route_name}` has no capture `{}`", capture.value);
            let diagnostic = Diagnostic::at(Code::FlowCapture, &name.span, message)
                .label(format!("this flow takes `{}` from the path", capture.value))
                .beside(&capture.span, "taken here");
            compiler.tell(match known {
                Some(_) => diagnostic,
                None => diagnostic.help("only a `path` or a `regex` has captures"),
            });
        }
    }
    Some(flow)
}

/// The names of what a path rule captures; None for rules that capture nothing.
fn captures(path: &PathRule) -> Option<Vec<&str>> {
    match path {
        PathRule::Template(template) => Some(template.names().collect()),
        PathRule::Regex(pattern) => Some(pattern.groups().collect()),
        PathRule::Any | PathRule::Prefix(_) => None,
    }
}

fn sampling_rule(
    route: &raw::Route,
    flow: Option<&Compiled<'_>>,
    scope: &Scope<'_>,
) -> SamplingRule {
    if scope.trace_debug {
        return everything();
    }
    let flow = flow.map(|flow| flow.written);
    resolve(
        scope.default,
        [route.sampling, flow.and_then(|flow| flow.sampling)],
        [
            route.unsampled_parent,
            flow.and_then(|flow| flow.unsampled_parent),
        ],
    )
}

fn span_name(name: &Spanned<String>, compiler: &mut Compiler<'_>) -> Arc<str> {
    let printable = !name.value.contains(char::is_control);
    if name.value.trim().is_empty() || name.value.len() > SPAN_NAME_MAX || !printable {
        let message = "this cannot be a span's name";
        let diagnostic = Diagnostic::at(Code::Empty, &name.span, message);
        compiler.tell(diagnostic.label(format!("1 to {SPAN_NAME_MAX} printable bytes")));
    }
    Arc::from(name.value.as_str())
}
