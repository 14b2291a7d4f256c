//! Upstreams.

use super::Compiler;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar;
use crate::upstream::{
    ClusterSettings, EndpointProtocol, UpstreamLimits, UpstreamTimeouts, UpstreamTls,
};
use std::sync::Arc;

pub(super) fn compile(
    upstreams: &Entries<raw::Upstream>,
    compiler: &mut Compiler<'_>,
) -> Vec<ClusterSettings> {
    let one = |(name, upstream): &(Spanned<String>, raw::Upstream)| one(name, upstream, compiler);
    upstreams.iter().map(one).collect()
}

fn one(
    name: &Spanned<String>,
    upstream: &raw::Upstream,
    compiler: &mut Compiler<'_>,
) -> ClusterSettings {
    let folder = compiler.folder;
    let endpoints: Vec<_> = upstream
        .endpoints
        .iter()
        .filter_map(|written| {
            let read = scalar::endpoint(&written.value.0, folder);
            compiler.value(&written.span, Code::Url, read)
        })
        .collect();
    let encrypted = endpoints
        .iter()
        .any(|one| one.protocol == EndpointProtocol::Https);
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
        endpoints,
        timeouts: timeouts(&upstream.timeouts, compiler),
        tls: upstream
            .tls
            .as_ref()
            .map(|written| tls(&written.value, compiler))
            .unwrap_or_default(),
        limits: limits(&upstream.limits),
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

fn tls(written: &raw::UpstreamTls, compiler: &mut Compiler<'_>) -> UpstreamTls {
    UpstreamTls {
        ca: compiler.authority(written.ca.as_ref()),
        identity: written
            .certificate
            .as_ref()
            .and_then(|files| compiler.certificate(files)),
        server_name: written.server_name.as_ref().and_then(|name| {
            let read = scalar::host_name(&name.value.0);
            compiler.value(&name.span, Code::Host, read).map(Arc::from)
        }),
    }
}

fn limits(written: &raw::UpstreamLimits) -> UpstreamLimits {
    let default = UpstreamLimits::default();
    let count = |count: &Option<Spanned<raw::Count>>, default: usize| {
        count.as_ref().map_or(default, |count| count.value.0)
    };
    UpstreamLimits {
        requests_max: count(&written.requests, default.requests_max),
        idle_connections_max: count(&written.idle_connections, default.idle_connections_max),
    }
}
