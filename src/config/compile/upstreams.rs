//! Upstreams.

use super::{Compiler, balance, health, retry, tls};
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::trace::resource::ResourceValue;
use crate::upstream::{ClusterSettings, EndpointProtocol, UpstreamLimits, UpstreamTimeouts};
use std::sync::Arc;

pub(super) fn compile(
    upstreams: &Entries<raw::Upstream>,
    resource: &[(Arc<str>, ResourceValue)],
    compiler: &mut Compiler<'_>,
) -> Vec<ClusterSettings> {
    let near = balance::zone_of(resource);
    let one = |(name, upstream): &(Spanned<String>, raw::Upstream)| {
        one(name, upstream, near.as_ref(), compiler)
    };
    upstreams.iter().map(one).collect()
}

fn one(
    name: &Spanned<String>,
    upstream: &raw::Upstream,
    near: Option<&Arc<str>>,
    compiler: &mut Compiler<'_>,
) -> ClusterSettings {
    let endpoints: Vec<_> = upstream
        .endpoints
        .iter()
        .filter_map(|written| balance::endpoint(written, compiler))
        .collect();
    let encrypted = endpoints
        .iter()
        .any(|one| one.source.protocol() == EndpointProtocol::Https);
    if let Some(tls) = &upstream.tls
        && !encrypted
        && endpoints.len() == upstream.endpoints.len()
    {
        let message = format!("`tls` of `upstreams.{}` has no effect", name.value);
        let diagnostic = Diagnostic::at(Code::NoEffect, &tls.span, message);
        compiler.tell(diagnostic.label("no endpoint is `https`"));
    }
    let service = upstream
        .service
        .as_ref()
        .map_or(&name.value, |service| &service.value);
    ClusterSettings {
        name: Arc::from(name.value.as_str()),
        service: Arc::from(service.as_str()),
        balance: balance::balance(upstream, &endpoints, near, compiler),
        dns: balance::dns(upstream.dns.as_ref(), &endpoints, compiler),
        endpoints,
        timeouts: timeouts(&upstream.timeouts, compiler),
        tls: upstream
            .tls
            .as_ref()
            .map(|written| tls::upstream(&written.value, compiler))
            .unwrap_or_default(),
        limits: limits(&upstream.limits),
        adaptive: upstream.overload.adaptive == Some(true),
        retries: retry::compile(upstream.retries.as_ref(), compiler),
        health: upstream
            .health
            .as_ref()
            .and_then(|written| health::health(written, compiler)),
        outlier: upstream
            .outlier
            .as_ref()
            .map(|written| health::outlier(written, compiler)),
        rehearsal: None,
    }
}

fn timeouts(written: &raw::UpstreamTimeouts, compiler: &mut Compiler<'_>) -> UpstreamTimeouts {
    let default = UpstreamTimeouts::default();
    UpstreamTimeouts {
        connect: compiler.duration_or(written.connect.as_ref(), default.connect),
        first_byte: compiler.duration_or(written.first_byte.as_ref(), default.first_byte),
        request: compiler
            .off_or_duration(written.request.as_ref())
            .unwrap_or(default.request),
        idle: compiler.duration_or(written.idle.as_ref(), default.idle),
    }
}

fn limits(written: &raw::UpstreamLimits) -> UpstreamLimits {
    let default = UpstreamLimits::default();
    let count = |count: &Option<Spanned<raw::Count>>, default: usize| {
        count.as_ref().map_or(default, |count| count.value.0)
    };
    UpstreamLimits {
        requests_max: count(&written.requests, default.requests_max),
        pending_max: count(&written.pending, default.pending_max),
        connections_max: written.connections.as_ref().map(|count| count.value.0),
        retries_max: count(&written.retries, default.retries_max),
        idle_connections_max: count(&written.idle_connections, default.idle_connections_max),
    }
}
