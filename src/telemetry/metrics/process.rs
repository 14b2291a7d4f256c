//! The process itself, under the names that Prometheus client libraries share.
//!
//! Read from `/proc` when the page is asked for. Where there is no `/proc`, the families that
//! come from it are left out.

use super::exposition::{Exposition, Family, Kind};
use crate::clock::Timestamp;
use crate::telemetry::rfc3339::unix_seconds;
use std::fs;

/// `USER_HZ`: what `/proc` counts CPU time in. 100 on every architecture that Rust's Linux
/// targets run on.
const TICKS_A_SECOND: f64 = 100.0;

/// What `/proc` says of this process.
#[derive(Debug, Default, PartialEq)]
struct ProcessReading {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    threads: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

pub(super) fn render(page: &mut Exposition, started: Timestamp) {
    page.family(Family {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the process started, in seconds since the Unix epoch.",
    });
    page.sample(&[], unix_seconds(started));
    let reading = ProcessReading::now();
    if let Some(seconds) = reading.cpu_seconds {
        page.family(Family {
            name: "process_cpu_seconds",
            kind: Kind::Counter,
            help: "CPU time of the process, user and system.",
        });
        page.sample(&[], seconds);
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        page.family(Family {
            name: "edgespan_tasks_alive",
            kind: Kind::Gauge,
            help: "Tasks of the runtime that have begun and not ended.",
        });
        page.sample(&[], runtime.metrics().num_alive_tasks());
    }
    let gauges = [
        (
            "process_resident_memory_bytes",
            "Memory that is in RAM.",
            reading.resident_bytes,
        ),
        (
            "process_virtual_memory_bytes",
            "Address space.",
            reading.virtual_bytes,
        ),
        ("process_threads", "Threads.", reading.threads),
        (
            "process_open_fds",
            "Open file descriptors.",
            reading.open_fds,
        ),
        (
            "process_max_fds",
            "Most file descriptors that may be open (soft limit).",
            reading.max_fds,
        ),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            page.family(Family {
                name,
                kind: Kind::Gauge,
                help,
            });
            page.sample(&[], value);
        }
    }
}

impl ProcessReading {
    fn now() -> Self {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let status = read("/proc/self/status");
        Self {
            cpu_seconds: cpu_seconds(&read("/proc/self/stat")),
            resident_bytes: status_value(&status, "VmRSS:").map(|kib| kib * 1024),
            virtual_bytes: status_value(&status, "VmSize:").map(|kib| kib * 1024),
            threads: status_value(&status, "Threads:"),
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                // The listing itself holds one.
                .map(|entries| (entries.count() as u64).saturating_sub(1)),
            max_fds: max_fds(&read("/proc/self/limits")),
        }
    }
}

/// Fields 14 and 15 of `stat`. The second field is the program's name in parentheses, which may
/// hold anything: counted from the last closing one.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_A_SECOND)
}

/// A line of `status`, without its unit.
fn status_value(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The soft limit in `limits`; none if it is `unlimited`.
fn max_fds(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_move_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 100 1000 20";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds(""), None);
        assert_eq!(cpu_seconds("7 (a) S 1"), None);
    }

    #[test]
    fn sizes_and_limits_are_read_as_linux_writes_them() {
        let status = "Name:\tedgespan\nVmSize:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n";
        assert_eq!(status_value(status, "VmRSS:"), Some(1024));
        assert_eq!(status_value(status, "Threads:"), Some(3));
        assert_eq!(status_value(status, "VmSwap:"), None);

        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  4096  files\n";
        assert_eq!(max_fds(limits), Some(1024));
        assert_eq!(
            max_fds("Max open files  unlimited  unlimited  files\n"),
            None
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_everything_about_this_process() {
        let reading = ProcessReading::now();
        assert!(reading.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(reading.virtual_bytes >= reading.resident_bytes);
        assert!(reading.threads.is_some_and(|threads| threads > 0));
        assert!(reading.open_fds.is_some_and(|fds| fds > 0));
        assert!(reading.cpu_seconds.is_some());
    }
}
