//! What an upstream looks like at this moment, for whoever operates edgespan.

use super::cluster::{Cluster, EndpointState, condition};
use super::endpoint::Endpoint;
use super::settings::EndpointTarget;
use super::standing::LastFailure;
use crate::clock::Timestamp;
use crate::telemetry::metrics::EndpointCondition;
use std::net::SocketAddr;
use std::sync::Arc;

/// One upstream at one moment.
#[derive(Clone, Debug)]
pub struct ClusterReading {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Whether its endpoints are checked.
    pub is_checked: bool,
    /// Whether so few endpoints are available that all are used.
    pub is_panicking: bool,
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
    /// As configured.
    pub source: String,
    /// The address it is reached by. None for a Unix socket, and for a name without addresses.
    pub address: Option<SocketAddr>,
    /// How it stands.
    pub state: EndpointCondition,
    /// Whether active checks have nothing against it.
    pub is_healthy: bool,
    /// Whether outlier detection keeps requests away.
    pub is_ejected: bool,
    /// Since when health and ejection are what they are.
    pub since: Timestamp,
    /// Why a check failed last, or why it was ejected.
    pub last_failure: Option<LastFailure>,
    /// Attempts in flight.
    pub in_flight: usize,
    /// As configured, or as its SRV record says.
    pub weight: f64,
    /// The share of requests that it gets at this moment, `0.0..=1.0`.
    pub share: f64,
    /// The zone that it is in.
    pub zone: Option<Arc<str>>,
}

impl EndpointReading {
    fn of(state: &EndpointState) -> Self {
        let standing = &state.endpoint.standing;
        Self {
            source: state.source.to_string(),
            address: state.address,
            state: condition(&state.endpoint),
            is_healthy: standing.is_healthy(),
            is_ejected: standing.is_ejected(),
            since: standing.changed_at(),
            last_failure: standing.last_failure(),
            in_flight: standing.in_flight(),
            weight: state.weight,
            share: state.share,
            zone: state.zone.clone(),
        }
    }
}

impl Endpoint {
    /// As the log names it: as configured, and the address if that says more.
    pub(super) fn told(&self) -> String {
        match (&self.address.target, self.resolved()) {
            (EndpointTarget::Tcp { host, .. }, Some(address))
                if host.parse::<std::net::IpAddr>().is_err() =>
            {
                format!("{} ({address})", self.address)
            }
            _ => self.address.to_string(),
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
            is_panicking: self.is_panicking(),
            in_flight: self.in_flight(),
            in_flight_max: settings.limits.requests_max,
            endpoints: self.states().iter().map(EndpointReading::of).collect(),
        }
    }
}
