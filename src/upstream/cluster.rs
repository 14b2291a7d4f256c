//! One upstream: its endpoints, which of them is next, and how many requests it may have.

use super::adaptive::AdaptiveLimit;
use super::balance::{Membership, Picking, View};
use super::breaker::{Admission, Breaker};
use super::endpoint::Endpoint;
use super::outlier::Outliers;
use super::retry::RetryPolicy;
use super::roster::{Maker, Roster};
use super::{Algorithm, ClusterSettings, EndpointProtocol, health, outlier};
use crate::clock;
use crate::telemetry::metrics::{
    AttemptCounts, EndpointCondition, EndpointGauges, Metrics, RetryOutcome,
};
use crate::tls::{Connector, TlsFileError};
use arc_swap::ArcSwap;
use http::{HeaderMap, StatusCode};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often idle connections are looked at, at least and at most.
const REAP_EVERY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// One upstream at work.
pub struct Cluster {
    adaptive: Option<Arc<AdaptiveLimit>>,
    pub(super) settings: Arc<ClusterSettings>,
    pub(super) roster: Mutex<Roster>,
    pub(super) maker: Maker,
    /// What a pick reads.
    view: ArcSwap<View>,
    /// Goes up when an endpoint comes, goes, or changes its availability.
    pub(super) changes: Arc<AtomicU64>,
    next: AtomicUsize,
    breaker: Breaker,
    outliers: Option<Outliers>,
    /// Tells when a name was resolved, or not.
    pub(super) answers: Notify,
    pub(super) counts: Option<EndpointGauges>,
    /// Ends the tasks that resolve names.
    pub(super) over: CancellationToken,
}

/// One endpoint, as an operator wants to see it.
pub struct EndpointState {
    /// The endpoint, with its standing.
    pub endpoint: Arc<Endpoint>,
    /// As it is configured: a name's addresses have the same.
    pub source: Arc<str>,
    /// The address it is reached by. None for a Unix socket, and for a name without addresses.
    pub address: Option<SocketAddr>,
    /// As configured, or as its SRV record says.
    pub weight: f64,
    /// The share of requests that it gets at this moment, `0.0..=1.0`: availability, zone, slow
    /// start and panic counted in. Consistent hashing goes by weight and availability alone.
    pub share: f64,
    /// The zone that it is in.
    pub zone: Option<Arc<str>>,
    /// Of its SRV record; lower goes first.
    pub priority: u16,
}

/// What an attempt asks of balancing.
#[derive(Clone, Copy, Default)]
pub struct Choice<'a> {
    /// What consistent hashing goes by, if the upstream hashes and the request has it.
    pub hash: Option<u64>,
    /// Endpoints that this request has tried.
    pub tried: &'a [Arc<Endpoint>],
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
            .any(|endpoint| endpoint.source.protocol() == EndpointProtocol::Https);
        let tls = if secure && settings.rehearsal.is_none() {
            Some(Connector::to_upstream(&settings.tls)?)
        } else {
            None
        };
        let settings = Arc::new(settings);
        let changes: Arc<AtomicU64> = Arc::default();
        let breaker = Breaker::new(&settings.limits, metrics.attempts(&settings.name));
        let maker = Maker {
            pending: Arc::clone(&breaker.pending),
            settings: Arc::clone(&settings),
            tls,
            metrics: Arc::clone(metrics),
            changes: Arc::clone(&changes),
        };
        let adaptive = settings.adaptive.then(|| {
            let gauges = metrics.adaptive_limit(&settings.name);
            AdaptiveLimit::new(settings.limits.requests_max, clock::instant(), gauges)
        });
        let outliers = settings
            .outlier
            .map(|settings| Outliers::new(settings, metrics));
        let roster = Roster::new(&maker);
        let membership = Membership::new(roster.members(), &settings.balance);
        let now = clock::instant();
        let view = View::new(Arc::new(membership), &settings.balance, 0, now);
        let questions = roster.questions();
        let cluster = Arc::new(Self {
            roster: Mutex::new(roster),
            maker,
            view: ArcSwap::from_pointee(view),
            changes,
            adaptive,
            next: AtomicUsize::new(0),
            breaker,
            outliers,
            answers: Notify::new(),
            counts: metrics.upstream_endpoints(&settings.name),
            over: CancellationToken::new(),
            settings,
        });
        cluster.resolve(questions);
        cluster.spawn_reaper();
        if let Some(settings) = &cluster.settings.health {
            health::start(&cluster, settings, metrics);
        }
        if let Some(settings) = &cluster.settings.outlier {
            outlier::start(&cluster, settings);
        }
        Ok(cluster)
    }

    /// Requests come from here on: what metrics tell under its name is told by this one.
    pub fn come_into_force(&self) {
        let roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = &self.counts {
            counts.claim();
        }
        self.count_endpoints(&self.view.load());
        drop(roster);
        if let Some(adaptive) = &self.adaptive {
            adaptive.tell();
        }
    }

    /// TLS towards its `https` endpoints.
    pub const fn tls(&self) -> Option<&Connector> {
        self.maker.tls.as_ref()
    }

    /// What it was made from.
    pub fn settings(&self) -> &ClusterSettings {
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

    /// What consistent hashing goes by for a request, if this upstream hashes. `client` is the
    /// client's address.
    pub fn hash_of(&self, headers: &HeaderMap, client: IpAddr) -> Option<u64> {
        match &self.settings.balance.algorithm {
            Algorithm::Hash(source) => source.hash_of(headers, client),
            Algorithm::RoundRobin | Algorithm::LeastRequest => None,
        }
    }

    /// The endpoint for one attempt. None if all have been tried, or if none may be asked.
    pub fn pick(&self, choice: &Choice<'_>) -> Option<Arc<Endpoint>> {
        let generation = self.changes.load(Ordering::Acquire);
        let mut view = self.view.load();
        if !view.holds(generation, clock::instant) {
            drop(view);
            self.look_again(false);
            view = self.view.load();
        }
        if view.panic
            && let Some(counts) = &self.counts
        {
            counts.picked_in_panic();
        }
        let picking = Picking {
            algorithm: &self.settings.balance.algorithm,
            choice,
            next: &self.next,
        };
        view.pick(&picking).cloned()
    }

    /// The same for a request that found a name without any answer yet: waits for one, at most
    /// `limit`. After that the pick is what it is.
    pub async fn pick_after_answer(
        &self,
        choice: &Choice<'_>,
        limit: Duration,
    ) -> Option<Arc<Endpoint>> {
        let answered = async {
            loop {
                let heard = self.answers.notified();
                let picked = self.pick(choice);
                if picked.as_ref().is_none_or(|one| !one.awaits_an_answer()) {
                    return picked;
                }
                heard.await;
            }
        };
        let picked = tokio::time::timeout(limit, answered).await;
        picked.unwrap_or_else(|_| self.pick(choice))
    }

    /// Every endpoint at this moment with what balancing knows of it, names without addresses
    /// among them.
    pub fn states(&self) -> Vec<EndpointState> {
        self.look_again(true);
        let view = self.view.load();
        let sum: f64 = view.weights.iter().sum();
        let members = view.membership.members.iter().zip(&view.weights);
        members
            .map(|(member, weight)| EndpointState {
                endpoint: Arc::clone(&member.endpoint),
                source: Arc::clone(&member.source),
                address: member.endpoint.resolved(),
                weight: member.weight,
                share: if sum > 0.0 { weight / sum } else { 0.0 },
                zone: member.zone.clone(),
                priority: member.priority,
            })
            .collect()
    }

    /// Goes up whenever an endpoint comes, goes, or changes its availability.
    pub fn generation(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether so few endpoints are available that all are used.
    pub fn is_panicking(&self) -> bool {
        self.view.load().panic
    }

    /// Takes in how an attempt went: the status answered, None if there was no answer.
    pub fn report(&self, endpoint: &Endpoint, status: Option<StatusCode>) {
        if let Some(outliers) = &self.outliers {
            outliers.report(self, endpoint, status);
        }
    }

    /// Outlier detection, if there is any.
    pub(super) const fn outliers(&self) -> Option<&Outliers> {
        self.outliers.as_ref()
    }

    /// The endpoints there are now. Names without addresses are none.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let view = self.view.load();
        let members = view.membership.members.iter();
        members
            .map(|member| &member.endpoint)
            .filter(|endpoint| !endpoint.is_unresolved())
            .cloned()
            .collect()
    }

    /// Computes the view again if it does not hold. Without `patience`, one that another request
    /// is at is not waited for: until then the old one serves.
    fn look_again(&self, patience: bool) {
        let roster = if patience {
            self.roster.lock().unwrap_or_else(PoisonError::into_inner)
        } else {
            let Ok(roster) = self.roster.try_lock() else {
                return;
            };
            roster
        };
        let generation = self.changes.load(Ordering::Acquire);
        let view = self.view.load();
        if !view.holds(generation, clock::instant) {
            self.put(Arc::clone(&view.membership), generation);
        }
        drop(roster);
    }

    /// Puts a new view in force. The roster's lock is held.
    pub(super) fn put(&self, membership: Arc<Membership>, generation: u64) {
        let before = self.view.load().panic;
        let view = View::new(
            membership,
            &self.settings.balance,
            generation,
            clock::instant(),
        );
        let upstream = &*self.settings.name;
        match (before, view.panic) {
            (false, true) => warn!(
                upstream,
                "too few endpoints are available: all are used, well or not"
            ),
            (true, false) => info!(upstream, "enough endpoints are available again"),
            (true, true) | (false, false) => {}
        }
        self.count_endpoints(&view);
        self.view.store(Arc::new(view));
    }

    fn count_endpoints(&self, view: &View) {
        let Some(counts) = &self.counts else {
            return;
        };
        let members = &view.membership.members;
        let count = |state: EndpointCondition| {
            let of = members
                .iter()
                .filter(|one| condition(&one.endpoint) == state);
            of.count()
        };
        counts.set(EndpointCondition::ALL.map(count), view.panic);
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
                // Without requests nobody else looks, and metrics would tell old news.
                cluster.look_again(true);
                let membership = Arc::clone(&cluster.view.load().membership);
                for member in &membership.members {
                    member.endpoint.pool.reap();
                }
            }
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// In which of the counted conditions an endpoint is.
pub(super) fn condition(endpoint: &Endpoint) -> EndpointCondition {
    if endpoint.is_unresolved() {
        EndpointCondition::Unresolved
    } else if !endpoint.standing.is_healthy() {
        EndpointCondition::Unhealthy
    } else if endpoint.standing.is_ejected() {
        EndpointCondition::Ejected
    } else {
        EndpointCondition::Available
    }
}
