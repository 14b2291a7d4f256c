//! Routes that can never match: another one takes every request of theirs first.

use super::Compiler;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::proxy::plan::RoutePlan;
use crate::route::{RouteSpec, shadowed};

/// Warns of each such route, and points at the one that takes its requests.
pub(super) fn warn(
    written: &[Spanned<raw::Route>],
    compiled: &[(RouteSpec, RoutePlan)],
    compiler: &mut Compiler<'_>,
) {
    // A route whose conditions were refused is compiled without them and proves nothing.
    if !compiler.findings.are_harmless() {
        return;
    }
    let specs: Vec<RouteSpec> = compiled.iter().map(|(spec, _)| spec.clone()).collect();
    for shadow in shadowed(&specs) {
        let (Some(route), Some(by)) = (written.get(shadow.route), written.get(shadow.by)) else {
            continue;
        };
        let name = route.value.name.as_ref().map_or("", |name| &name.value);
        let message = format!("route `{name}` never matches");
        let same_path = path_text(route).is_some() && shape(route) == shape(by);
        let label = if same_path {
            "same host and path"
        } else {
            "another route comes first"
        };
        compiler.tell(
            Diagnostic::at(Code::NeverMatches, place(route), message)
                .label(label)
                .beside(place(by), shadow.reason),
        );
    }
}

/// Where a route says which paths it takes; else its name.
fn place(route: &Spanned<raw::Route>) -> &Span {
    let conditions = &route.value.conditions;
    let path = conditions
        .path
        .as_ref()
        .or(conditions.prefix.as_ref())
        .map(|path| &path.span);
    path.or_else(|| conditions.regex.as_ref().map(|regex| &regex.span))
        .or_else(|| route.value.name.as_ref().map(|name| &name.span))
        .unwrap_or(&route.span)
}

fn path_text(route: &Spanned<raw::Route>) -> Option<&str> {
    let path = route.value.conditions.path.as_ref()?;
    Some(&path.value.0)
}

/// A template with its captures' names left out.
fn shape(route: &Spanned<raw::Route>) -> Vec<&str> {
    let segments = path_text(route).unwrap_or_default().split('/');
    segments
        .map(|segment| match segment.strip_prefix('{') {
            Some(name) if name.ends_with("...}") => "{...}",
            Some(_) => "{}",
            None => segment,
        })
        .collect()
}
