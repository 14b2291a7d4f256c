//! What a reload keeps if its settings stay: upstreams with their connections and their state,
//! exporters with their queues.

use super::accounts::Ledger;
use super::build::{self, StartError};
use crate::config::{Fingerprint, Plan};
use crate::export::{Exporter, OtlpSettings};
use crate::shared::Line;
use crate::telemetry::metrics::Metrics;
use crate::tls::Keeper;
use crate::trace::sink::SpanSink;
use crate::upstream::{Cluster, ClusterSettings};
use bytes::Bytes;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether the last request that gives spans to a replaced exporter ended.
const LAST_REQUEST_EVERY: Duration = Duration::from_millis(250);

/// The upstreams at work, by name.
pub(super) type Clusters = HashMap<Arc<str>, MadeCluster>;

/// An upstream at work. Its certificates are renewed by the keeper.
#[derive(Clone)]
pub(super) struct MadeCluster {
    pub(super) cluster: Arc<Cluster>,
}

/// The upstreams of a plan: those of `before` whose settings are still the same, and new ones.
pub(super) fn clusters(
    plan: &Plan,
    before: &Clusters,
    metrics: &Arc<Metrics>,
    keeper: &Keeper,
) -> Result<Clusters, StartError> {
    let made = |settings: &ClusterSettings| {
        let name = Arc::clone(&settings.name);
        let kept = before
            .get(&name)
            .filter(|made| made.cluster.settings() == settings);
        if let Some(kept) = kept {
            return Ok((name, kept.clone()));
        }
        let cluster =
            Cluster::new(settings.clone(), metrics).map_err(|source| StartError::TlsFile {
                owner: format!("upstream {name}"),
                source,
            })?;
        if let Some(tls) = cluster.tls() {
            keeper.watch_upstream(&name, tls);
        }
        Ok((name, MadeCluster { cluster }))
    };
    plan.upstreams.iter().map(made).collect()
}

/// From here on these are the upstreams and the Redis that metrics tell of.
pub(super) fn come_into_force(clusters: &Clusters, redis: Option<&Arc<Line>>) {
    if let Some(redis) = redis {
        redis.come_into_force();
    }
    for made in clusters.values() {
        made.cluster.come_into_force();
    }
}

/// An exporter at work, and what it was made of.
#[derive(Clone)]
pub(super) struct Destination {
    name: Arc<str>,
    pub(super) exporter: Exporter,
    /// The same, as requests hold it: whoever does may still give it spans.
    pub(super) sink: Arc<dyn SpanSink>,
    settings: OtlpSettings,
    resource: Bytes,
    files: Fingerprint,
}

/// The exporters of a plan: those of `before` whose settings, resource and files are still the
/// same, and new ones.
pub(super) fn destinations(
    plan: &Plan,
    before: &[Destination],
) -> Result<Vec<Destination>, StartError> {
    if !plan.tracing.recording {
        return Ok(Vec::new());
    }
    let resource = build::resource(plan);
    let mut left: Vec<&Destination> = before.iter().collect();
    let mut found = Vec::new();
    for settings in &plan.export {
        let files = export_files(settings);
        let same = |one: &&Destination| {
            one.settings == *settings && one.resource == resource && one.files == files
        };
        let kept = left.iter().position(same).map(|at| left.remove(at).clone());
        found.push((settings, files, kept));
    }
    let mut names: Vec<Arc<str>> = found
        .iter()
        .filter_map(|(_, _, kept)| kept.as_ref().map(|kept| Arc::clone(&kept.name)))
        .collect();
    let alone = found.len() == 1;
    let made = found
        .into_iter()
        .enumerate()
        .map(|(place, (settings, files, kept))| {
            if let Some(kept) = kept {
                return Ok(kept);
            }
            let name = free_name(&names, place, alone);
            names.push(Arc::clone(&name));
            let exporter =
                Exporter::start(settings, resource.clone()).map_err(StartError::Export)?;
            Ok(Destination {
                name,
                sink: Arc::new(exporter.clone()),
                exporter,
                settings: settings.clone(),
                resource: resource.clone(),
                files,
            })
        });
    made.collect()
}

/// What metrics call an exporter: `otlp`, or `otlp-` and its place if there are several.
fn free_name(taken: &[Arc<str>], place: usize, alone: bool) -> Arc<str> {
    let first = if alone {
        "otlp".to_owned()
    } else {
        format!("otlp-{place}")
    };
    let later = (0..=taken.len()).map(|number| format!("otlp-{number}"));
    let mut names = std::iter::once(first).chain(later);
    let free = names.find(|name| !taken.iter().any(|other| **other == **name));
    free.unwrap_or_default().into()
}

fn export_files(settings: &OtlpSettings) -> Fingerprint {
    let tls = &settings.tls;
    let pair = tls.identity.iter().flat_map(|(chain, key)| [chain, key]);
    Fingerprint::of(tls.ca.iter().chain(pair).map(AsRef::<Path>::as_ref))
}

impl Destination {
    /// Whether this is the exporter of `other`.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.exporter.account(), other.exporter.account())
    }

    /// Opens its account.
    pub(super) fn enter(&self, ledger: &Ledger) {
        ledger.open(&self.name, &self.exporter);
    }

    /// Ends it once no request gives it spans any more, that is, when every snapshot that it
    /// belonged to is gone, and when what it holds is settled. Runs in the background.
    pub(super) async fn retire(self, ledger: Ledger, limit: Duration) {
        while Arc::strong_count(&self.sink) > 1 {
            tokio::time::sleep(LAST_REQUEST_EVERY).await;
        }
        // Its collector may be away for now: what waits is tried again for a while.
        self.exporter.flush(limit).await;
        self.exporter.shutdown(limit).await;
        ledger.close(self.exporter.account());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_exporter_never_takes_the_name_of_one_that_stays() {
        let check = |taken: &[&str], place, alone, expected| {
            let taken: Vec<Arc<str>> = taken.iter().map(|name| Arc::from(*name)).collect();
            assert_eq!(&*free_name(&taken, place, alone), expected);
        };
        check(&[], 0, true, "otlp");
        check(&[], 1, false, "otlp-1");
        check(&["otlp"], 1, false, "otlp-1");
        check(&["otlp-1"], 1, false, "otlp-0");
        check(&["otlp-0", "otlp-1"], 1, false, "otlp-2");
    }
}
