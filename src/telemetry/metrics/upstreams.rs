//! What edgespan decided about endpoints: checks that passed or failed, and ejections.

use super::exposition::{Exposition, Family, Kind};
use super::series::{SeriesTable, hash_labels};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upstreams of the configuration times a handful of words; what is over the bound is not counted.
const SERIES_MAX: usize = 8_192;

/// Checks and ejections of all upstreams.
pub(super) struct UpstreamMetrics {
    checks: SeriesTable<Count>,
    ejections: SeriesTable<Count>,
}

struct Count {
    upstream: Arc<str>,
    word: &'static str,
    count: AtomicU64,
}

impl UpstreamMetrics {
    pub(super) fn new() -> Self {
        Self {
            checks: SeriesTable::new(SERIES_MAX),
            ejections: SeriesTable::new(SERIES_MAX),
        }
    }

    pub(super) fn checked(&self, upstream: &Arc<str>, outcome: &'static str) {
        count(&self.checks, upstream, outcome);
    }

    pub(super) fn ejected(&self, upstream: &Arc<str>, reason: &'static str) {
        count(&self.ejections, upstream, reason);
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_health_checks",
            kind: Kind::Counter,
            help: "Active checks of endpoints.",
        });
        for one in self.checks.iter() {
            let labels = [("upstream", &*one.upstream), ("outcome", one.word)];
            page.sample(&labels, one.count.load(Ordering::Relaxed));
        }
        page.family(Family {
            name: "edgespan_upstream_ejections",
            kind: Kind::Counter,
            help: "Endpoints kept from requests by outlier detection, or that only a bound saved.",
        });
        for one in self.ejections.iter() {
            let labels = [("upstream", &*one.upstream), ("reason", one.word)];
            page.sample(&labels, one.count.load(Ordering::Relaxed));
        }
    }
}

fn count(table: &SeriesTable<Count>, upstream: &Arc<str>, word: &'static str) {
    let place = table.find_or_insert(
        hash_labels((&**upstream, word)),
        |held| held.word == word && *held.upstream == **upstream,
        || Count {
            upstream: Arc::clone(upstream),
            word,
            count: AtomicU64::new(0),
        },
    );
    if let Some(place) = place {
        place.count.fetch_add(1, Ordering::Relaxed);
    }
}
