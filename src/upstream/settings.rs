//! What an upstream is, as compiled from the configuration.

use super::health::HealthSettings;
use super::outlier::OutlierSettings;
use super::retry::RetryPolicy;
use super::{BalanceSettings, DnsSettings, Rehearsal};
use crate::tls::ClientTls;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One upstream: a named set of endpoints that serve the same thing.
///
/// A reload compares: settings that are equal keep their cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// `service.peer.name` of CLIENT spans; the name if the file gives none.
    pub service: Arc<str>,
    /// Where it is. Never empty.
    pub endpoints: Vec<EndpointSettings>,
    /// Which endpoint is next.
    pub balance: BalanceSettings,
    /// How names are resolved.
    pub dns: DnsSettings,
    /// Deadlines.
    pub timeouts: UpstreamTimeouts,
    /// TLS towards `https` endpoints.
    pub tls: ClientTls,
    /// Bounds.
    pub limits: UpstreamLimits,
    /// Whether requests find out by themselves how many it can take at a time.
    pub adaptive: bool,
    /// When a request is sent once more; a route may have its own.
    pub retries: Option<Arc<RetryPolicy>>,
    /// Active checks; None: there are none.
    pub health: Option<HealthSettings>,
    /// Outlier detection; None: there is none.
    pub outlier: Option<OutlierSettings>,
    /// Reached in memory instead of over the network.
    pub rehearsal: Option<Rehearsal>,
}

impl ClusterSettings {
    /// An upstream of one endpoint, everything else by default.
    pub fn of(name: Arc<str>, endpoint: EndpointAddress) -> Self {
        Self {
            service: Arc::clone(&name),
            name,
            endpoints: vec![endpoint.into()],
            balance: BalanceSettings::default(),
            dns: DnsSettings::default(),
            timeouts: UpstreamTimeouts::default(),
            tls: ClientTls::default(),
            limits: UpstreamLimits::default(),
            retries: None,
            health: None,
            outlier: None,
            rehearsal: None,
            adaptive: false,
        }
    }
}

#[cfg(test)]
impl ClusterSettings {
    /// An upstream of plain HTTP/1.1 endpoints on this machine, everything else by default.
    pub(crate) fn local(ports: impl IntoIterator<Item = u16>) -> Self {
        let address = |port| EndpointAddress {
            protocol: EndpointProtocol::Http1,
            target: EndpointTarget::Tcp {
                host: "127.0.0.1".into(),
                port,
            },
        };
        let endpoints: Vec<EndpointSettings> =
            ports.into_iter().map(address).map(Into::into).collect();
        Self {
            endpoints,
            ..Self::of("content".into(), address(1))
        }
    }
}

/// One entry of an upstream's list of endpoints. A name stands for all its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// Where it is, or who knows where it is.
    pub source: EndpointSource,
    /// How much it gets compared with others; at least one. Each address of a name has it; SRV
    /// weights are multiplied by it.
    pub weight: u32,
    /// The zone it is in.
    pub zone: Option<Arc<str>>,
}

/// Where an endpoint is, or who knows where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointSource {
    /// A host and port, or a Unix socket.
    Address(EndpointAddress),
    /// SRV records under this name (RFC 2782): `srv+http://_http._tcp.example.com`.
    Service {
        /// What is spoken there.
        protocol: EndpointProtocol,
        /// The name of the records.
        name: Arc<str>,
    },
}

impl EndpointSource {
    /// What is spoken there.
    pub const fn protocol(&self) -> EndpointProtocol {
        match self {
            Self::Address(address) => address.protocol,
            Self::Service { protocol, .. } => *protocol,
        }
    }

    /// The address as it is configured; of a service the name of its records, without a port.
    pub fn address(&self) -> EndpointAddress {
        match self {
            Self::Address(address) => address.clone(),
            Self::Service { protocol, name } => EndpointAddress {
                protocol: *protocol,
                target: EndpointTarget::Tcp {
                    host: Arc::clone(name),
                    port: 0,
                },
            },
        }
    }

    /// Host and port as a `Host` header has them; for a service the name of its records.
    pub fn authority(&self) -> String {
        match self {
            Self::Address(address) => address.authority(),
            Self::Service { name, .. } => name.to_string(),
        }
    }
}

impl From<EndpointAddress> for EndpointSettings {
    fn from(address: EndpointAddress) -> Self {
        Self {
            source: EndpointSource::Address(address),
            weight: 1,
            zone: None,
        }
    }
}

impl std::fmt::Display for EndpointSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Service { protocol, name } => write!(f, "srv+{}://{name}", protocol.scheme()),
        }
    }
}

/// Where one endpoint is and what it speaks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointAddress {
    /// What is spoken there.
    pub protocol: EndpointProtocol,
    /// Where to connect.
    pub target: EndpointTarget,
}

/// What an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointProtocol {
    /// `http://`: HTTP/1.1 in the clear.
    Http1,
    /// `h2c://`: HTTP/2 in the clear, by prior knowledge.
    H2c,
    /// `https://`: TLS; HTTP/2 if ALPN chooses it, else HTTP/1.1.
    Https,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointTarget {
    /// A host name or address, and a port. IPv6 addresses without brackets.
    Tcp {
        /// Host name or address.
        host: Arc<str>,
        /// Port.
        port: u16,
    },
    /// A Unix socket, `unix:/run/app.sock` (HTTP/1.1) or `unix+h2c:/run/app.sock`.
    Unix(PathBuf),
}

/// Deadlines towards an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// TCP and TLS handshake together.
    pub connect: Duration,
    /// From the request's start to the response head.
    pub first_byte: Duration,
    /// The whole exchange, body included. None: no bound but the idle one (streams).
    pub request: Option<Duration>,
    /// Longest silence in a body, and longest life of an idle pooled connection.
    pub idle: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            first_byte: Duration::from_secs(15),
            request: None,
            idle: Duration::from_secs(60),
        }
    }
}

/// Bounds of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Requests in flight; one more gets 503.
    pub requests_max: usize,
    /// Requests that wait for a connection; one more gets 503.
    pub pending_max: usize,
    /// HTTP/1.1 connections in use at each endpoint; None for no bound but that of requests.
    pub connections_max: Option<usize>,
    /// Retries and hedges in flight; one more is not made.
    pub retries_max: usize,
    /// Idle connections kept for each endpoint.
    pub idle_connections_max: usize,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            requests_max: 10_000,
            pending_max: 1_000,
            connections_max: None,
            retries_max: 100,
            idle_connections_max: 256,
        }
    }
}

impl std::fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.target, self.protocol) {
            (EndpointTarget::Unix(path), EndpointProtocol::H2c) => {
                write!(f, "unix+h2c:{}", path.display())
            }
            (EndpointTarget::Unix(path), _) => write!(f, "unix:{}", path.display()),
            (EndpointTarget::Tcp { host, port }, protocol) => {
                let scheme = protocol.scheme();
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}")
                } else {
                    write!(f, "{scheme}://{host}:{port}")
                }
            }
        }
    }
}

impl EndpointProtocol {
    /// The scheme under which it is configured.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Http1 => "http",
            Self::H2c => "h2c",
            Self::Https => "https",
        }
    }

    /// The scheme of the request URL, as in `url.full`.
    pub const fn url_scheme(self) -> &'static str {
        match self {
            Self::Http1 | Self::H2c => "http",
            Self::Https => "https",
        }
    }
}

impl EndpointAddress {
    /// Host and port as a `Host` header has them; the port is left out where the scheme implies
    /// it. `localhost` for a Unix socket.
    pub fn authority(&self) -> String {
        let EndpointTarget::Tcp { host, port } = &self.target else {
            return "localhost".to_owned();
        };
        let implied = match self.protocol {
            EndpointProtocol::Https => 443,
            EndpointProtocol::Http1 | EndpointProtocol::H2c => 80,
        };
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_string()
        };
        if *port == implied {
            host
        } else {
            format!("{host}:{port}")
        }
    }
}
