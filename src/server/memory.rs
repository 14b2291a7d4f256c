//! How much memory the process has, looked at four times a second, and whether that is too much.
//!
//! Above the watermark new requests are refused; those in flight go on, and so does the operator's
//! door. The control group would not refuse: it ends the process with everything in flight.

use crate::telemetry::metrics::MemoryGauges;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::warn;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";

/// Where too much begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryWatermark {
    /// Nine tenths of the control group's limit; nowhere if it has none.
    #[default]
    OfControlGroup,
    /// At this many resident bytes.
    Bytes(u64),
    /// Nowhere.
    Off,
}

impl MemoryWatermark {
    fn bytes(self) -> Option<u64> {
        match self {
            Self::OfControlGroup => group_limit(Path::new(GROUPS)).map(|limit| limit / 10 * 9),
            Self::Bytes(bytes) => Some(bytes),
            Self::Off => None,
        }
    }
}

/// Whether there is too much in memory. One load a request.
#[derive(Debug, Default)]
pub struct MemoryPressure {
    watermark: MemoryWatermark,
    high: AtomicBool,
}

impl MemoryPressure {
    /// Looks at once and from then on, until it is dropped. Has to run inside the runtime.
    pub fn watch(watermark: MemoryWatermark, gauges: Arc<MemoryGauges>) -> Arc<Self> {
        let pressure = Arc::new(Self {
            watermark,
            high: AtomicBool::new(false),
        });
        let bytes = watermark.bytes();
        gauges.set_watermark(bytes.unwrap_or(0));
        // What another watermark said before is over with it.
        gauges.set_high(false);
        if let Some(bytes) = bytes {
            pressure.look(bytes, &gauges);
            let watched = Arc::downgrade(&pressure);
            tokio::spawn(async move {
                let mut tick = tokio::time::interval(LOOK_EVERY);
                loop {
                    tick.tick().await;
                    let Some(pressure) = watched.upgrade() else {
                        return;
                    };
                    pressure.look(bytes, &gauges);
                }
            });
        }
        pressure
    }

    /// What it was made from.
    pub const fn watermark(&self) -> MemoryWatermark {
        self.watermark
    }

    /// Whether new requests are to be refused.
    pub fn is_high(&self) -> bool {
        self.high.load(Ordering::Relaxed)
    }

    fn look(&self, watermark: u64, gauges: &MemoryGauges) {
        let Some(resident) = resident() else { return };
        let before = self.is_high();
        let high = is_high(before, resident, watermark);
        self.high.store(high, Ordering::Relaxed);
        // Requests that began before a reload still go by the watermark of then; gauges do not.
        if gauges.watermark() == watermark {
            gauges.set_high(high);
        }
        if high != before {
            if high {
                warn!(
                    resident,
                    watermark, "memory is high; new requests are refused"
                );
            } else {
                warn!(resident, watermark, "memory is back below its watermark");
            }
        }
    }
}

/// High above the watermark, and until a twentieth below it again.
const fn is_high(before: bool, resident: u64, watermark: u64) -> bool {
    if before {
        resident > watermark - watermark / 20
    } else {
        resident > watermark
    }
}

/// Resident bytes of this process.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The lowest memory limit of the control groups that this process is in.
fn group_limit(root: &Path) -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_in(root, &own)
}

/// Version 2 has `memory.max` in every folder from the own group up to the root; version 1 has
/// `memory/memory.limit_in_bytes`. Inside a container the root is the container's own group.
fn limit_in(root: &Path, own: &str) -> Option<u64> {
    let unified = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let mut folder: PathBuf = root.join(unified.unwrap_or_default());
    let mut limits = vec![root.join("memory/memory.limit_in_bytes")];
    while folder.starts_with(root) {
        limits.push(folder.join("memory.max"));
        if !folder.pop() {
            break;
        }
    }
    let read = |file: &PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    // Version 1 says "none" with a number near the largest there is.
    let sensible = |limit: &u64| *limit < 1 << 60;
    limits.iter().filter_map(read).filter(sensible).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn memory_is_high_above_the_watermark_and_until_a_twentieth_below() {
        assert!(!is_high(false, 999, 1_000));
        assert!(!is_high(false, 1_000, 1_000));
        assert!(is_high(false, 1_001, 1_000));
        assert!(is_high(true, 1_000, 1_000));
        assert!(is_high(true, 951, 1_000));
        assert!(!is_high(true, 950, 1_000));
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("pods/pod1");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("pods/memory.max"), "1000\n").unwrap();
        fs::write(root.path().join("memory.max"), "2000\n").unwrap();

        assert_eq!(limit_in(root.path(), "0::/pods/pod1\n"), Some(1_000));
        assert_eq!(limit_in(root.path(), "0::/\n"), Some(2_000));
        assert_eq!(limit_in(root.path(), ""), Some(2_000));
    }

    #[test]
    fn without_a_limit_there_is_no_watermark() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("memory")).unwrap();
        let none = "9223372036854771712\n";
        fs::write(root.path().join("memory/memory.limit_in_bytes"), none).unwrap();

        assert_eq!(limit_in(root.path(), "12:memory:/\n"), None);
    }

    #[tokio::test]
    async fn what_a_watermark_said_ends_with_it() {
        let gauges = Metrics::new().memory();
        let low = MemoryPressure::watch(MemoryWatermark::Bytes(1), Arc::clone(&gauges));
        assert!(low.is_high() && gauges.is_high());

        for next in [MemoryWatermark::Off, MemoryWatermark::Bytes(u64::MAX)] {
            let next = MemoryPressure::watch(next, Arc::clone(&gauges));
            assert!(!next.is_high() && !gauges.is_high());
            // A request that began before still holds the one of then, which goes on looking.
            low.look(1, &gauges);
            assert!(low.is_high() && !gauges.is_high());
        }
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
    }
}
