//! A running proxy, from bound sockets to the last span.

use super::accounts::{ReadAccount, span_accounts};
use super::build::{self, Door, StartError};
use super::connections::Connections;
use super::telemetry::{OwnTelemetry, Readings};
use crate::admin::{self, AdminState, Readiness};
use crate::config::Plan;
use crate::export::{AccountSnapshot, Exporter};
use crate::listener::{ListenerSettings, accept_loop, bind};
use crate::proxy::{Live, Pipeline};
use crate::server::Drain;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::log::{LogFormat, LogOutlet};
use crate::telemetry::metrics::Metrics;
use crate::tls::{Acceptor, Keeper, Tickets};
use crate::trace::sink::SpanSink;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// Longest wait for the last export after a drain.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// What a command adds to a plan.
#[derive(Default)]
pub struct Options {
    /// Others that get every finished request's spans.
    pub sinks: Vec<Arc<dyn SpanSink>>,
    /// The account of those among them that count as an exporter, such as the terminal.
    pub accounts: Vec<ReadAccount>,
    /// The form of the access log's lines, if there shall be any.
    pub access_log: Option<LogFormat>,
    /// Where the process's log can be had for export, if there is a log.
    pub log: Option<LogOutlet>,
}

/// A proxy at work. Dropping it without [`Self::stop`] leaves its tasks to the runtime.
pub struct Running {
    /// Each data listener with the address it got.
    pub listeners: Vec<(Arc<str>, SocketAddr)>,
    /// The admin listener's address.
    pub admin: Option<SocketAddr>,
    /// The probe listener's address.
    pub probes: Option<SocketAddr>,
    /// Resolves when the operator asks for a drain.
    pub drain_asked: Arc<Notify>,
    drain: Drain,
    readiness: Readiness,
    keeper: Arc<Keeper>,
    exporters: Vec<Exporter>,
    access_log: Option<Arc<AccessLog>>,
    telemetry: OwnTelemetry,
    readings: Readings,
    over: CancellationToken,
    drain_max: Duration,
}

/// How it ended.
pub struct Stopped {
    /// Whether every connection ended by itself.
    pub clean: bool,
    /// Each destination's span account.
    pub accounts: Vec<AccountSnapshot>,
}

impl Running {
    /// Binds everything, then serves. Nothing is served when anything fails.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(plan: Plan, options: Options) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let tickets = Tickets::new();
        let keeper = Keeper::new(Arc::clone(&metrics));
        let doorways = doorways(&plan, &tickets, &keeper)?;
        let doors = admin::bind(&plan.admin)
            .await
            .map_err(|error| StartError::Listen {
                door: if error.is_probes {
                    Door::Probes
                } else {
                    Door::Admin
                },
                address: error.address,
                source: error.source,
            })?;
        let exporters = build::exporters(&plan)?;
        let mut sinks = options.sinks;
        sinks.extend(
            exporters
                .iter()
                .cloned()
                .map(|one| Arc::new(one) as Arc<dyn SpanSink>),
        );
        let access_log = options
            .access_log
            .map(|format| AccessLog::start(format, &metrics).map(Arc::new))
            .transpose()
            .map_err(StartError::AccessLog)?;
        let log = access_log.clone();
        let resource = build::resource(&plan);
        let telemetry = OwnTelemetry::start(&plan.telemetry, &resource, options.log)?;
        let live = build::snapshot(&plan, &metrics, &keeper, sinks, log, None)?;

        let drain = Drain::new();
        let live = Arc::new(Live::new(live));
        let open = |doorway: Doorway| doorway.open(&live, &drain, &metrics);
        let listeners = doorways.into_iter().map(open).collect();
        let readiness = Readiness::new();
        let drain_asked = Arc::new(Notify::new());
        let (admin, probes) = (doors.admin_address(), doors.probes_address());
        let state = AdminState {
            metrics,
            readiness: readiness.clone(),
            accounts: span_accounts(exporters.clone(), options.accounts),
            telemetry: {
                let telemetry = telemetry.clone();
                Arc::new(move || telemetry.accounts())
            },
            upstreams: {
                let live = Arc::clone(&live);
                Arc::new(move || {
                    live.load()
                        .clusters
                        .iter()
                        .map(|one| one.reading())
                        .collect()
                })
            },
            config: Arc::new(move || Arc::clone(&live.load().config)),
            drain: Arc::clone(&drain_asked),
        };
        let readings = telemetry.read(state.clone());
        let over = CancellationToken::new();
        tokio::spawn(admin::serve(doors, state, over.clone()));
        tokio::spawn(
            over.clone()
                .run_until_cancelled_owned(Arc::clone(&keeper).run()),
        );
        readiness.ready();
        let drain_max = plan.drain;
        Ok(Self {
            listeners,
            admin,
            probes,
            drain_asked,
            drain,
            readiness,
            keeper,
            exporters,
            access_log,
            telemetry,
            readings,
            over,
            drain_max,
        })
    }

    /// Requests in flight at this moment.
    pub fn requests(&self) -> usize {
        self.drain.requests()
    }

    /// Looks at every certificate, key and authority now, and serves what has changed. Reads from
    /// disk.
    pub fn renew_certificates(&self) {
        self.keeper.look();
    }

    /// How long a drain may take.
    pub const fn drain_max(&self) -> Duration {
        self.drain_max
    }

    /// Refuses new connections, lets requests finish within the drain's time, sends the last
    /// spans.
    pub async fn stop(self) -> Stopped {
        self.readiness.draining();
        self.drain.begin();
        let clean = self.drain.finished(self.drain_max).await;
        let mut accounts = Vec::new();
        for exporter in &self.exporters {
            accounts.push(exporter.shutdown(FLUSH_MAX).await);
        }
        self.readings.end().await;
        self.telemetry.shutdown(FLUSH_MAX).await;
        if let Some(log) = self.access_log {
            // Blocks for a moment at the very end, when nobody else is served any more.
            log.close(FLUSH_MAX);
        }
        self.over.cancel();
        Stopped { clean, accounts }
    }
}

/// A data listener that is bound and does not serve yet.
struct Doorway {
    settings: Arc<ListenerSettings>,
    acceptor: Option<Acceptor>,
    socket: TcpListener,
}

/// Binds every data listener and reads what its TLS needs.
fn doorways(
    plan: &Plan,
    tickets: &Arc<Tickets>,
    keeper: &Keeper,
) -> Result<Vec<Doorway>, StartError> {
    let bound = |settings: &ListenerSettings| {
        let address = settings.address;
        let socket = bind(address).map_err(|source| StartError::Listen {
            door: Door::Listener(Arc::clone(&settings.name)),
            address,
            source,
        })?;
        Ok(Doorway {
            acceptor: build::acceptor(settings, tickets, keeper)?,
            settings: Arc::new(settings.clone()),
            socket,
        })
    };
    plan.listeners.iter().map(bound).collect()
}

impl Doorway {
    /// Serves from here on. Gives name and address.
    fn open(
        self,
        live: &Arc<Live>,
        drain: &Drain,
        metrics: &Arc<Metrics>,
    ) -> (Arc<str>, SocketAddr) {
        let name = Arc::clone(&self.settings.name);
        let address = self.socket.local_addr().unwrap_or(self.settings.address);
        let connections = Connections {
            listener: self.settings,
            acceptor: self.acceptor,
            pipeline: Pipeline::new(Arc::clone(live), drain.clone()),
            drain: drain.clone(),
            metrics: Arc::clone(metrics),
        };
        serve(self.socket, connections);
        (name, address)
    }
}

fn serve(socket: TcpListener, connections: Connections) {
    let permits = Arc::new(Semaphore::new(connections.listener.limits.connections_max));
    tokio::spawn(async move {
        let (name, metrics) = (
            Arc::clone(&connections.listener.name),
            Arc::clone(&connections.metrics),
        );
        let drain = connections.drain.clone();
        tokio::select! {
            () = accept_loop(socket, &name, permits, &metrics, connections) => {}
            () = drain.begun() => {}
        }
    });
}
