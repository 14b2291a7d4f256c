//! What a listener is, as compiled from the configuration.

use crate::net::TrustedPeers;
use http::HeaderName;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One data listener in gateway mode.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificates; empty means no TLS.
    pub certificates: Vec<CertificateFiles>,
    /// Peers that may speak for others.
    pub trusted_proxies: TrustedPeers,
    /// A header in which a trusted peer names the client instead of `X-Forwarded-For`,
    /// such as `CF-Connecting-IP`.
    pub client_address_header: Option<HeaderName>,
    /// Deadlines.
    pub timeouts: ListenerTimeouts,
    /// Bounds.
    pub limits: ListenerLimits,
    /// What to do with paths that servers read in two ways.
    pub paths: PathPolicy,
}

impl ListenerSettings {
    /// Whether it speaks TLS.
    pub const fn is_secure(&self) -> bool {
        !self.certificates.is_empty()
    }
}

/// PEM files of one certificate. Its names are read from the certificate itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Chain, leaf first.
    pub chain: PathBuf,
    /// Private key.
    pub key: PathBuf,
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
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
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
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            requests_max: 20_000,
            header_bytes_max: 64 * 1024,
            header_count_max: 100,
            body_bytes_max: None,
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
