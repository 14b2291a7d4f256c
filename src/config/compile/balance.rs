//! Endpoints, how they are found and which of them is next.

use super::Compiler;
use super::hash_part::{self, Part};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread};
use crate::trace::resource::ResourceValue;
use crate::upstream::{
    Algorithm, BalanceSettings, DnsSettings, EndpointSettings, EndpointSource, EndpointTarget,
    Families, HashSource,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The resource attribute that says in which zone edgespan is.
const ZONE: &str = "cloud.availability_zone";
/// Where name servers listen.
const DNS_PORT: u16 = 53;

/// The zone that the resource says edgespan is in.
pub(super) fn zone_of(resource: &[(Arc<str>, ResourceValue)]) -> Option<Arc<str>> {
    resource.iter().find_map(|(key, value)| {
        let ResourceValue::String(zone) = value else {
            return None;
        };
        (**key == *ZONE).then(|| Arc::clone(zone))
    })
}

pub(super) fn endpoint(
    written: &Spanned<raw::EndpointEntry>,
    compiler: &mut Compiler<'_>,
) -> Option<EndpointSettings> {
    let folder = compiler.folder;
    let mut url = |span: &Span, text: &str| {
        compiler.value(span, Code::Url, scalar::endpoint_source(text, folder))
    };
    let weighed = match &written.value {
        raw::EndpointEntry::Url(text) => {
            let source = url(&written.span, text)?;
            return Some(EndpointSettings {
                source,
                weight: 1,
                zone: None,
            });
        }
        raw::EndpointEntry::Weighed(weighed) => weighed,
    };
    let place = weighed.url.as_ref()?;
    let source = url(&place.span, &place.value.0)?;
    Some(EndpointSettings {
        source,
        weight: weighed.weight.map_or(1, |weight| weight.0),
        zone: zone(weighed.zone.as_ref(), compiler),
    })
}

fn zone(written: Option<&Spanned<String>>, compiler: &mut Compiler<'_>) -> Option<Arc<str>> {
    let written = written?;
    let name = written.value.trim();
    if name.is_empty() {
        compiler.tell(Diagnostic::at(
            Code::Empty,
            &written.span,
            "a zone is empty",
        ));
        return None;
    }
    Some(Arc::from(name))
}

/// `near` is the zone that edgespan is in, unless the upstream says so itself.
pub(super) fn balance(
    upstream: &raw::Upstream,
    endpoints: &[EndpointSettings],
    near: Option<&Arc<str>>,
    compiler: &mut Compiler<'_>,
) -> BalanceSettings {
    let default = BalanceSettings::default();
    let algorithm = upstream
        .balance
        .as_ref()
        .and_then(|written| algorithm(&written.value, compiler));
    let own = zone(upstream.zone.as_ref(), compiler);
    if let (Some(written), Some(own)) = (&upstream.zone, &own)
        && !endpoints.iter().any(|one| one.zone.as_ref() == Some(own))
    {
        let message = format!("`zone` has no effect: no endpoint is in `{own}`");
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message);
        compiler.tell(diagnostic.help("write `{url: ..., zone: ...}` for endpoints"));
    }
    BalanceSettings {
        algorithm: algorithm.unwrap_or(default.algorithm),
        zone: own.or_else(|| near.cloned()),
        slow_start: compiler
            .off_or_duration(upstream.slow_start.as_ref())
            .unwrap_or(default.slow_start),
        panic_threshold: upstream
            .panic_threshold
            .map_or(default.panic_threshold, |rate| rate.0),
    }
}

fn algorithm(written: &raw::Balance, compiler: &mut Compiler<'_>) -> Option<Algorithm> {
    let hash = match written {
        raw::Balance::Word(word) if word == "least_request" => {
            return Some(Algorithm::LeastRequest);
        }
        raw::Balance::Word(_) => return Some(Algorithm::RoundRobin),
        raw::Balance::Hash(hash) => hash.hash.as_ref()?,
    };
    let part = match &hash.value {
        raw::HashKey::Address => return Some(Algorithm::Hash(HashSource::Address)),
        raw::HashKey::Part(part) => part,
    };
    Some(Algorithm::Hash(
        match hash_part::compile(&hash.span, part, compiler)? {
            Part::Header(name) => HashSource::Header(name),
            Part::Cookie(name) => HashSource::Cookie(name),
        },
    ))
}

pub(super) fn dns(
    written: Option<&Spanned<raw::Dns>>,
    endpoints: &[EndpointSettings],
    compiler: &mut Compiler<'_>,
) -> DnsSettings {
    let default = DnsSettings::default();
    let Some(Spanned { span, value: dns }) = written else {
        return default;
    };
    if !endpoints.is_empty() && !endpoints.iter().any(|one| is_name(&one.source)) {
        let diagnostic = Diagnostic::at(Code::NoEffect, span, "`dns` has no effect");
        compiler.tell(diagnostic.label("no endpoint is a name"));
    }
    let refresh_min = compiler.duration_or(dns.refresh_min.as_ref(), default.refresh_min);
    let refresh_max = match &dns.refresh_max {
        None => default.refresh_max.max(refresh_min),
        Some(written) => {
            let most = compiler.duration_or(Some(written), default.refresh_max);
            if most < refresh_min {
                let message = "`refresh_max` is shorter than `refresh_min`";
                let diagnostic = Diagnostic::at(Code::OutOfRange, &written.span, message);
                let least = format!("`refresh_min` is {}", seconds(refresh_min));
                compiler.tell(diagnostic.label(least));
            }
            most
        }
    };
    let servers = dns.servers.iter().filter_map(|written| {
        compiler.value(&written.span, Code::Address, server(&written.value.0))
    });
    DnsSettings {
        refresh_min,
        refresh_max,
        servers: servers.collect(),
        families: match dns.families.unwrap_or_default() {
            raw::Families::Auto => Families::Auto,
            raw::Families::V4 => Families::V4,
            raw::Families::V6 => Families::V6,
            raw::Families::All => Families::All,
        },
        timeout: dns
            .timeout
            .as_ref()
            .and_then(|written| compiler.duration(&written.span, &written.value.0)),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

/// Whether its address has to be asked for; `localhost` stands for two addresses.
fn is_name(source: &EndpointSource) -> bool {
    match source {
        EndpointSource::Service { .. } => true,
        EndpointSource::Address(address) => match &address.target {
            EndpointTarget::Tcp { host, .. } => host.parse::<IpAddr>().is_err(),
            EndpointTarget::Unix(_) => false,
        },
    }
}

/// Reads a name server: an IP address, perhaps with a port.
fn server(text: &str) -> Result<SocketAddr, Misread> {
    let with_port = || text.parse::<SocketAddr>().ok().filter(|it| it.port() != 0);
    text.parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, DNS_PORT))
        .ok()
        .or_else(with_port)
        .ok_or_else(|| {
            Misread::new("this is not the address of a name server")
                .label("an IP address, perhaps with a port, such as 10.0.0.53:53")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_an_address_with_or_without_a_port() {
        let read = |text| server(text).map(|address| address.to_string()).ok();

        assert_eq!(read("10.0.0.53").as_deref(), Some("10.0.0.53:53"));
        assert_eq!(read("10.0.0.53:5353").as_deref(), Some("10.0.0.53:5353"));
        assert_eq!(read("::1").as_deref(), Some("[::1]:53"));
        assert_eq!(read("[::1]:54").as_deref(), Some("[::1]:54"));
        for wrong in ["", "dns.example", "10.0.0.53:0", "10.0.0.53:x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
