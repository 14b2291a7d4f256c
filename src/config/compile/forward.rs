//! External authorizers, and what routes say of them.

use super::{Compiler, auth, auth_cache, ext_authz};
use crate::auth::{
    BodyRule, Dialect, FieldPattern, ForwardRules, ForwardSettings, IdentityFields, OnFailure,
};
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::upstream::{ClusterSettings, EndpointAddress, EndpointTarget};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a decision may take if the file does not say.
const TIMEOUT: Duration = Duration::from_millis(300);
/// Attempts beside the first if the file does not say.
const RETRIES: u32 = 1;
/// Most bytes of a body that may be held for a decision.
const BODY_BYTES_MAX: u64 = 16 << 20;
/// What an authorizer sees if the file does not say: credentials, and what tells a page that a
/// person reads from a call of a script.
const REQUEST_HEADERS: [&str; 8] = [
    "cookie",
    "authorization",
    "accept",
    "accept-language",
    "user-agent",
    "origin",
    "x-requested-with",
    "sec-fetch-*",
];

/// Compiles one. If it is named by its URL, it becomes one more upstream.
pub(super) fn compile(
    policy: &Spanned<String>,
    written: &Spanned<raw::Forward>,
    config: &raw::Config,
    upstreams: &mut Vec<ClusterSettings>,
    compiler: &mut Compiler<'_>,
) -> Option<ForwardSettings> {
    let (span, written) = (&written.span, &written.value);
    let rules = rules(written, compiler);
    let overrides = overrides(policy, &rules, config, compiler);
    let request_headers = match &written.request_headers {
        Some(fields) => patterns(&fields.0, Purpose::Read, compiler),
        None if ext_authz::is_spoken(written) => vec![FieldPattern::All],
        None => REQUEST_HEADERS
            .iter()
            .filter_map(|text| FieldPattern::parse(text))
            .collect(),
    };
    let identity_headers = patterns(&written.identity_headers.0, Purpose::Edit, compiler);
    let answer_headers = &written.answer_headers.0;
    let answer_headers = super::headers::names(answer_headers, Purpose::Edit, compiler);
    let identity = IdentityFields {
        subject: name(written.identity.subject.as_ref(), compiler),
        groups: name(written.identity.groups.as_ref(), compiler),
    };
    let cache = written.cache.as_ref();
    let cache = cache.map(|cache| auth_cache::compile(cache, compiler));
    let (upstream, path) = asked_at(policy, span, written, config, upstreams, compiler)?;
    let dialect = dialect(written.dialect.as_ref());
    if dialect == Dialect::Envoy && path.query().is_some() {
        let at = written.url.as_ref().map(|url| &url.span);
        let at = at.or(written.path.as_ref().map(|path| &path.span));
        let message = "behind Envoy the path is only a prefix";
        let diagnostic = Diagnostic::at(Code::Path, at.unwrap_or(span), message);
        compiler.tell(diagnostic.label("the request's own query is asked with"));
    }
    Some(ForwardSettings {
        upstream,
        path,
        dialect,
        metadata_attributes: ext_authz::metadata_attributes(written, compiler),
        retries: written.retries.as_ref().map_or(RETRIES, |one| one.value),
        request_headers,
        identity_headers,
        answer_headers,
        identity,
        rules,
        overrides,
        cache,
    })
}

fn dialect(written: Option<&Spanned<raw::Dialect>>) -> Dialect {
    match written.map(|one| one.value) {
        Some(raw::Dialect::AuthRequest) | None => Dialect::AuthRequest,
        Some(raw::Dialect::Traefik) => Dialect::Traefik,
        Some(raw::Dialect::Envoy) => Dialect::Envoy,
        Some(raw::Dialect::Grpc) => Dialect::Grpc,
    }
}

/// The upstream that is asked, and the path.
fn asked_at(
    policy: &Spanned<String>,
    span: &Span,
    written: &raw::Forward,
    config: &raw::Config,
    upstreams: &mut Vec<ClusterSettings>,
    compiler: &mut Compiler<'_>,
) -> Option<(Arc<str>, PathAndQuery)> {
    let given = [
        ("url", written.url.is_some()),
        ("upstream", written.upstream.is_some()),
    ];
    compiler.exactly_one(span, &given);
    if ext_authz::is_spoken(written) {
        return ext_authz::asked_at(policy, written, config, upstreams, compiler);
    }
    if let Some(name) = &written.upstream {
        check_upstream(name, config, compiler);
        let path = written.path.as_ref().and_then(|path| {
            let read = question_path(&path.value.0);
            compiler.value(&path.span, Code::Path, read)
        });
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        return Some((Arc::from(name.value.as_str()), path));
    }
    let url = written.url.as_ref()?;
    if let Some(path) = &written.path {
        let diagnostic = Diagnostic::at(Code::Unfit, &path.span, "`path` has no effect here");
        compiler.tell(diagnostic.label("the path of `url` is asked"));
    }
    let read = question_url(&url.value.0, compiler.folder);
    let (endpoint, path) = compiler.value(&url.span, Code::Url, read)?;
    warn_of_loop(&url.span, &endpoint, config, compiler);
    let upstream: Arc<str> = Arc::from(format!("auth.{}", policy.value));
    upstreams.push(ClusterSettings::of(Arc::clone(&upstream), endpoint));
    Some((upstream, path))
}

/// Tells of an upstream that does not exist.
pub(super) fn check_upstream(
    name: &Spanned<String>,
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) {
    let defined: Vec<_> = config
        .upstreams
        .iter()
        .map(|(name, _)| (name.value.as_str(), &name.span))
        .collect();
    if !defined.iter().any(|(defined, _)| *defined == name.value) {
        compiler.dangling("upstream", name, &defined);
    }
}

/// Tells if requests would be decided about by asking our own routes.
fn warn_of_loop(
    span: &Span,
    endpoint: &EndpointAddress,
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) {
    let EndpointTarget::Tcp { host, port } = &endpoint.target else {
        return;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let here = |listener: SocketAddr| match host.parse::<IpAddr>() {
        Ok(address) => {
            address == listener.ip() || (listener.ip().is_unspecified() && address.is_loopback())
        }
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    for (name, listener) in config.listeners.iter() {
        let routes = listener
            .mode
            .as_ref()
            .map(|mode| mode.value)
            .unwrap_or_default();
        let address = listener.address.as_ref();
        let address = address.and_then(|one| one.value.0.parse::<SocketAddr>().ok());
        let asked = address.is_some_and(|one| one.port() == *port && here(one));
        if asked && *port != 0 && routes == raw::ListenerMode::Gateway {
            let message = "this authorizer is asked through edgespan itself";
            let label = format!("listener `{}` has this address", name.value);
            compiler.tell(Diagnostic::at(Code::AuthorizerLoop, span, message).label(label));
        }
    }
}

fn question_path(text: &str) -> Result<PathAndQuery, Misread> {
    let path = text.starts_with('/').then(|| text.parse().ok()).flatten();
    path.ok_or_else(|| Misread::new("this is no path to ask at").label("such as /auth"))
}

/// The endpoint and the path of an authorizer's URL.
pub(super) fn question_url(
    text: &str,
    folder: &Path,
) -> Result<(EndpointAddress, PathAndQuery), Misread> {
    let behind_scheme = text.find("://").map_or(0, |at| at + 3);
    let path_at = text.get(behind_scheme..).and_then(|rest| rest.find('/'));
    let (endpoint, path) = match path_at {
        Some(at) => text.split_at(behind_scheme + at),
        None => (text, "/"),
    };
    Ok((scalar::endpoint(endpoint, folder)?, question_path(path)?))
}

fn name(
    written: Option<&Spanned<raw::HeaderName>>,
    compiler: &mut Compiler<'_>,
) -> Option<HeaderName> {
    let written = written?;
    let read = scalar::header_name(&written.value.0, Purpose::Read);
    compiler.value(&written.span, Code::Header, read)
}

/// Reads names and beginnings of header fields. All of them at once are only for looking at.
fn patterns(
    written: &[Spanned<raw::HeaderName>],
    purpose: Purpose,
    compiler: &mut Compiler<'_>,
) -> Vec<FieldPattern> {
    let patterns = written.iter().filter_map(|one| {
        let text = one.value.0.as_str();
        let read = match FieldPattern::parse(text) {
            Some(FieldPattern::Name(name)) => {
                scalar::header_name(name.as_str(), purpose).map(FieldPattern::Name)
            }
            Some(FieldPattern::All) if purpose == Purpose::Edit => {
                Err(Misread::new("this would take every field of the request")
                    .label("names, or beginnings such as `x-auth-*`"))
            }
            Some(pattern) => Ok(pattern),
            None => Err(
                Misread::new("this is neither a header name nor a beginning of one")
                    .label("letters, digits and `-`; `*` at the end"),
            ),
        };
        compiler.value(&one.span, Code::Header, read)
    });
    patterns.collect()
}

fn rules(written: &raw::Forward, compiler: &mut Compiler<'_>) -> ForwardRules {
    ForwardRules {
        timeout: compiler.duration_or(written.timeout.as_ref(), TIMEOUT),
        body: written.body.as_ref().and_then(|one| body(one, compiler)),
        on_failure: on_failure(written.on_failure.as_ref()).unwrap_or(OnFailure::Closed),
        failure_status: failure_status(written.failure_status.as_ref(), compiler),
        passes_server_errors: written.server_errors.as_ref().map(|one| one.value)
            == Some(raw::ServerErrors::Pass),
        context: context(&written.context, compiler),
    }
}

fn on_failure(written: Option<&Spanned<raw::OnFailure>>) -> Option<OnFailure> {
    Some(match written?.value {
        raw::OnFailure::Closed => OnFailure::Closed,
        raw::OnFailure::Open => OnFailure::Open,
    })
}

fn failure_status(
    written: Option<&Spanned<raw::Status>>,
    compiler: &mut Compiler<'_>,
) -> Option<StatusCode> {
    let written = written?;
    let code = written.value.0;
    // Nothing below is a refusal, and a redirect needs to lead somewhere.
    if !(400..=599).contains(&code) {
        let message = format!("{code} refuses nobody");
        compiler.tell(Diagnostic::at(Code::Status, &written.span, message).label("400 to 599"));
    }
    StatusCode::from_u16(code).ok()
}

fn body(written: &Spanned<raw::ForwardBody>, compiler: &mut Compiler<'_>) -> Option<BodyRule> {
    let bytes = written.value.bytes.as_ref()?;
    if bytes.value.0 == "off" {
        return None;
    }
    let read = scalar::size(&bytes.value.0);
    let bytes_max = compiler.value(&bytes.span, Code::Size, read)?;
    if bytes_max > BODY_BYTES_MAX {
        let message = "this is more of a body than may be held";
        let diagnostic = Diagnostic::at(Code::OutOfRange, &bytes.span, message);
        compiler.tell(diagnostic.label("at most 16MiB"));
    }
    Some(BodyRule {
        bytes_max: usize::try_from(bytes_max).ok()?,
        refuses_larger: written.value.too_large.as_ref().map(|one| one.value)
            == Some(raw::TooLarge::Refuse),
    })
}

fn context(
    written: &Entries<Spanned<String>>,
    compiler: &mut Compiler<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = Vec::with_capacity(written.0.len());
    for (name, value) in written.iter() {
        let read = scalar::header_name(&name.value, Purpose::Edit);
        let name = compiler.value(&name.span, Code::Header, read);
        let read = scalar::header_value(&value.value);
        let value = compiler.value(&value.span, Code::Header, read);
        fields.extend(name.zip(value));
    }
    fields
}

/// What routes say of this policy, by route.
fn overrides(
    policy: &Spanned<String>,
    rules: &ForwardRules,
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) -> BTreeMap<Arc<str>, ForwardRules> {
    let mut overrides = BTreeMap::new();
    for route in &config.routes {
        let Some(name) = &route.value.name else {
            continue;
        };
        for set in auth::sets(&route.value, config) {
            let raw::PolicySet::Use(written) = &set.value else {
                continue;
            };
            let of_this = |named: &Spanned<String>| named.value == policy.value;
            if !written.policy.as_ref().is_some_and(of_this) {
                continue;
            }
            let own = overridden(rules, written, compiler);
            if overrides
                .insert(Arc::from(name.value.as_str()), own)
                .is_some()
            {
                let message = "this policy has other settings on this route already";
                compiler.tell(Diagnostic::at(Code::DuplicateName, &set.span, message));
            }
        }
    }
    overrides
}

fn overridden(
    rules: &ForwardRules,
    written: &raw::PolicyUse,
    compiler: &mut Compiler<'_>,
) -> ForwardRules {
    let mut own = rules.clone();
    own.timeout = compiler.duration_or(written.timeout.as_ref(), rules.timeout);
    if let Some(body) = &written.body {
        own.body = self::body(body, compiler);
    }
    if let Some(on_failure) = on_failure(written.on_failure.as_ref()) {
        own.on_failure = on_failure;
    }
    if written.failure_status.is_some() {
        own.failure_status = failure_status(written.failure_status.as_ref(), compiler);
    }
    for (name, value) in context(&written.context, compiler) {
        own.context.retain(|(other, _)| *other != name);
        own.context.push((name, value));
    }
    own
}

/// Tells what a route says of a policy that asks nobody.
pub(super) fn check_use(
    written: &raw::PolicyUse,
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) {
    let asks = written.policy.as_ref().is_some_and(|named| {
        let mut policies = config.auth.iter();
        policies.any(|(name, policy)| name.value == named.value && policy.forward.is_some())
    });
    if asks {
        return;
    }
    let given = [
        ("timeout", written.timeout.as_ref().map(|one| &one.span)),
        ("body", written.body.as_ref().map(|one| &one.span)),
        (
            "on_failure",
            written.on_failure.as_ref().map(|one| &one.span),
        ),
        (
            "failure_status",
            written.failure_status.as_ref().map(|one| &one.span),
        ),
        (
            "context",
            written.context.iter().next().map(|(name, _)| &name.span),
        ),
    ];
    for (key, span) in given {
        if let Some(span) = span {
            let message = format!("`{key}` has no effect here");
            let diagnostic = Diagnostic::at(Code::Unfit, span, message);
            compiler.tell(diagnostic.label("only one `policy` with `forward` takes it"));
        }
    }
}
