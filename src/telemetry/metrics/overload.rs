//! What stands between us and too much: memory against its watermark, and how many requests
//! upstreams turn out to take.

use super::exposition::{Exposition, Family, Kind};
use super::series::{SeriesTable, hash_labels};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Upstreams come from the configuration; over reloads more of them may pass by than it holds.
const NAMES_MAX: usize = 1_024;

/// The limit that an upstream's requests have found.
#[derive(Debug, Default)]
pub struct AdaptiveGauges {
    upstream: Option<Arc<str>>,
    limit: AtomicUsize,
}

impl AdaptiveGauges {
    /// The limit from now on.
    pub fn set(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }
}

/// All adaptive limits.
pub(super) struct AdaptiveMetrics(SeriesTable<Arc<AdaptiveGauges>>);

impl AdaptiveMetrics {
    pub(super) fn new() -> Self {
        Self(SeriesTable::new(NAMES_MAX))
    }

    /// Of an upstream past the bound the limit stands on no page.
    pub(super) fn upstream(&self, name: &Arc<str>) -> Arc<AdaptiveGauges> {
        let place = self.0.find_or_insert(
            hash_labels(&**name),
            |held| held.upstream.as_ref() == Some(name),
            || {
                Arc::new(AdaptiveGauges {
                    upstream: Some(Arc::clone(name)),
                    limit: AtomicUsize::new(0),
                })
            },
        );
        place.map_or_else(Arc::default, Arc::clone)
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_upstream_adaptive_limit",
            kind: Kind::Gauge,
            help: "Requests at a time that an upstream turned out to take.",
        });
        for gauges in self.0.iter() {
            if let Some(upstream) = &gauges.upstream {
                let limit = gauges.limit.load(Ordering::Relaxed);
                page.sample(&[("upstream", upstream)], limit as u64);
            }
        }
    }
}

/// Memory as the watch sees it.
#[derive(Debug, Default)]
pub struct MemoryGauges {
    watermark: AtomicU64,
    high: AtomicBool,
}

impl MemoryGauges {
    /// Where too much begins, in bytes; zero for nowhere.
    pub fn set_watermark(&self, bytes: u64) {
        self.watermark.store(bytes, Ordering::Relaxed);
    }

    /// Where too much begins, in bytes; zero for nowhere.
    pub fn watermark(&self) -> u64 {
        self.watermark.load(Ordering::Relaxed)
    }

    /// Whether it is too much now.
    pub fn set_high(&self, high: bool) {
        self.high.store(high, Ordering::Relaxed);
    }

    /// Whether it was too much when that was looked at last.
    pub fn is_high(&self) -> bool {
        self.high.load(Ordering::Relaxed)
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        let watermark = self.watermark.load(Ordering::Relaxed);
        if watermark == 0 {
            return;
        }
        page.family(Family {
            name: "edgespan_memory_watermark_bytes",
            kind: Kind::Gauge,
            help: "Resident memory above which new requests are refused.",
        });
        page.sample(&[], watermark);
        page.family(Family {
            name: "edgespan_memory_high",
            kind: Kind::Gauge,
            help: "Whether memory is above its watermark, so that new requests are refused.",
        });
        page.sample(&[], u64::from(self.high.load(Ordering::Relaxed)));
    }
}
