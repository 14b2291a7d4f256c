//! A running proxy, from bound sockets to the last span.

use super::accounts::{Ledger, ReadAccount};
use super::build::{self, Door, StartError};
use super::doorway::{Behind, Bound, Doorway, TlsShared, linger_and_finish};
use super::in_force;
use super::inherited::{Heirloom, HeirloomDoor, Inherited};
use super::parts::{self, Clusters, Destination};
use super::probe::{self, Probing};
use super::store::{NextStore, StoreAtWork};
use super::telemetry::{OwnTelemetry, Readings};
use super::verify::{self, Checking};
use crate::admin::{self, AdminListeners, AdminState, HandedDoors, LastReload, Readiness};
use crate::config::Plan;
use crate::export::{AccountSnapshot, Exporter};
use crate::proxy::Live;
use crate::server::Drain;
use crate::store::TraceStore;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::log::{LogFormat, LogOutlet};
use crate::telemetry::metrics::Metrics;
use crate::tls::{Keeper, Tickets};
use crate::trace::sink::SpanSink;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Longest wait for the last export after a drain.
pub(super) const FLUSH_MAX: Duration = Duration::from_secs(5);

/// What a command adds to a plan.
#[derive(Default)]
pub struct Options {
    /// Others that get every finished request's spans.
    pub sinks: Vec<Arc<dyn SpanSink>>,
    /// The account of those among them that count as an exporter, such as the terminal.
    pub accounts: Vec<ReadAccount>,
    /// The form of the access log's lines, and whether there are any where the plan does not say.
    pub access_log: Option<(LogFormat, bool)>,
    /// Where the process's log can be had for export, if there is a log.
    pub log: Option<LogOutlet>,
    /// Listening sockets that are open already.
    pub inherited: Inherited,
}

/// A proxy at work. Dropping it without [`Self::stop`] leaves its tasks to the runtime.
pub struct Running {
    /// The admin listener's address.
    pub admin: Option<SocketAddr>,
    /// The probe listener's address.
    pub probes: Option<SocketAddr>,
    /// Resolves when the operator asks for a drain.
    pub drain_asked: Arc<Notify>,
    pub(super) plan: Plan,
    pub(super) behind: Behind,
    pub(super) doorways: Vec<Doorway>,
    /// Connections of listeners that a reload has closed.
    pub(super) leaving: Vec<Drain>,
    pub(super) clusters: Clusters,
    pub(super) destinations: Vec<Destination>,
    /// Exporters that a reload has replaced, until they have ended.
    pub(super) retiring: Vec<(Exporter, JoinHandle<()>)>,
    pub(super) ledger: Ledger,
    pub(super) sinks: Vec<Arc<dyn SpanSink>>,
    pub(super) access_log: AccessLogs,
    pub(super) store: StoreAtWork,
    telemetry: OwnTelemetry,
    readings: Readings,
    doors: HandedDoors,
    pub(super) last_reload: LastReload,
    /// The configuration's checks of headers.
    pub(super) checking: Vec<Checking>,
    /// The configuration's probes.
    pub(super) probing: Vec<Probing>,
    readiness: Readiness,
    over: CancellationToken,
}

/// How it ended.
pub struct Stopped {
    /// Whether every connection ended by itself.
    pub clean: bool,
    /// Each destination's span account.
    pub accounts: Vec<AccountSnapshot>,
}

/// Who serves next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nobody that we know of: load balancers have to notice.
    Nobody,
    /// A process that has our sockets and takes connections already.
    Successor,
}

/// What is open before anything is served.
struct Opened {
    tls: TlsShared,
    bound: Vec<Bound>,
    doors: AdminListeners,
    store: NextStore,
}

impl Opened {
    /// Opens every socket of `plan`, or takes over those that a predecessor handed on.
    async fn all(
        plan: &Plan,
        mut inherited: Inherited,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let tls = TlsShared {
            tickets: Tickets::new(),
            keeper: Keeper::new(Arc::clone(metrics)),
        };
        let bind = |settings| Bound::new(settings, &mut inherited, &tls);
        let bound: Vec<Bound> = plan.listeners.iter().map(bind).collect::<Result<_, _>>()?;
        let doors = open_doors(plan, &mut inherited).await?;
        let store = NextStore::make(&plan.store, None, &Vec::new(), &mut inherited)?;
        tell_left(&inherited);
        Ok(Self {
            tls,
            bound,
            doors,
            store,
        })
    }
}

/// Looks after the certificates until it is `over`.
fn keep_certificates(keeper: &Arc<Keeper>, over: &CancellationToken) {
    let kept = Arc::clone(keeper).run();
    tokio::spawn(over.clone().run_until_cancelled_owned(kept));
}

impl Running {
    /// Binds everything, then serves. Nothing is served when anything fails.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(plan: Plan, options: Options) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let opened = Opened::all(&plan, options.inherited, &metrics).await?;
        let (tls, bound, doors, store) = (opened.tls, opened.bound, opened.doors, opened.store);
        let clusters = parts::clusters(&plan, &Clusters::new(), &metrics, &tls.keeper)?;
        let destinations = parts::destinations(&plan, &[])?;
        let ledger = ledger_of(&destinations);
        let mut access_log = AccessLogs::new(options.access_log, &metrics);
        let log = access_log.of(&plan).map_err(StartError::AccessLog)?;
        let resource = build::resource(&plan);
        let own_store = store.sink(&plan, resource.clone());
        let sinks = all_sinks(&options.sinks, &destinations, own_store);
        let telemetry = OwnTelemetry::start(&plan.telemetry, &resource, options.log)?;
        let snapshot = build::snapshot(&plan, &clusters, &metrics, sinks, log, None)?;

        parts::come_into_force(&clusters, snapshot.redis.as_ref());
        let behind = Behind {
            live: Arc::new(Live::new(snapshot)),
            metrics: Arc::clone(&metrics),
            tls,
        };
        let store = StoreAtWork::start(store, &metrics);
        let doorways = bound.into_iter().map(|one| one.open(&behind)).collect();
        let readiness = Readiness::new();
        let (drain_asked, last_reload) = (Arc::new(Notify::new()), LastReload::default());
        let (admin, probes) = (doors.admin_address(), doors.probes_address());
        let state = AdminState {
            metrics,
            readiness: readiness.clone(),
            accounts: ledger.reader(options.accounts),
            telemetry: telemetry.read_accounts(),
            upstreams: in_force::upstreams(&behind.live),
            store: store.reader(),
            further: store.routes(),
            lacks: in_force::lacks(&behind.live),
            config: in_force::config(&behind.live),
            last_reload: last_reload.clone(),
            drain: Arc::clone(&drain_asked),
        };
        let readings = telemetry.read(state.clone());
        let over = CancellationToken::new();
        keep_certificates(&behind.tls.keeper, &over);
        // Without them a successor opens its own.
        let again = doors.sockets().unwrap_or_default();
        tokio::spawn(admin::serve(doors, state, over.clone()));
        in_force::become_ready(&readiness, &behind.live);
        let own = store.store();
        Ok(Self {
            admin,
            probes,
            drain_asked,
            checking: verify::checking(&plan.verify, Vec::new(), &behind.metrics),
            probing: probe::probing(&plan.probes, Vec::new(), own.as_ref(), &behind.metrics),
            plan,
            behind,
            doorways,
            leaving: Vec::new(),
            clusters,
            destinations,
            retiring: Vec::new(),
            ledger,
            sinks: options.sinks,
            access_log,
            store,
            telemetry,
            readings,
            doors: again,
            last_reload,
            readiness,
            over,
        })
    }

    /// Each data listener with the address it got.
    pub fn listeners(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let one = |doorway: &Doorway| (Arc::clone(&doorway.name), doorway.address);
        self.doorways.iter().map(one).collect()
    }

    /// The numbers of the process.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.behind.metrics
    }

    /// Looks at every certificate, key and authority now, and serves what has changed.
    pub async fn renew_certificates(&self) {
        let keeper = Arc::clone(&self.behind.tls.keeper);
        // It reads from disk, which requests on this thread would wait for.
        let looked = tokio::task::spawn_blocking(move || keeper.look());
        if looked.await.is_err() {
            self.behind.metrics.panicked();
        }
    }

    /// Requests in flight at this moment.
    pub fn requests(&self) -> usize {
        self.drains().iter().map(Drain::requests).sum()
    }

    /// How long a drain may take, the time in which load balancers notice included.
    pub const fn drain_max(&self) -> Duration {
        self.plan
            .drain
            .timeout
            .saturating_add(self.plan.drain.delay)
    }

    /// Every listening socket once more, for a successor.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(super) fn heirlooms(&self) -> io::Result<Vec<Heirloom>> {
        let mut heirlooms = Vec::new();
        for doorway in &self.doorways {
            heirlooms.push(Heirloom {
                door: HeirloomDoor::Listener,
                name: Arc::clone(&doorway.name),
                asked: doorway.settings().address,
                socket: doorway.socket()?,
            });
        }
        let admin = &self.plan.admin;
        let doors = [
            (HeirloomDoor::Admin, admin.address, &self.doors.admin),
            (HeirloomDoor::Probes, admin.probes, &self.doors.probes),
        ];
        for (door, asked, socket) in doors {
            if let (Some(asked), Some(socket)) = (asked, socket) {
                let (name, socket) = (door.name().into(), socket.try_clone()?);
                heirlooms.push(Heirloom {
                    door,
                    name,
                    asked,
                    socket,
                });
            }
        }
        heirlooms.extend(self.store.heirlooms()?);
        Ok(heirlooms)
    }

    /// Where services may send spans of their own, by the setting that asks for it.
    pub fn otlp_doors(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.store.addresses()
    }

    /// How much memory recent traces may take, in bytes. None: the store is off, or nothing is
    /// recorded.
    pub fn keeps_traces_in(&self) -> Option<usize> {
        let plan = &self.plan;
        plan.store.bytes_max.filter(|_| plan.tracing.recording)
    }

    /// The store of recent traces, unless it is off.
    pub fn traces(&self) -> Option<TraceStore> {
        self.store.store()
    }

    /// A successor has the sockets and takes connections: from here on this process takes none.
    /// Its door for operators closes, too: the successor answers there.
    pub fn hand_over(&mut self) {
        self.readiness.draining();
        self.checking.clear();
        self.probing.clear();
        self.over.cancel();
        self.store.shut();
        for doorway in &mut self.doorways {
            doorway.shut(true);
        }
    }

    /// Refuses new connections, lets requests finish within the drain's time, sends the last
    /// spans.
    pub async fn stop(mut self, next: Next) -> Stopped {
        self.readiness.draining();
        self.checking.clear();
        self.probing.clear();
        let drains = self.drains();
        let times = self.plan.drain;
        let linger = match next {
            Next::Nobody => {
                if !times.delay.is_zero() {
                    // New connections are still taken, and each answer says goodbye.
                    drains.iter().for_each(Drain::leave);
                    tokio::time::sleep(times.delay).await;
                }
                Duration::ZERO
            }
            Next::Successor => times.timeout / 2,
        };
        for doorway in &mut self.doorways {
            doorway.shut(next == Next::Successor);
        }
        let mut ending = JoinSet::new();
        for drain in drains {
            ending.spawn(linger_and_finish(drain, linger, times.timeout));
        }
        let clean = ending.join_all().await.into_iter().all(|clean| clean);
        let exporters = self.destinations.iter().map(|one| &one.exporter);
        let retiring = self.retiring.iter().map(|(exporter, _)| exporter);
        // Together: the process's end is not to wait for one collector after the other.
        let mut flushing = JoinSet::new();
        for exporter in exporters.chain(retiring) {
            let exporter = exporter.clone();
            flushing.spawn(async move { exporter.shutdown(FLUSH_MAX).await });
        }
        let audit = self.behind.live.load().audit.clone();
        let audited = async {
            if let Some(audit) = audit {
                audit.close(FLUSH_MAX).await;
            }
        };
        tokio::join!(flushing.join_all(), audited);
        self.readings.end().await;
        self.telemetry.shutdown(FLUSH_MAX).await;
        self.access_log.close(FLUSH_MAX);
        self.over.cancel();
        let totals = self.ledger.totals();
        Stopped {
            clean,
            accounts: totals.into_iter().map(|(_, total, _)| total).collect(),
        }
    }

    /// Everything that has connections.
    fn drains(&self) -> Vec<Drain> {
        let open = self.doorways.iter().map(|doorway| &doorway.drain);
        open.chain(&self.leaving).cloned().collect()
    }
}

/// The store of traces, since whoever has the answer may ask it at once; then the process's own
/// sinks, then the exporters.
pub(super) fn all_sinks(
    own: &[Arc<dyn SpanSink>],
    destinations: &[Destination],
    store: Option<Arc<dyn SpanSink>>,
) -> Vec<Arc<dyn SpanSink>> {
    let sent = destinations.iter().map(|one| &one.sink);
    let others = own.iter().chain(sent).cloned();
    store.into_iter().chain(others).collect()
}

async fn open_doors(
    plan: &Plan,
    inherited: &mut Inherited,
) -> Result<admin::AdminListeners, StartError> {
    let mut handed = |door, address: Option<SocketAddr>| inherited.take_door(door, address?);
    let handed = HandedDoors {
        admin: handed(HeirloomDoor::Admin, plan.admin.address),
        probes: handed(HeirloomDoor::Probes, plan.admin.probes),
    };
    let bound = admin::bind(&plan.admin, handed).await;
    bound.map_err(|error| StartError::Listen {
        door: if error.is_probes {
            Door::Probes
        } else {
            Door::Admin
        },
        address: error.address,
        source: error.source,
    })
}

fn ledger_of(destinations: &[Destination]) -> Ledger {
    let ledger = Ledger::default();
    for destination in destinations {
        destination.enter(&ledger);
    }
    ledger
}

fn tell_left(inherited: &Inherited) {
    for (name, address) in inherited.left() {
        tracing::warn!(name, %address, "no listener of the configuration takes this socket");
    }
}

/// The access log, once it is wanted. A reload may turn it off and on.
pub(super) struct AccessLogs {
    choice: Option<(LogFormat, bool)>,
    metrics: Arc<Metrics>,
    started: Option<Arc<AccessLog>>,
}

impl AccessLogs {
    fn new(choice: Option<(LogFormat, bool)>, metrics: &Arc<Metrics>) -> Self {
        Self {
            choice,
            metrics: Arc::clone(metrics),
            started: None,
        }
    }

    /// The log of a plan, if it wants one.
    pub(super) fn of(&mut self, plan: &Plan) -> io::Result<Option<Arc<AccessLog>>> {
        let Some((format, by_default)) = self.choice else {
            return Ok(None);
        };
        if !plan.access_log.unwrap_or(by_default) {
            return Ok(None);
        }
        if self.started.is_none() {
            self.started = Some(Arc::new(AccessLog::start(format, &self.metrics)?));
        }
        Ok(self.started.clone())
    }

    fn close(&self, limit: Duration) {
        if let Some(log) = &self.started {
            // Blocks for a moment at the very end, when nobody else is served any more.
            log.close(limit);
        }
    }
}
