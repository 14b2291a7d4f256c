//! Who is on the other side, and who may speak for others.

use ipnet::IpNet;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a connection may be silent before the system asks whether the other side is there.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// How often it asks then.
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// Sets what every TCP connection shall have: no waiting for more to send, and probes that find
/// out a peer that is gone without a word. A connection that may rest, such as a WebSocket, has no
/// other end.
///
/// # Errors
/// Those of the system, when the other side has closed already.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// Networks whose word about others is believed: `X-Forwarded-*`, `Forwarded`,
/// `CF-Connecting-IP`. Empty trusts nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedPeers(Vec<IpNet>);

impl TrustedPeers {
    /// Trusts exactly these networks.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether `address` may speak for others. IPv4 within IPv6 counts as IPv4.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Trusts these and those.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// The first address that is trusted, for a rehearsal.
    pub fn first(&self) -> Option<IpAddr> {
        self.0.first().map(IpNet::addr)
    }

    /// Whether nobody is trusted.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is known of a connection from its sockets alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The other side.
    pub peer: SocketAddr,
    /// Our side.
    pub local: SocketAddr,
}
