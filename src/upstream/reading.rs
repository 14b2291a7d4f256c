//! What an upstream looks like at this moment, for whoever operates edgespan.

use super::cluster::Cluster;
use super::endpoint::Endpoint;
use super::standing::{Health, LastFailure};
use crate::clock::Timestamp;
use std::sync::Arc;

/// One upstream at one moment.
#[derive(Clone, Debug)]
pub struct ClusterReading {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Whether its endpoints are checked.
    pub is_checked: bool,
    /// Requests in flight.
    pub in_flight: usize,
    /// Most requests that may be.
    pub in_flight_max: usize,
    /// Its endpoints, in no promised order.
    pub endpoints: Vec<EndpointReading>,
}

/// One endpoint at one moment.
#[derive(Clone, Debug)]
pub struct EndpointReading {
    /// Where it is, as configured.
    pub address: String,
    /// What active checks say.
    pub health: Health,
    /// Whether outlier detection keeps requests away.
    pub is_ejected: bool,
    /// Since when health and ejection are what they are.
    pub since: Timestamp,
    /// Why a check failed last, or why it was ejected.
    pub last_failure: Option<LastFailure>,
    /// Attempts in flight.
    pub in_flight: usize,
}

impl EndpointReading {
    /// One word for how it stands: `ejected` before what checks say.
    pub const fn state(&self) -> &'static str {
        match (self.is_ejected, self.health) {
            (true, _) => "ejected",
            (false, Health::Unchecked) => "unchecked",
            (false, Health::Healthy) => "healthy",
            (false, Health::Unhealthy) => "unhealthy",
        }
    }

    /// Every word that [`Self::state`] gives.
    pub const STATES: [&'static str; 4] = ["healthy", "unchecked", "unhealthy", "ejected"];

    fn of(endpoint: &Endpoint) -> Self {
        let standing = &endpoint.standing;
        Self {
            address: endpoint.address.to_string(),
            health: standing.health(),
            is_ejected: standing.is_ejected(),
            since: standing.changed_at(),
            last_failure: standing.last_failure(),
            in_flight: standing.in_flight(),
        }
    }
}

impl Cluster {
    /// How it stands now.
    pub fn reading(&self) -> ClusterReading {
        let settings = self.settings();
        ClusterReading {
            name: Arc::clone(&settings.name),
            is_checked: settings.health.is_some(),
            in_flight: self.in_flight(),
            in_flight_max: settings.limits.requests_max,
            endpoints: self
                .endpoints()
                .iter()
                .map(|endpoint| EndpointReading::of(endpoint))
                .collect(),
        }
    }
}
