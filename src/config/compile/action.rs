//! What becomes of a request: it is forwarded, redirected or answered.

use super::routes::{Index, Scope};
use super::{Compiler, decision, headers, message};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar;
use crate::proxy::plan::{HostRewrite, Redirect, Rewrite, RouteAction};
use bytes::Bytes;
use http::StatusCode;
use std::sync::Arc;

/// Longest body of a fixed answer.
const BODY_BYTES_MAX: usize = 1 << 20;

pub(super) fn compile(
    route: &Spanned<raw::Route>,
    scope: &Scope<'_>,
    index: &Index<'_>,
    compiler: &mut Compiler<'_>,
) -> RouteAction {
    let written = &route.value;
    let place = written.name.as_ref().map_or(&route.span, |name| &name.span);
    let actions = [
        ("upstream", written.upstream.is_some()),
        ("split", written.split.is_some()),
        ("redirect", written.redirect.is_some()),
        ("answer", written.answer.is_some()),
    ];
    let is_bare = actions.iter().all(|(_, given)| !given);
    if is_bare && decision::only_decides(scope.config) {
        return RouteAction::Nothing;
    }
    compiler.exactly_one(place, &actions);
    if written.upstream.is_none() && written.split.is_none() {
        refuse_forwarding_keys(written, compiler);
    }
    let redirect = written.redirect.as_ref().map(|one| redirect(one, compiler));
    let answer = written.answer.as_ref().map(|one| answer(one, compiler));
    let rewrite = rewrite(written, compiler);
    if let Some(name) = &written.upstream {
        known_upstream(name, scope, index, compiler);
    }
    let split = written.split.as_ref().map(|split| RouteAction::Split {
        split: message::split(split, written, scope, index, compiler),
        rewrite: rewrite.clone(),
    });
    redirect.or(answer).or(split).unwrap_or_else(|| {
        let upstream = written.upstream.as_ref();
        RouteAction::Forward {
            upstream: Arc::from(upstream.map_or("", |name| &name.value)),
            rewrite,
        }
    })
}

/// Tells unless an upstream of this name exists.
pub(super) fn known_upstream(
    name: &Spanned<String>,
    scope: &Scope<'_>,
    index: &Index<'_>,
    compiler: &mut Compiler<'_>,
) {
    if !index.upstreams.contains_key(name.value.as_str()) {
        let upstreams = scope.config.upstreams.iter();
        let defined: Vec<_> = upstreams
            .map(|(name, _)| (name.value.as_str(), &name.span))
            .collect();
        compiler.dangling("upstream", name, &defined);
    }
}

fn rewrite(route: &raw::Route, compiler: &mut Compiler<'_>) -> Rewrite {
    let rewrite = route.rewrite.as_ref().map(|rewrite| &rewrite.value);
    Rewrite {
        path: path(rewrite.and_then(|rewrite| rewrite.path.as_ref()), compiler),
        host: rewrite
            .and_then(|rewrite| rewrite.host.as_ref())
            .and_then(|host| host_rewrite(host, compiler))
            .unwrap_or_default(),
    }
}

/// Keys that only mean something on the way to an upstream.
fn refuse_forwarding_keys(route: &raw::Route, compiler: &mut Compiler<'_>) {
    if route.redirect.is_none() && route.answer.is_none() {
        return; // Nothing is known of what was meant.
    }
    let timeouts = &route.timeouts;
    let places = [
        ("rewrite", route.rewrite.as_ref().map(|one| &one.span)),
        ("mirror", route.mirror.as_ref().map(|one| &one.span)),
        ("retries", route.retries.as_ref().map(|one| &one.span)),
        (
            "timeouts.first_byte",
            timeouts.first_byte.as_ref().map(|one| &one.span),
        ),
        (
            "timeouts.request",
            timeouts.request.as_ref().map(|one| &one.span),
        ),
    ];
    for (key, place) in places {
        if let Some(place) = place {
            let message = format!("`{key}` has no effect without `upstream` or `split`");
            let diagnostic = Diagnostic::at(Code::Unfit, place, message);
            compiler.tell(diagnostic.label("this route forwards nothing"));
        }
    }
}

pub(super) fn host_rewrite(
    written: &Spanned<raw::HostText>,
    compiler: &mut Compiler<'_>,
) -> Option<HostRewrite> {
    match written.value.0.as_str() {
        "keep" => Some(HostRewrite::Keep),
        "endpoint" => Some(HostRewrite::Endpoint),
        text => {
            let read = scalar::authority(text).and_then(|host| scalar::header_value(&host));
            compiler
                .value(&written.span, Code::Host, read)
                .map(HostRewrite::To)
        }
    }
}

fn path(written: Option<&Spanned<raw::PathText>>, compiler: &mut Compiler<'_>) -> Option<Arc<str>> {
    let written = written?;
    let read = scalar::plain_path(&written.value.0).map(Arc::from);
    compiler.value(&written.span, Code::Path, read)
}

fn status(
    written: Option<&Spanned<raw::Status>>,
    default: StatusCode,
    takes: fn(u16) -> bool,
    label: &str,
    compiler: &mut Compiler<'_>,
) -> StatusCode {
    let Some(written) = written else {
        return default;
    };
    let code = written.value.0;
    if !takes(code) {
        let message = format!("{code} does not fit here");
        compiler.tell(Diagnostic::at(Code::Status, &written.span, message).label(label));
    }
    StatusCode::from_u16(code).unwrap_or(default)
}

fn redirect(redirect: &Spanned<raw::Redirect>, compiler: &mut Compiler<'_>) -> RouteAction {
    let written = &redirect.value;
    if written.scheme.is_none() && written.host.is_none() && written.path.is_none() {
        let message = "this redirect leads back to itself";
        let diagnostic = Diagnostic::at(Code::Redirect, &redirect.span, message);
        compiler.tell(diagnostic.label("give `scheme`, `host` or `path`"));
    }
    let takes = |code: u16| matches!(code, 301 | 302 | 303 | 307 | 308);
    RouteAction::Redirect(Redirect {
        status: status(
            written.status.as_ref(),
            StatusCode::PERMANENT_REDIRECT,
            takes,
            "301, 302, 303, 307 or 308",
            compiler,
        ),
        scheme: written.scheme.as_ref().map(|scheme| match scheme.value {
            raw::Scheme::Http => Arc::from("http"),
            raw::Scheme::Https => Arc::from("https"),
        }),
        host: written.host.as_ref().and_then(|host| {
            let read = scalar::authority(&host.value.0).map(Arc::from);
            compiler.value(&host.span, Code::Host, read)
        }),
        path: path(written.path.as_ref(), compiler),
    })
}

fn answer(answer: &Spanned<raw::Answer>, compiler: &mut Compiler<'_>) -> RouteAction {
    let written = &answer.value;
    let status = status(
        written.status.as_ref(),
        StatusCode::OK,
        |code| (200..=599).contains(&code),
        "200 to 599",
        compiler,
    );
    let body = written.body.as_ref();
    if let Some(body) = body {
        let problem = if matches!(status.as_u16(), 204 | 205 | 304) {
            Some(format!("an answer with {} has no body", status.as_u16()))
        } else if body.value.len() > BODY_BYTES_MAX {
            Some("a fixed answer has at most 1 MiB".to_owned())
        } else {
            None
        };
        if let Some(message) = problem {
            compiler.tell(Diagnostic::at(Code::Status, &body.span, message));
        }
    }
    RouteAction::Answer {
        status,
        headers: headers::fields(&written.headers, compiler),
        body: body.map_or_else(Bytes::new, |body| Bytes::from(body.value.clone())),
    }
}
