//! What is in force, as the operator's door shows it: read at the moment of the call, so that a
//! reload needs to tell nobody.

use crate::proxy::Live;
use crate::upstream::ClusterReading;
use std::sync::Arc;

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
