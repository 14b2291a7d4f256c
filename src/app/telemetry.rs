//! What edgespan sends about itself: its metrics at an interval, its log as it is written.

use super::build::StartError;
use crate::admin::{AdminState, TelemetryAccount};
use crate::clock;
use crate::config::TelemetryPlan;
use crate::export::{AccountSnapshot, DropReason, LogExporter, MetricsExporter};
use crate::telemetry::log::{LogOutlet, LogSink};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The exporters of what edgespan says about itself. Off unless asked for.
#[derive(Clone, Default)]
pub(super) struct OwnTelemetry {
    metrics: Option<(MetricsExporter, Duration)>,
    logs: Option<LogExporter>,
    outlet: Option<LogOutlet>,
}

/// The reading of metrics at an interval, until it is ended.
pub(super) struct Readings {
    task: Option<AbortOnDropHandle<()>>,
    over: CancellationToken,
}

impl OwnTelemetry {
    /// Makes what the plan asks for. Log lines go out from here on; metrics from [`Self::read`].
    pub(super) fn start(
        plan: &TelemetryPlan,
        resource: &[u8],
        outlet: Option<LogOutlet>,
    ) -> Result<Self, StartError> {
        let metrics = plan
            .metrics
            .as_ref()
            .map(|(settings, interval)| {
                MetricsExporter::start(settings, resource).map(|exporter| (exporter, *interval))
            })
            .transpose()
            .map_err(StartError::Export)?;
        let logs = plan
            .logs
            .as_ref()
            .map(|settings| LogExporter::start(settings, resource))
            .transpose()
            .map_err(StartError::Export)?;
        if let (Some(outlet), Some(logs)) = (&outlet, &logs) {
            outlet.connect(Some(Arc::new(logs.clone()) as Arc<dyn LogSink>));
        }
        Ok(Self {
            metrics,
            logs,
            outlet,
        })
    }

    /// Reads the accounts at the moment of the call, for `/metrics`.
    pub(super) fn read_accounts(&self) -> Arc<dyn Fn() -> Vec<TelemetryAccount> + Send + Sync> {
        let this = self.clone();
        Arc::new(move || this.accounts())
    }

    fn accounts(&self) -> Vec<TelemetryAccount> {
        let metrics = self.metrics.iter();
        let metrics = metrics.map(|(one, _)| ("metrics", one.account().snapshot()));
        let logs = self.logs.iter();
        let logs = logs.map(|one| ("logs", one.account().snapshot()));
        metrics
            .chain(logs)
            .map(|(signal, snapshot)| account(signal, &snapshot))
            .collect()
    }

    /// Sends what `/metrics` shows, every interval.
    pub(super) fn read(&self, state: AdminState) -> Readings {
        let over = CancellationToken::new();
        let task = self.metrics.clone().map(|(exporter, interval)| {
            let over = over.clone();
            AbortOnDropHandle::new(tokio::spawn(async move {
                let mut tick = tokio::time::interval_at(clock::instant() + interval, interval);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while over.run_until_cancelled(tick.tick()).await.is_some() {
                    send(&exporter, &state).await;
                }
                // What happened since the last tick would be lost otherwise.
                send(&exporter, &state).await;
            }))
        });
        Readings { task, over }
    }

    /// Sends what is left, within `limit`.
    pub(super) async fn shutdown(&self, limit: Duration) {
        if let Some(outlet) = &self.outlet {
            outlet.connect(None);
        }
        let metrics = async {
            if let Some((exporter, _)) = &self.metrics {
                exporter.shutdown(limit).await;
            }
        };
        let logs = async {
            if let Some(exporter) = &self.logs {
                exporter.shutdown(limit).await;
            }
        };
        tokio::join!(metrics, logs);
    }
}

impl Readings {
    /// Takes the last one.
    pub(super) async fn end(self) {
        self.over.cancel();
        if let Some(task) = self.task {
            // It ends by itself; a panic in it was told.
            drop(task.await);
        }
    }
}

async fn send(exporter: &MetricsExporter, state: &AdminState) {
    let (exporter, state) = (exporter.clone(), state.clone());
    // Thousands of series take milliseconds, which requests on this thread would wait.
    let sent = tokio::task::spawn_blocking(move || {
        let families = state.gather();
        exporter.send(&families, state.metrics.started(), clock::wall());
    });
    drop(sent.await);
}

fn account(signal: &'static str, snapshot: &AccountSnapshot) -> TelemetryAccount {
    let dropped = DropReason::ALL.iter();
    TelemetryAccount {
        signal,
        outcomes: [
            ("exported", snapshot.exported),
            ("rejected", snapshot.rejected),
        ]
        .into_iter()
        .chain(dropped.map(|&reason| (reason.name(), snapshot.dropped.of(reason))))
        .collect(),
        pending: snapshot.pending,
    }
}
