//! Another configuration while requests run.
//!
//! Everything that can fail is done before anything changes. Then the snapshot is swapped:
//! requests that have begun finish on what they began with, connections keep the terms they
//! came in on.

use super::build::{self, StartError};
use super::doorway::{Behind, Change, Doorway, Known, changes};
use super::inherited::Inherited;
use super::parts::{self, Clusters, Destination};
use super::probe;
use super::run::{Running, all_sinks};
use super::store::{KnownDoors, NextStore};
use super::verify;
use crate::config::Plan;
use crate::proxy::Snapshot;
use crate::store::TraceStore;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::ReloadOutcome;
use crate::trace::sink::SpanSink;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a replaced exporter goes on trying after its last request.
const RETIRE_MAX: Duration = Duration::from_secs(60);

/// What a reload has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Listeners that are new.
    pub opened: Vec<Arc<str>>,
    /// Listeners that are gone; what they had open finishes.
    pub closed: Vec<Arc<str>>,
    /// Listeners whose next connections get other settings.
    pub changed: Vec<Arc<str>>,
    /// Upstreams that go on with their connections and their state.
    pub upstreams_kept: usize,
    /// Upstreams that begin anew.
    pub upstreams_made: usize,
    /// Exporters that begin anew.
    pub exporters_made: usize,
    /// Keys of the configuration whose change takes effect at the next start.
    pub at_next_start: Vec<&'static str>,
}

/// What is at work when a reload begins.
struct Before {
    behind: Behind,
    doorways: Vec<Known>,
    clusters: Clusters,
    destinations: Vec<Destination>,
    sinks: Vec<Arc<dyn SpanSink>>,
    store: Option<TraceStore>,
    doors: KnownDoors,
}

/// Everything that another plan needs, and nothing of it at work yet.
struct Ready {
    plan: Plan,
    steps: Vec<Change>,
    clusters: Clusters,
    destinations: Vec<Destination>,
    store: NextStore,
    snapshot: Snapshot,
}

impl Before {
    /// Reads from disk, opens sockets, and can fail.
    fn make(
        self,
        plan: Plan,
        log: io::Result<Option<Arc<AccessLog>>>,
    ) -> Result<Ready, StartError> {
        let Behind { live, metrics, tls } = &self.behind;
        tls.keeper.look();
        let log = log.map_err(StartError::AccessLog)?;
        let steps = changes(&plan.listeners, &self.doorways, tls)?;
        let clusters = parts::clusters(&plan, &self.clusters, metrics, &tls.keeper)?;
        let destinations = parts::destinations(&plan, &self.destinations)?;
        let nothing_left = &mut Inherited::default();
        let store = NextStore::make(&plan.store, self.store, &self.doors, nothing_left)?;
        let own_store = store.sink(&plan, build::resource(&plan));
        let sinks = all_sinks(&self.sinks, &destinations, own_store);
        let snapshot = build::snapshot(&plan, &clusters, metrics, sinks, log, Some(&live.load()))?;
        Ok(Ready {
            plan,
            steps,
            clusters,
            destinations,
            store,
            snapshot,
        })
    }
}

impl Running {
    /// Puts another plan in force, as a whole or not at all. Certificates that stay are looked at,
    /// whatever comes of the plan.
    ///
    /// # Errors
    /// What cannot be done; everything is as it was then.
    pub async fn reload(&mut self, plan: Plan) -> Result<Changes, StartError> {
        self.leaving.retain(|drain| !drain.is_over());
        self.retiring.retain(|(_, ending)| !ending.is_finished());
        let log = self.access_log.of(&plan);
        let before = Before {
            behind: self.behind.clone(),
            doorways: self.doorways.iter().map(Doorway::known).collect(),
            clusters: self.clusters.clone(),
            destinations: self.destinations.clone(),
            sinks: self.sinks.clone(),
            store: self.store.store(),
            doors: self.store.known(),
        };
        // Requests on this thread would wait for the disk.
        match tokio::task::spawn_blocking(move || before.make(plan, log)).await {
            Ok(ready) => Ok(self.put_in_force(ready?)),
            Err(panicked) => {
                self.behind.metrics.panicked();
                Err(StartError::Panicked(panicked))
            }
        }
    }

    /// Cannot fail.
    fn put_in_force(&mut self, ready: Ready) -> Changes {
        let Ready {
            plan,
            steps,
            clusters,
            destinations,
            store,
            snapshot,
        } = ready;
        let mut told = self.compare(&plan, &clusters);
        for destination in &destinations {
            if !self.destinations.iter().any(|one| one.is(destination)) {
                destination.enter(&self.ledger);
                told.exporters_made += 1;
            }
        }
        parts::come_into_force(&clusters, snapshot.redis.as_ref());
        self.store.put_in_force(store, &self.behind.metrics);
        self.behind.live.replace(snapshot);
        self.clusters = clusters;
        self.retire(destinations);
        self.walk(steps, &plan, &mut told);
        let before = std::mem::take(&mut self.checking);
        self.checking = verify::checking(&plan.verify, before, &self.behind.metrics);
        let (before, own) = (std::mem::take(&mut self.probing), self.store.store());
        self.probing = probe::probing(&plan.probes, before, own.as_ref(), &self.behind.metrics);
        self.plan = plan;
        told
    }

    /// What came of reading the configuration anew, for metrics and for the operator's page.
    /// `report` is what there is to say of it, its secrets hidden.
    pub fn reloaded(&self, outcome: ReloadOutcome, report: String) {
        self.metrics().reloaded(outcome);
        self.last_reload.tell(outcome, report);
    }

    fn compare(&self, plan: &Plan, clusters: &Clusters) -> Changes {
        let kept = |(name, made): (&Arc<str>, &parts::MadeCluster)| {
            let before = self.clusters.get(name);
            before.is_some_and(|before| Arc::ptr_eq(&before.cluster, &made.cluster))
        };
        let upstreams_kept = clusters.iter().filter(|one| kept(*one)).count();
        Changes {
            upstreams_kept,
            upstreams_made: clusters.len() - upstreams_kept,
            at_next_start: at_next_start(&self.plan, plan),
            ..Changes::default()
        }
    }

    /// Exporters that are not among the new ones end when their last request has.
    fn retire(&mut self, next: Vec<Destination>) {
        let previous = std::mem::replace(&mut self.destinations, next);
        for one in previous {
            if self.destinations.iter().any(|kept| kept.is(&one)) {
                continue;
            }
            let exporter = one.exporter.clone();
            let ending = one.retire(self.ledger.clone(), RETIRE_MAX);
            self.retiring.push((exporter, tokio::spawn(ending)));
        }
    }

    /// Opens, changes and closes listeners.
    fn walk(&mut self, steps: Vec<Change>, plan: &Plan, told: &mut Changes) {
        let mut old: Vec<Option<Doorway>> = self.doorways.drain(..).map(Some).collect();
        for step in steps {
            let doorway = match step {
                Change::Open(bound) => {
                    let doorway = bound.open(&self.behind);
                    told.opened.push(Arc::clone(&doorway.name));
                    doorway
                }
                Change::Keep { at, terms } => {
                    let Some(mut doorway) = old.get_mut(at).and_then(Option::take) else {
                        continue;
                    };
                    if let Some(terms) = terms {
                        doorway.change(terms);
                        told.changed.push(Arc::clone(&doorway.name));
                    }
                    doorway
                }
            };
            self.doorways.push(doorway);
        }
        let times = plan.drain;
        for doorway in old.into_iter().flatten() {
            told.closed.push(Arc::clone(&doorway.name));
            let drain = doorway.leave(times.timeout / 2, times.timeout);
            self.leaving.push(drain);
        }
    }
}

/// What has changed and cannot change while the process runs.
fn at_next_start(before: &Plan, now: &Plan) -> Vec<&'static str> {
    let mut keys = Vec::new();
    if before.admin.address != now.admin.address {
        keys.push("admin.address");
    }
    if before.admin.probes != now.admin.probes {
        keys.push("admin.probes");
    }
    if before.telemetry != now.telemetry {
        keys.push("telemetry");
    }
    if before.terminal_exports() != now.terminal_exports() {
        // The account of the terminal is opened, or not, when it begins to print.
        keys.push("export (whether printing counts as exporting)");
    }
    keys
}
