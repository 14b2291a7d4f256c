//! The operator's door, never on a data port.
//!
//! One listener has everything and lets in only who asks for this machine by its own name; a
//! second one, if configured, has the probes and the metrics alone, for kubelet and Prometheus.
//! Neither can hold up the process: every connection has a deadline, and there is a bound on how
//! many there are.

mod bind;
mod last_reload;
mod readiness;
mod routes;
mod serve;
mod settings;
mod spans;
mod store;
mod telemetry;
mod upstreams;
mod visitor;

pub use bind::{AdminListeners, BindError, HandedDoors, bind};
pub use last_reload::LastReload;
pub use readiness::{Readiness, ReadinessState};
pub use serve::serve;
pub use settings::AdminSettings;
pub use spans::SpanAccount;
pub use store::StoreReading;
pub use telemetry::TelemetryAccount;

use crate::telemetry::metrics::{Exposition, FamilyReading, Metrics};
use crate::upstream::ClusterReading;
use std::sync::Arc;
use tokio::sync::Notify;

/// What the doors show and do.
#[derive(Clone)]
pub struct AdminState {
    /// The numbers of the process.
    pub metrics: Arc<Metrics>,
    /// Whether requests are taken.
    pub readiness: Readiness,
    /// The span account of each exporter, as of the call.
    pub accounts: Arc<dyn Fn() -> Vec<SpanAccount> + Send + Sync>,
    /// What was sent about edgespan itself, as of the call.
    pub telemetry: Arc<dyn Fn() -> Vec<TelemetryAccount> + Send + Sync>,
    /// How each upstream in force stands, as of the call.
    pub upstreams: Arc<dyn Fn() -> Vec<ClusterReading> + Send + Sync>,
    /// The figures of the store of traces, as of the call; None: it is off.
    pub store: Arc<dyn Fn() -> Option<StoreReading> + Send + Sync>,
    /// Further routes of the whole interface, behind the same checks.
    pub further: axum::Router,
    /// What is missing that comes from elsewhere, a line each, as of the call.
    pub lacks: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The configuration in force, its secrets hidden, as of the call.
    pub config: Arc<dyn Fn() -> Arc<str> + Send + Sync>,
    /// What came of the last reload.
    pub last_reload: LastReload,
    /// Told once for each `POST /drain`. It keeps one notice for whoever waits later.
    pub drain: Arc<Notify>,
}

impl AdminState {
    /// Writes every family of the process.
    fn render(&self, page: &mut Exposition) {
        self.metrics.render(page);
        spans::render(&(self.accounts)(), page);
        telemetry::render(&(self.telemetry)(), page);
        store::render((self.store)(), page);
    }

    /// Every family of the process, as numbers.
    pub fn gather(&self) -> Vec<FamilyReading> {
        Exposition::gather(|page| self.render(page))
    }
}

#[cfg(test)]
mod tests;
