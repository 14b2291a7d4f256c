//! How names are resolved, as compiled from the configuration.

use std::net::SocketAddr;
use std::time::Duration;

/// How an upstream's names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    /// Shortest time between two questions for one name, whatever the TTL.
    pub refresh_min: Duration,
    /// Longest time between two questions for one name, whatever the TTL.
    pub refresh_max: Duration,
    /// Whom to ask. Empty: whom the system's configuration names.
    pub servers: Vec<SocketAddr>,
    /// Which addresses are used.
    pub families: Families,
    /// How long one server may take. None: what the system's configuration says.
    pub timeout: Option<Duration>,
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// IPv4 where there is any, else IPv6. A name with one address of each is one endpoint that is
    /// reached by whichever works.
    #[default]
    Auto,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Every address is an endpoint of its own.
    All,
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            refresh_min: Duration::from_secs(5),
            refresh_max: Duration::from_secs(300),
            servers: Vec::new(),
            families: Families::Auto,
            timeout: None,
        }
    }
}
