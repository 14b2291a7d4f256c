//! PROXY protocol: a balancer in front says for whom it opened the connection.
//!
//! Comes first on a connection, before TLS. Follows HAProxy's `proxy-protocol.txt` (versions 1
//! and 2). Only peers that the listener names are listened to; what anybody else sends is never
//! read as such a header.

mod parse;
mod read;

pub use read::{ProxyProtocolError, read};

use crate::net::TrustedPeers;
use std::net::SocketAddr;

/// Whose PROXY headers a listener believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Peers that speak it.
    pub from: TrustedPeers,
    /// Whether every connection has to begin with a header, so that nobody else gets in. If not,
    /// other peers, and such peers without one, speak for themselves.
    pub required: bool,
}

/// Both ends of a connection as its header tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who opened the connection to the balancer.
    pub source: SocketAddr,
    /// Where it came in there.
    pub destination: SocketAddr,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    /// The connection is somebody else's.
    Proxied(Told),
    /// It is the balancer's own (`LOCAL`), or of a kind that has no IP address (`UNKNOWN`, a Unix
    /// socket): the ends of our own socket count.
    Own,
}
