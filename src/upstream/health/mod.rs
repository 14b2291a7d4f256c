//! Active health checks: endpoints are asked whether they are well, before requests find out.
//!
//! One task for each endpoint, and one that starts and ends these as the set of endpoints changes.
//! An endpoint may be used until its first check has ended, which begins at once: whoever holds
//! requests back until then answers 503 at every start and every reload, and an endpoint that is
//! down is found out within one time-out. Checks leave no spans and are in no metric of requests.

mod grpc;
mod probe;
mod settings;
mod verdict;

pub use settings::{HealthCheck, HealthSettings, HttpCheck};

use super::cluster::Cluster;
use super::endpoint::Endpoint;
use super::standing::Health;
use crate::telemetry::metrics::Metrics;
use http::HeaderValue;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinHandle;
use tracing::{info, warn};
use verdict::Verdict;

/// Who asks, so that endpoints can leave checks out of their logs.
const USER_AGENT: HeaderValue = HeaderValue::from_static("edgespan-health");

/// How often the set of endpoints is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// First checks of many endpoints are spread over this long.
const FIRST_WITHIN: Duration = Duration::from_millis(50);

/// From one check to the next at most, while an endpoint has never passed: at a start, those that
/// come up are used soon.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// Checks the endpoints of `cluster` until it is dropped. Has to run inside the runtime.
pub(super) fn start(cluster: &Arc<Cluster>, settings: &HealthSettings, metrics: &Arc<Metrics>) {
    let settings = Arc::new(settings.clone());
    let upstream = Arc::clone(&cluster.settings().name);
    let (cluster, metrics) = (Arc::downgrade(cluster), Arc::clone(metrics));
    tokio::spawn(async move {
        let mut checked: HashMap<usize, Checked> = HashMap::new();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tick.tick().await;
            let Some(cluster) = cluster.upgrade() else {
                return;
            };
            let endpoints = cluster.endpoints();
            drop(cluster);
            // No other endpoint can be where one is that somebody still points to.
            let present: HashSet<usize> = endpoints.iter().map(place).collect();
            // Dropping a checked one ends its task.
            checked.retain(|place, _| present.contains(place));
            for endpoint in endpoints.iter() {
                checked.entry(place(endpoint)).or_insert_with(|| {
                    let checks = Checks {
                        endpoint: Arc::downgrade(endpoint),
                        upstream: Arc::clone(&upstream),
                        settings: Arc::clone(&settings),
                        metrics: Arc::clone(&metrics),
                        has_passed: false,
                    };
                    Checked {
                        _endpoint: Arc::downgrade(endpoint),
                        task: tokio::spawn(checks.run()),
                    }
                });
            }
        }
    });
}

/// Where in memory an endpoint is.
fn place(endpoint: &Arc<Endpoint>) -> usize {
    Arc::as_ptr(endpoint).addr()
}

/// An endpoint whose checks run. Dropping it ends them.
struct Checked {
    /// Keeps its place from being another one's.
    _endpoint: Weak<Endpoint>,
    task: JoinHandle<()>,
}

impl Drop for Checked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The checks of one endpoint.
struct Checks {
    endpoint: Weak<Endpoint>,
    upstream: Arc<str>,
    settings: Arc<HealthSettings>,
    metrics: Arc<Metrics>,
    has_passed: bool,
}

impl Checks {
    async fn run(mut self) {
        let mut verdict = Verdict::new(self.settings.healthy_after, self.settings.unhealthy_after);
        tokio::time::sleep(FIRST_WITHIN.mul_f64(fastrand::f64())).await;
        loop {
            let Some(endpoint) = self.endpoint.upgrade() else {
                return;
            };
            let outcome = probe::check(&endpoint, &self.settings).await;
            let label = outcome
                .as_ref()
                .map_or_else(probe::CheckFailure::outcome, |()| "pass");
            self.metrics.health_check(&self.upstream, label);
            self.has_passed |= outcome.is_ok();
            let reason = outcome.as_ref().err().map(probe::CheckFailure::reason);
            if let Some(reason) = &reason {
                endpoint.standing.note_failure(reason);
            }
            if let Some(health) = verdict.take(outcome.is_ok()) {
                self.tell(&endpoint, health, reason.as_deref().unwrap_or_default());
                endpoint.standing.set_healthy(health == Health::Healthy);
            }
            drop(endpoint);
            tokio::time::sleep(self.pause(fastrand::f64())).await;
        }
    }

    /// Until the next check; `random` is 0 to 1. Without jitter the checks of many proxies that
    /// were started together would arrive together for ever.
    fn pause(&self, random: f64) -> Duration {
        let interval = if self.has_passed {
            self.settings.interval
        } else {
            self.settings.interval.min(FIRST_INTERVAL)
        };
        interval.mul_f64(0.9 + 0.2 * random)
    }

    fn tell(&self, endpoint: &Endpoint, health: Health, reason: &str) {
        let (upstream, address) = (&*self.upstream, endpoint.told());
        match health {
            Health::Healthy if endpoint.standing.health() == Health::Unhealthy => {
                info!("upstream {upstream}: {address} is healthy again");
            }
            Health::Healthy | Health::Unchecked => {}
            Health::Unhealthy => warn!("upstream {upstream}: {address} is unhealthy: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests;
