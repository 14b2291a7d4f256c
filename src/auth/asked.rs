//! The request that is asked about: the one that came, or one that a host proxy told of.

use crate::message::held::HeldBody;
use crate::tls::ClientIdentity;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Version};
use std::net::{IpAddr, SocketAddr};

/// What policies see of a request. Path and host have one reading: the one by which it was routed.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// `http` or `https`, as its client sees it.
    pub scheme: &'a str,
    /// Its host in canonical form, without a port.
    pub host: &'a str,
    /// Its port, if it is told.
    pub port: Option<u16>,
    /// Path and query as they go upstream.
    pub target: &'a PathAndQuery,
    /// Its HTTP version.
    pub version: Version,
    /// Its header fields. What the client says of itself in place of an identity is gone.
    pub headers: &'a HeaderMap,
    /// The client, by trusted peers' word.
    pub client: IpAddr,
    /// The other side of the connection that it came by.
    pub peer: SocketAddr,
    /// The client's certificate, verified.
    pub certificate: Option<&'a ClientIdentity>,
    /// The name of its route.
    pub route: &'a str,
    /// The name of the listener it came in by.
    pub listener: &'a str,
    /// Whether it asks for another protocol, such as a WebSocket.
    pub upgrades: bool,
    /// Whether it is a CORS preflight.
    pub is_preflight: bool,
    /// The first bytes of its body, where a policy of its route wants them and there is one to be
    /// had.
    pub body: Option<&'a HeldBody>,
}
