//! One upstream: its endpoints in turn, and how many requests it may have.

use super::adaptive::AdaptiveLimit;
use super::breaker::{Admission, Breaker};
use super::endpoint::Endpoint;
use super::outlier::Outliers;
use super::pool::Pool;
use super::retry::RetryPolicy;
use super::{ClusterSettings, EndpointProtocol, health, outlier};
use crate::clock;
use crate::telemetry::metrics::{AttemptCounts, Metrics, RetryOutcome};
use crate::tls::{Connector, TlsFileError, client_config};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often idle connections are looked at, at least and at most.
const REAP_EVERY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// One upstream at work.
pub struct Cluster {
    settings: ClusterSettings,
    adaptive: Option<Arc<AdaptiveLimit>>,
    endpoints: Box<[Arc<Endpoint>]>,
    next: AtomicUsize,
    breaker: Breaker,
    outliers: Option<Outliers>,
}

/// What an attempt asks of balancing.
#[derive(Clone, Copy, Default)]
pub struct Choice<'a> {
    /// What consistent hashing goes by, if the upstream hashes and the request has it.
    pub hash: Option<u64>,
    /// Endpoints that this request has tried.
    pub tried: &'a [Arc<Endpoint>],
}

/// How an attempt went, as outlier detection sees it.
#[derive(Clone, Copy, Debug)]
pub struct AttemptReport {
    /// The status answered; None if there was no answer.
    pub status: Option<http::StatusCode>,
    /// From the attempt's begin to the answer's head, or to its failure.
    pub duration: Duration,
}

impl Cluster {
    /// Reads what TLS needs; connects to nothing yet. Has to run inside the runtime: a small task
    /// lets go of idle connections until the cluster is dropped.
    ///
    /// # Errors
    /// When a certificate or key file cannot be used.
    pub fn new(
        settings: ClusterSettings,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, TlsFileError> {
        let secure = settings
            .endpoints
            .iter()
            .any(|endpoint| endpoint.protocol == EndpointProtocol::Https);
        let tls = if secure {
            let files = &settings.tls;
            let alpn: [&[u8]; 2] = [b"h2", b"http/1.1"];
            let config = client_config(files.ca.as_deref(), files.identity.as_ref(), &alpn)?;
            Some(Connector::new(config, files.server_name.clone()))
        } else {
            None
        };
        let breaker = Breaker::new(&settings.limits, metrics.attempts(&settings.name));
        let endpoints = settings
            .endpoints
            .iter()
            .map(|address| {
                let pending = Arc::clone(&breaker.pending);
                let pool = Pool::new(&settings.limits, settings.timeouts.idle, pending);
                let name = Arc::clone(&settings.name);
                let metrics = Arc::clone(metrics);
                Arc::new(Endpoint::new(
                    address.clone(),
                    name,
                    pool,
                    tls.clone(),
                    metrics,
                ))
            })
            .collect();
        let adaptive = settings.adaptive.then(|| {
            let gauges = metrics.adaptive_limit(&settings.name);
            AdaptiveLimit::new(settings.limits.requests_max, clock::instant(), gauges)
        });
        let outliers = settings
            .outlier
            .map(|settings| Outliers::new(settings, metrics));
        let cluster = Arc::new(Self {
            outliers,
            settings,
            adaptive,
            endpoints,
            next: AtomicUsize::new(0),
            breaker,
        });
        cluster.spawn_reaper();
        if let Some(settings) = &cluster.settings.health {
            health::start(&cluster, settings, metrics);
        }
        if let Some(settings) = &cluster.settings.outlier {
            outlier::start(&cluster, settings);
        }
        Ok(cluster)
    }

    /// What it was made from.
    pub const fn settings(&self) -> &ClusterSettings {
        &self.settings
    }

    /// The limit that finds itself, if the upstream has one.
    pub const fn adaptive(&self) -> Option<&Arc<AdaptiveLimit>> {
        self.adaptive.as_ref()
    }

    /// A place for one more request, unless the upstream has all it may have.
    pub fn admit(&self) -> Option<Admission> {
        self.breaker.request()
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.breaker.requests()
    }

    /// A request that may be retried has come: it adds to what retries are a share of.
    pub fn expect_retries(&self) {
        self.breaker.deposit();
    }

    /// A place for one more retry or hedge, until it is dropped.
    ///
    /// # Errors
    /// Which bound is reached: the budget of `policy` or `limits.retries`. It has been counted.
    pub fn admit_retry(&self, policy: &RetryPolicy) -> Result<Admission, RetryOutcome> {
        self.breaker.retry(policy)
    }

    /// Where retries and hedges are counted.
    pub fn attempt_counts(&self) -> &AttemptCounts {
        &self.breaker.counts
    }

    /// The endpoint for one attempt, unless all have been tried.
    pub fn pick(&self, choice: &Choice<'_>) -> Option<Arc<Endpoint>> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.endpoints.len().max(1);
        let (before, from) = self.endpoints.split_at(first);
        let untried = |one: &&Arc<Endpoint>| !choice.tried.iter().any(|it| Arc::ptr_eq(it, one));
        from.iter().chain(before).find(untried).cloned()
    }

    /// Takes in how an attempt went.
    pub fn report(&self, endpoint: &Endpoint, report: AttemptReport) {
        if let Some(outliers) = &self.outliers {
            outliers.report(self, endpoint, report);
        }
    }

    /// Outlier detection, if there is any.
    pub(super) const fn outliers(&self) -> Option<&Outliers> {
        self.outliers.as_ref()
    }

    /// The endpoints there are now.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.endpoints.to_vec()
    }

    fn spawn_reaper(self: &Arc<Self>) {
        let [often, seldom] = REAP_EVERY;
        let every = (self.settings.timeouts.idle / 4).clamp(often, seldom);
        let cluster = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(every);
            loop {
                tick.tick().await;
                let Some(cluster) = cluster.upgrade() else {
                    return;
                };
                for endpoint in &cluster.endpoints {
                    endpoint.pool.reap();
                }
            }
        });
    }
}
