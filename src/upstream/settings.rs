//! What an upstream is, as compiled from the configuration.

use super::Rehearsal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One upstream: a named set of endpoints that serve the same thing.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// `service.peer.name` of CLIENT spans; the name if the file gives none.
    pub service: Arc<str>,
    /// Where it is; used in turn. Never empty.
    pub endpoints: Vec<EndpointAddress>,
    /// Deadlines.
    pub timeouts: UpstreamTimeouts,
    /// TLS towards `https` endpoints.
    pub tls: UpstreamTls,
    /// Bounds.
    pub limits: UpstreamLimits,
    /// Reached in memory instead of over the network.
    pub rehearsal: Option<Rehearsal>,
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

/// TLS towards an upstream. Files are read when the upstream is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM file of the authority to trust instead of the machine's roots.
    pub ca: Option<PathBuf>,
    /// PEM files of our certificate chain and key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Name to ask for and to verify, instead of the endpoint's host.
    pub server_name: Option<Arc<str>>,
}

/// Bounds of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Requests in flight; one more gets 503.
    pub requests_max: usize,
    /// Idle connections kept for each endpoint.
    pub idle_connections_max: usize,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            requests_max: 10_000,
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
