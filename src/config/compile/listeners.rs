//! Listeners.

use super::{Compiler, Overrides, address, decision, tls};
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::listener::{ListenerLimits, ListenerSettings, ListenerTimeouts, PathPolicy};
use crate::message::cloudflare;
use crate::net::TrustedPeers;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::Arc;

/// Largest `header_bytes`: the HTTP library's own limit stands above it, so that ours answers.
const HEADER_BYTES_MAX: u64 = 256 << 10;
/// Largest `header_count`, for the same reason.
const HEADER_COUNT_MAX: usize = 500;

pub(super) fn compile(
    listeners: &Entries<raw::Listener>,
    overrides: &Overrides,
    compiler: &mut Compiler<'_>,
) -> Vec<ListenerSettings> {
    let mut compiled = Vec::with_capacity(listeners.0.len());
    let mut taken: Vec<(SocketAddr, &Span)> = Vec::new();
    for (name, listener) in listeners.iter() {
        let Some(written) = &listener.address else {
            // Told by the shape pass; the rest is still looked at.
            one(
                name,
                listener,
                SocketAddr::from(([127, 0, 0, 1], 0)),
                compiler,
            );
            continue;
        };
        let read = compiler.value(&written.span, Code::Address, address(&written.value.0));
        if let Some(address) = read.filter(|address| address.port() != 0) {
            match taken.iter().find(|(other, _)| *other == address) {
                Some((_, other)) => {
                    let message = format!("two listeners have the address {address}");
                    let diagnostic = Diagnostic::at(Code::DuplicateName, &written.span, message);
                    compiler.tell(diagnostic.beside(other, "first here"));
                }
                None => taken.push((address, &written.span)),
            }
        }
        let address = read.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        compiled.push(one(name, listener, address, compiler));
    }
    if listeners.0.is_empty() && compiler.findings.are_harmless() {
        compiler.tell(Diagnostic::new(Code::Empty, "the file has no listener"));
    }
    if let (Some(listen), Some(first)) = (overrides.listen, compiled.first_mut()) {
        first.address = listen;
    }
    compiled
}

fn one(
    name: &Spanned<String>,
    listener: &raw::Listener,
    address: SocketAddr,
    compiler: &mut Compiler<'_>,
) -> ListenerSettings {
    let header = listener.client_address_header.as_ref();
    if let Some(header) = header
        && listener.trusted_proxies.is_empty()
        && listener.cloudflare.is_none()
    {
        let message = "`client_address_header` has no effect without `trusted_proxies`";
        let diagnostic = Diagnostic::at(Code::NoEffect, &header.span, message);
        compiler.tell(diagnostic.label("nobody is trusted to set it"));
    }
    let mut trusted_proxies = compiler.networks(&listener.trusted_proxies);
    let cloudflare = cloudflare(listener, &trusted_proxies, compiler);
    if let Some(peers) = &cloudflare {
        trusted_proxies = trusted_proxies.and(peers);
    }
    ListenerSettings {
        name: Arc::from(name.value.as_str()),
        address,
        decision: decision::compile(name, listener, compiler),
        proxy_protocol: tls::proxy_protocol(listener.proxy_protocol.as_ref(), compiler),
        tls: tls::listener(listener.tls.as_ref(), compiler),
        trusted_proxies,
        cloudflare,
        client_address_header: header.and_then(|header| {
            let read = scalar::header_name(&header.value.0, Purpose::Read);
            compiler.value(&header.span, Code::Header, read)
        }),
        timeouts: timeouts(&listener.timeouts, compiler),
        limits: limits(&listener.limits, compiler),
        paths: PathPolicy {
            allow_encoded_slash: listener.paths.encoded_slash == Some(raw::EncodedSlash::Allow),
            allow_empty_segment: listener.paths.empty_segment == Some(raw::EmptySegment::Allow),
        },
        rate_limits: Vec::new(),
    }
}

/// The peers by which Cloudflare speaks.
fn cloudflare(
    listener: &raw::Listener,
    trusted: &TrustedPeers,
    compiler: &mut Compiler<'_>,
) -> Option<TrustedPeers> {
    let written = listener.cloudflare.as_ref()?;
    if decision::is_decision(listener) {
        let message = "`cloudflare` has no effect with `mode: decision`";
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message);
        compiler.tell(diagnostic.label("the host proxy tells who the client is"));
        return None;
    }
    Some(match &written.value {
        raw::Cloudflare::From(own) => compiler.networks(&own.from),
        raw::Cloudflare::Word(word) if word == "tunnel" => {
            TrustedPeers::new(cloudflare::local()).and(trusted)
        }
        // The schema lets no other word through.
        raw::Cloudflare::Word(_) => TrustedPeers::new(cloudflare::edge()),
    })
}

impl Compiler<'_> {
    /// Peers by their networks.
    pub(super) fn networks(&mut self, written: &[Spanned<raw::NetworkText>]) -> TrustedPeers {
        let networks = written.iter().filter_map(|written| {
            self.value(&written.span, Code::Network, network(&written.value.0))
        });
        TrustedPeers::new(networks.collect())
    }
}

fn network(text: &str) -> Result<IpNet, Misread> {
    let misread = || Misread::new("this is not a network").label("such as 10.0.0.7 or 10.0.0.0/8");
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse::<IpNet>().map_err(|_| misread())?,
    };
    if network.trunc() != network {
        return Err(Misread::new("this network has bits behind its prefix")
            .label("an address and a network at once")
            .help(format!(
                "write `{}` or `{}`",
                network.trunc(),
                network.addr()
            )));
    }
    Ok(network)
}

fn timeouts(written: &raw::ListenerTimeouts, compiler: &mut Compiler<'_>) -> ListenerTimeouts {
    let default = ListenerTimeouts::default();
    ListenerTimeouts {
        header: compiler.duration_or(written.header.as_ref(), default.header),
        idle: compiler.duration_or(written.idle.as_ref(), default.idle),
        lifetime: compiler
            .off_or_duration(written.lifetime.as_ref())
            .unwrap_or(default.lifetime),
        grace: compiler
            .off_or_duration(written.grace.as_ref())
            .unwrap_or(default.grace),
    }
}

fn limits(written: &raw::ListenerLimits, compiler: &mut Compiler<'_>) -> ListenerLimits {
    let default = ListenerLimits::default();
    let count = |count: &Option<Spanned<raw::Count>>, default: usize| {
        count.as_ref().map_or(default, |count| count.value.0)
    };
    let header_bytes = compiler.size(written.header_bytes.as_ref());
    if let (Some(bytes), Some(place)) = (header_bytes, &written.header_bytes)
        && !(1024..=HEADER_BYTES_MAX).contains(&bytes)
    {
        let message = "`header_bytes` is out of its range";
        compiler
            .tell(Diagnostic::at(Code::OutOfRange, &place.span, message).label("1KiB to 256KiB"));
    }
    let header_count_max = count(&written.header_count, default.header_count_max);
    if let Some(place) = &written.header_count
        && header_count_max > HEADER_COUNT_MAX
    {
        let message = "`header_count` is out of its range";
        compiler.tell(Diagnostic::at(Code::OutOfRange, &place.span, message).label("1 to 500"));
    }
    let header_bytes = header_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    ListenerLimits {
        connections_max: count(&written.connections, default.connections_max),
        requests_max: count(&written.requests, default.requests_max),
        header_bytes_max: header_bytes.unwrap_or(default.header_bytes_max),
        header_count_max,
        body_bytes_max: compiler
            .size(written.body_bytes.as_ref())
            .or(default.body_bytes_max),
        requests_per_connection_max: written
            .requests_per_connection
            .as_ref()
            .and_then(|count| u64::try_from(count.value.0).ok()),
        body_bytes_per_second_min: compiler
            .size(written.body_bytes_per_second.as_ref())
            .and_then(NonZeroU64::new),
    }
}
