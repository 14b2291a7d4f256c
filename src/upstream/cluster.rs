//! One upstream: its endpoints in turn, and how many requests it may have.

use super::endpoint::Endpoint;
use super::pool::Pool;
use super::{ClusterSettings, EndpointProtocol};
use crate::telemetry::metrics::Metrics;
use crate::tls::{Connector, TlsFileError, client_config};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often idle connections are looked at, at least and at most.
const REAP_EVERY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// One upstream at work.
pub struct Cluster {
    settings: ClusterSettings,
    endpoints: Box<[Arc<Endpoint>]>,
    next: AtomicUsize,
    in_flight: Arc<AtomicUsize>,
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

/// One request's place in an upstream. Dropping it gives the place back, on every way out.
#[derive(Debug)]
pub struct Admission(Arc<AtomicUsize>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
        let endpoints = settings
            .endpoints
            .iter()
            .map(|address| {
                let pool = Pool::new(settings.limits.idle_connections_max, settings.timeouts.idle);
                let name = Arc::clone(&settings.name);
                let metrics = Arc::clone(metrics);
                Arc::new(Endpoint::new(
                    address.clone(),
                    name,
                    pool,
                    tls.clone(),
                    metrics,
                    settings.rehearsal.clone(),
                ))
            })
            .collect();
        let cluster = Arc::new(Self {
            settings,
            endpoints,
            next: AtomicUsize::new(0),
            in_flight: Arc::default(),
        });
        cluster.spawn_reaper();
        Ok(cluster)
    }

    /// What it was made from.
    pub const fn settings(&self) -> &ClusterSettings {
        &self.settings
    }

    /// A place for one more request, unless the upstream has all it may have.
    pub fn admit(&self) -> Option<Admission> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let admission = Admission(Arc::clone(&self.in_flight));
        (before < self.settings.limits.requests_max).then_some(admission)
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The endpoint for one attempt, unless all have been tried.
    pub fn pick(&self, choice: &Choice<'_>) -> Option<Arc<Endpoint>> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.endpoints.len().max(1);
        let (before, from) = self.endpoints.split_at(first);
        let untried = |one: &&Arc<Endpoint>| !choice.tried.iter().any(|it| Arc::ptr_eq(it, one));
        from.iter().chain(before).find(untried).cloned()
    }

    /// Takes in how an attempt went.
    pub const fn report(&self, _endpoint: &Endpoint, _report: AttemptReport) {}

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
