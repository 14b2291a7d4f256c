//! What stands between us and too much: memory against its watermark.

use super::exposition::{Exposition, Family, Kind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

    /// Whether it is too much now.
    pub fn set_high(&self, high: bool) {
        self.high.store(high, Ordering::Relaxed);
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
