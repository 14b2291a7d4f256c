//! Where the operator's doors are.

use std::net::SocketAddr;

/// Where the admin listener and the probe listener are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// The whole admin interface. None: off.
    pub address: Option<SocketAddr>,
    /// Whether the file or the command line named that address. If not, and it is taken, a free
    /// port is used and printed.
    pub address_is_default: bool,
    /// A second address with `/live`, `/ready` and `/metrics` alone, for kubelet and Prometheus.
    pub probes: Option<SocketAddr>,
}
