//! What a route asks of a request.

use super::Compiler;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::route::{HeaderRule, PathRule, QueryRule, RouteSpec, ValueRule};
use http::Method;
use std::sync::Arc;

pub(super) fn compile(
    name: Arc<str>,
    conditions: &raw::Match,
    compiler: &mut Compiler<'_>,
) -> RouteSpec {
    let hosts = conditions.host.0.iter().filter_map(|host| {
        compiler.value(&host.span, Code::Host, scalar::host_pattern(&host.value.0))
    });
    let hosts = hosts.collect();
    RouteSpec {
        name,
        hosts,
        path: path(conditions, compiler),
        methods: methods(&conditions.methods, compiler),
        headers: headers(&conditions.headers, compiler),
        query: query(&conditions.query, compiler),
    }
}

/// Reads a list of methods; one that stands twice is taken once.
pub(super) fn methods(
    written: &[Spanned<raw::MethodText>],
    compiler: &mut Compiler<'_>,
) -> Vec<Method> {
    let mut methods = Vec::with_capacity(written.len());
    for method in written {
        let read = scalar::method(&method.value.0);
        if let Some(method) = compiler.value(&method.span, Code::Method, read)
            && !methods.contains(&method)
        {
            methods.push(method);
        }
    }
    methods
}

fn path(conditions: &raw::Match, compiler: &mut Compiler<'_>) -> PathRule {
    let raw::Match {
        path,
        prefix,
        regex,
        ..
    } = conditions;
    let places: Vec<&Span> = [
        path.as_ref().map(|path| &path.span),
        prefix.as_ref().map(|prefix| &prefix.span),
        regex.as_ref().map(|regex| &regex.span),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [first, .., last] = places.as_slice() {
        let message = "a route has at most one of `path`, `prefix` and `regex`";
        let diagnostic = Diagnostic::at(Code::Exclusive, last, message);
        compiler.tell(
            diagnostic
                .label("one too many")
                .beside(first, "the other one"),
        );
    }
    let template = path.as_ref().and_then(|path| {
        let read = PathRule::template(&path.value.0).map_err(|error| Misread::told_by(&error));
        compiler.value(&path.span, Code::Path, read)
    });
    let prefix = prefix.as_ref().and_then(|prefix| {
        let read = PathRule::prefix(&prefix.value.0).map_err(|error| Misread::told_by(&error));
        compiler.value(&prefix.span, Code::Path, read)
    });
    let regex = regex.as_ref().and_then(|regex| {
        let read = PathRule::regex(&regex.value.0).map_err(|error| Misread::told_by(&error));
        compiler.value(&regex.span, Code::Regex, read)
    });
    template.or(prefix).or(regex).unwrap_or(PathRule::Any)
}

/// Reads conditions on headers.
pub(super) fn headers(
    written: &Entries<Spanned<raw::ValueMatch>>,
    compiler: &mut Compiler<'_>,
) -> Vec<HeaderRule> {
    let mut rules = Vec::with_capacity(written.0.len());
    for (name, condition) in written.iter() {
        let read = scalar::header_name(&name.value, Purpose::Read);
        let name = compiler.value(&name.span, Code::Header, read);
        if let (Some(name), Some(value)) = (name, value(condition, compiler)) {
            rules.push(HeaderRule { name, value });
        }
    }
    rules
}

fn query(
    written: &Entries<Spanned<raw::ValueMatch>>,
    compiler: &mut Compiler<'_>,
) -> Vec<QueryRule> {
    let mut rules = Vec::with_capacity(written.0.len());
    for (name, condition) in written.iter() {
        if let Some(value) = value(condition, compiler) {
            rules.push(QueryRule {
                name: name.value.as_str().into(),
                value,
            });
        }
    }
    rules
}

fn value(written: &Spanned<raw::ValueMatch>, compiler: &mut Compiler<'_>) -> Option<ValueRule> {
    let condition = match &written.value {
        raw::ValueMatch::Exact(text) => return Some(ValueRule::Exact(text.as_str().into())),
        raw::ValueMatch::Condition(condition) => condition,
    };
    let keys = [
        ("regex", condition.regex.is_some()),
        ("present", condition.present.is_some()),
    ];
    compiler.exactly_one(&written.span, &keys);
    if let Some(regex) = &condition.regex {
        let read = ValueRule::regex(&regex.value.0).map_err(|error| Misread::told_by(&error));
        return compiler.value(&regex.span, Code::Regex, read);
    }
    let present = condition.present.as_ref()?;
    let absent = || Misread::new("a condition can only ask for presence").label("only `true`");
    let read = if present.value {
        Ok(ValueRule::Present)
    } else {
        Err(absent())
    };
    compiler.value(&present.span, Code::UnknownValue, read)
}
