//! Who is on the other side, and who may speak for others.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

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
