//! How endpoints are checked, as compiled from the configuration.

use http::{HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Active checks of an upstream's endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthSettings {
    /// What is asked.
    pub check: HealthCheck,
    /// From the end of one check to the begin of the next, give or take a tenth.
    pub interval: Duration,
    /// Longest duration of one check, its connection included.
    pub timeout: Duration,
    /// Checks that have to pass in a row before an unhealthy endpoint is healthy again.
    pub healthy_after: u32,
    /// Checks that have to fail in a row before a healthy endpoint is unhealthy.
    pub unhealthy_after: u32,
}

/// What a check asks an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub enum HealthCheck {
    /// A GET; its status decides.
    Http(HttpCheck),
    /// `grpc.health.v1.Health/Check` over HTTP/2.
    Grpc {
        /// The service asked about; empty for the server as a whole.
        service: Arc<str>,
    },
    /// A connection, with TLS where the endpoint has it.
    Tcp,
}

/// A check by an HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {
    /// Path and query.
    pub path: http::uri::PathAndQuery,
    /// `Host`; None: the endpoint's own.
    pub host: Option<HeaderValue>,
    /// Further headers. Values may be secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Statuses that pass; empty: every 2xx.
    pub statuses: Vec<StatusCode>,
}

impl HealthSettings {
    /// With this check and the defaults.
    pub const fn new(check: HealthCheck) -> Self {
        Self {
            check,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            healthy_after: 2,
            unhealthy_after: 3,
        }
    }
}

impl HttpCheck {
    /// Whether an answer of this status passes.
    pub fn passes(&self, status: StatusCode) -> bool {
        if self.statuses.is_empty() {
            status.is_success()
        } else {
            self.statuses.contains(&status)
        }
    }
}
