//! The configuration's probes, while the proxy runs.

use crate::backend::Access;
use crate::client::{Client, ClientTlsSettings, TIMEOUT};
use crate::probe::{Outcome, Plan, RemoteSpans, Runner, Schedule, SpanSource, Wait};
use crate::store::TraceStore;
use crate::telemetry::metrics::{Metrics, StepTime};
use http::HeaderMap;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A probe at work. Dropping it ends it.
pub(super) struct Probing {
    name: String,
    _end: DropGuard,
}

/// The probes of a plan. All begin anew: what a file says, or a secret, may have changed.
pub(super) fn probing(
    wanted: &[Schedule],
    before: Vec<Probing>,
    store: Option<&TraceStore>,
    metrics: &Arc<Metrics>,
) -> Vec<Probing> {
    for ended in before {
        if !wanted.iter().any(|one| one.plan.name == ended.name) {
            metrics.probe_ended(&ended.name);
        }
    }
    if wanted.is_empty() {
        return Vec::new();
    }
    let client = match Client::new(&ClientTlsSettings::default()) {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "probes trust nobody over TLS"
            );
            Client::without_tls()
        }
    };
    let started = wanted
        .iter()
        .map(|one| started(one, store, &client, metrics));
    started.collect()
}

fn started(
    schedule: &Schedule,
    store: Option<&TraceStore>,
    client: &Client,
    metrics: &Arc<Metrics>,
) -> Probing {
    let runner = Runner {
        client: client.clone(),
        spans: source(&schedule.plan, store, client),
        base: None,
    };
    let metrics = Arc::clone(metrics);
    let held_before = AtomicBool::new(true);
    let running = schedule.clone().run(runner, move |plan, outcome| {
        count(&metrics, plan, outcome);
        let held_before = held_before.swap(outcome.held(), Ordering::Relaxed);
        log(plan, outcome, held_before);
    });
    let token = CancellationToken::new();
    tokio::spawn(token.clone().run_until_cancelled_owned(running));
    Probing {
        name: schedule.plan.name.clone(),
        _end: token.drop_guard(),
    }
}

/// Whom the file names, else the store of this process.
fn source(plan: &Plan, store: Option<&TraceStore>, client: &Client) -> Option<Arc<dyn SpanSource>> {
    if let Some(address) = &plan.spans_from {
        let access = Access {
            client: client.clone(),
            headers: HeaderMap::new(),
            timeout: TIMEOUT,
        };
        return Some(Arc::new(RemoteSpans::new(address.clone(), access)));
    }
    let store = store?.clone();
    Some(Arc::new(OwnSpans(store)))
}

/// What this process keeps.
struct OwnSpans(TraceStore);

impl SpanSource for OwnSpans {
    fn trace(&self, id: TraceId) -> Wait<'_, Result<Vec<ResourceSpans>, String>> {
        let store = self.0.clone();
        Box::pin(async move {
            // A search may hold the store for a while.
            let asked = tokio::task::spawn_blocking(move || store.trace(id)).await;
            let found = asked.map_err(|_| "the store was not asked".to_owned())?;
            Ok(found.unwrap_or_default())
        })
    }
}

fn count(metrics: &Metrics, plan: &Plan, outcome: &Outcome) {
    let answered = outcome.steps.iter().filter(|step| step.status.is_some());
    let steps: Vec<StepTime<'_>> = answered
        .map(|step| StepTime {
            step: &step.name,
            took: step.took,
        })
        .collect();
    metrics.probed(&plan.name, outcome.held(), &steps);
}

fn log(plan: &Plan, outcome: &Outcome, held_before: bool) {
    let probe = plan.name.as_str();
    let Some(step) = outcome.first_failed() else {
        if !held_before {
            tracing::info!(probe, "the probe holds again");
        }
        return;
    };
    let trace_id = step.trace.as_deref().unwrap_or_default();
    let why = step.end.first_reason();
    let step = step.name.as_str();
    tracing::warn!(probe, step, trace_id, "the probe failed: {why}");
}
