//! What is in force, as the operator's door shows it: read at the moment of the call, so that a
//! reload needs to tell nobody.

use crate::admin::Readiness;
use crate::proxy::Live;
use crate::upstream::ClusterReading;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a process that has just started waits for the keys of those who issue tokens before it
/// takes requests. Longer, and one provider that is away would keep every route away.
const KEYS_AWAITED: Duration = Duration::from_secs(10);

/// How the upstreams stand.
pub(super) fn upstreams(live: &Arc<Live>) -> Arc<dyn Fn() -> Vec<ClusterReading> + Send + Sync> {
    let live = Arc::clone(live);
    Arc::new(move || {
        let snapshot = live.load();
        let clusters = snapshot.clusters.iter();
        clusters.map(|cluster| cluster.reading()).collect()
    })
}

/// The configuration, its secrets hidden.
pub(super) fn config(live: &Arc<Live>) -> Arc<dyn Fn() -> Arc<str> + Send + Sync> {
    let live = Arc::clone(live);
    Arc::new(move || Arc::clone(&live.load().config))
}

/// Which providers have not told yet what tokens are verified by.
pub(super) fn lacks(live: &Arc<Live>) -> Arc<dyn Fn() -> Vec<String> + Send + Sync> {
    let live = Arc::clone(live);
    Arc::new(move || {
        let snapshot = live.load();
        let providers = snapshot.providers.iter();
        providers.filter_map(|provider| provider.lacks()).collect()
    })
}

/// Says that requests are taken: at once, or when the keys are there that tokens are verified by,
/// so that a fleet that is replaced does not lose those that know them for some that do not.
pub(super) fn become_ready(readiness: &Readiness, live: &Arc<Live>) {
    let providers = live.load().providers.clone();
    if providers.iter().all(|provider| provider.lacks().is_none()) {
        readiness.ready();
        return;
    }
    let readiness = readiness.clone();
    tokio::spawn(async move {
        let all = async {
            for provider in providers.iter() {
                provider.came().await;
            }
        };
        // Late is no reason to refuse those who need no token.
        let _late = timeout(KEYS_AWAITED, all).await;
        readiness.ready();
    });
}
