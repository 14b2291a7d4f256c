//! Authorizers that are asked over gRPC.

use super::Compiler;
use super::forward::{check_upstream, question_url};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar;
use crate::upstream::{ClusterSettings, EndpointProtocol};
use http::uri::PathAndQuery;
use std::sync::Arc;

/// Most pieces of metadata that may stand on a span.
const METADATA_ATTRIBUTES_MAX: usize = 32;

/// Whether this is such an authorizer.
pub(super) fn is_spoken(written: &raw::Forward) -> bool {
    written.dialect.as_ref().map(|one| one.value) == Some(raw::Dialect::Grpc)
}

/// The upstream that is asked. Where is not to be chosen: the service has one method.
pub(super) fn asked_at(
    policy: &Spanned<String>,
    written: &raw::Forward,
    config: &raw::Config,
    upstreams: &mut Vec<ClusterSettings>,
    compiler: &mut Compiler<'_>,
) -> Option<(Arc<str>, PathAndQuery)> {
    let no_path = PathAndQuery::from_static("/");
    if let Some(path) = &written.path {
        has_no_effect("`path`", &path.span, compiler);
    }
    if let Some(name) = &written.upstream {
        check_upstream(name, config, compiler);
        let of_that_name = |one: &&ClusterSettings| *one.name == *name.value;
        let speaks_http1 = upstreams.iter().find(of_that_name).is_some_and(|upstream| {
            let mut endpoints = upstream.endpoints.iter();
            endpoints.any(|one| one.source.protocol() == EndpointProtocol::Http1)
        });
        if speaks_http1 {
            let message = format!("an endpoint of `{}` speaks HTTP/1.1", name.value);
            let diagnostic = Diagnostic::at(Code::Unfit, &name.span, message);
            let diagnostic = diagnostic.label("gRPC needs HTTP/2");
            compiler.tell(diagnostic.help("write its endpoints as `h2c://` or `https://`"));
        }
        return Some((Arc::from(name.value.as_str()), no_path));
    }
    let url = written.url.as_ref()?;
    let read = question_url(&url.value.0, compiler.folder);
    let (mut endpoint, path) = compiler.value(&url.span, Code::Url, read)?;
    if path != no_path {
        has_no_effect("the path of `url`", &url.span, compiler);
    }
    // There is no gRPC without HTTP/2, so `http://` can only mean that.
    if endpoint.protocol == EndpointProtocol::Http1 {
        endpoint.protocol = EndpointProtocol::H2c;
    }
    let upstream: Arc<str> = Arc::from(format!("auth.{}", policy.value));
    upstreams.push(ClusterSettings::of(Arc::clone(&upstream), endpoint));
    Some((upstream, no_path))
}

fn has_no_effect(what: &str, span: &Span, compiler: &mut Compiler<'_>) {
    let message = format!("{what} has no effect with `dialect: grpc`");
    let diagnostic = Diagnostic::at(Code::Unfit, span, message);
    compiler.tell(diagnostic.label("`envoy.service.auth.v3.Authorization/Check` is asked"));
}

/// What of the dynamic metadata stands on spans.
pub(super) fn metadata_attributes(
    written: &raw::Forward,
    compiler: &mut Compiler<'_>,
) -> Vec<Box<str>> {
    let paths = &written.metadata_attributes;
    if let Some(first) = paths.first().filter(|_| !is_spoken(written)) {
        let message = "`metadata_attributes` has no effect here";
        let diagnostic = Diagnostic::at(Code::Unfit, &first.span, message);
        compiler.tell(diagnostic.label("only with `dialect: grpc` there is metadata"));
    }
    if let Some(over) = paths.get(METADATA_ATTRIBUTES_MAX) {
        let message = "this is more metadata than a span may carry";
        let diagnostic = Diagnostic::at(Code::OutOfRange, &over.span, message);
        compiler.tell(diagnostic.label(format!("at most {METADATA_ATTRIBUTES_MAX}")));
    }
    let paths = paths.iter().filter_map(|path| {
        if scalar::token(&path.value) {
            return Some(path.value.as_str().into());
        }
        let message = "this cannot be a part of an attribute's name";
        let diagnostic = Diagnostic::at(Code::Unfit, &path.span, message);
        compiler.tell(diagnostic.label("letters, digits, `_`, `-` and `.`"));
        None
    });
    paths.collect()
}
