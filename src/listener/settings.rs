//! What a listener is, as compiled from the configuration.

use super::{DecisionSettings, ProxyProtocol};
use crate::net::TrustedPeers;
use crate::tls::ServerTls;
use http::HeaderName;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// One data listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whom it tells what it decides, and forwards nothing; None: it is a gateway.
    pub decision: Option<Arc<DecisionSettings>>,
    /// Whose PROXY headers are read; None: nobody's.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// TLS; None: in the clear.
    pub tls: Option<ServerTls>,
    /// Peers that may speak for others.
    pub trusted_proxies: TrustedPeers,
    /// A header in which a trusted peer names the client instead of `X-Forwarded-For`,
    /// such as `CF-Connecting-IP`.
    pub client_address_header: Option<HeaderName>,
    /// Peers by which Cloudflare speaks, all of them trusted; None: it is not behind Cloudflare.
    pub cloudflare: Option<TrustedPeers>,
    /// Deadlines.
    pub timeouts: ListenerTimeouts,
    /// Bounds.
    pub limits: ListenerLimits,
    /// What to do with paths that servers read in two ways.
    pub paths: PathPolicy,
    /// Names of the rate limits of all its requests; exist in the plan.
    pub rate_limits: Vec<Arc<str>>,
}

impl ListenerSettings {
    /// Whether it speaks TLS.
    pub const fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// The header in which upstreams are told of a client's certificate.
    pub fn identity_header(&self) -> Option<HeaderName> {
        let header = self.tls.as_ref()?.client.as_ref()?.header?;
        Some(header.name())
    }
}

/// Deadlines of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// TLS handshake; a request's head from its first byte, the first one from the connection's
    /// beginning.
    pub header: Duration,
    /// Longest silence of a connection with no request, of a request body, and of a client that
    /// does not take its answer.
    pub idle: Duration,
    /// Age at which a connection is told to end; None: it may get as old as it likes.
    pub lifetime: Option<Duration>,
    /// How long requests in flight have from then on; None: as long as they take.
    pub grace: Option<Duration>,
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            lifetime: None,
            grace: Some(Duration::from_secs(60)),
        }
    }
}

/// Bounds of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Open connections; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// Requests in flight; one more gets 503.
    pub requests_max: usize,
    /// Bytes of a request's header fields together; more gets 431. At most 256 KiB.
    pub header_bytes_max: usize,
    /// Number of header fields; more gets 431. At most 500.
    pub header_count_max: usize,
    /// Bytes of a request body; more gets 413. None: no bound.
    pub body_bytes_max: Option<u64>,
    /// Requests on one connection; it is told to end with the last of them. None: no bound.
    pub requests_per_connection_max: Option<u64>,
    /// Least bytes a second of a request body that is waited for, after its first ten seconds;
    /// less ends it. None: silence alone is bounded.
    pub body_bytes_per_second_min: Option<NonZeroU64>,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            requests_max: 20_000,
            header_bytes_max: 64 * 1024,
            header_count_max: 100,
            body_bytes_max: None,
            requests_per_connection_max: None,
            body_bytes_per_second_min: None,
        }
    }
}

/// What to do with paths that servers read in two ways. The default refuses both with 400.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathPolicy {
    /// Let `%2F` and `%5C` pass as part of a segment.
    pub allow_encoded_slash: bool,
    /// Let `//` pass as an empty segment.
    pub allow_empty_segment: bool,
}
