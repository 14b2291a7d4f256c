//! Where the shared Redis is, as the configuration says.

use crate::secret::Secret;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The Redis that replicas share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Host name or address.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// Number of the database.
    pub database: u16,
    /// TLS; None in the clear.
    pub tls: Option<RedisTls>,
    /// ACL user; None: `default`.
    pub username: Option<Arc<str>>,
    /// Password.
    pub password: Option<Secret>,
    /// Longest wait of a request for its limits.
    pub timeout: Duration,
    /// What all keys begin with. Its hash tag keeps the keys of one request in one slot.
    pub prefix: Arc<str>,
}

/// TLS towards Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// PEM file of the authority to trust instead of the machine's roots.
    pub ca: Option<PathBuf>,
    /// PEM files of our certificate chain and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}
