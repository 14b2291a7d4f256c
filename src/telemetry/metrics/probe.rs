//! Probes of the configuration, and requests of probes from wherever.

use super::exposition::{Exposition, Family, Kind};
use super::histogram::{Histogram, REQUEST_BOUNDS};
use crate::clock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Probes that are remembered; over reloads more may pass by, and those are not counted.
const PROBES_MAX: usize = 256;
/// Steps of one probe that are remembered, over reloads, too.
const STEPS_MAX: usize = 200;

/// How long a step took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepTime<'a> {
    /// Its name.
    pub step: &'a str,
    /// From the first packet to the last byte of the last request.
    pub took: Duration,
}

/// The numbers of all probes. A run takes longer than a lock.
#[derive(Default)]
pub(super) struct ProbeMetrics {
    probes: Mutex<BTreeMap<String, Probed>>,
    well: AtomicU64,
    failed: AtomicU64,
}

#[derive(Default)]
struct Probed {
    held: u64,
    failed: u64,
    /// None: it runs no more.
    success: Option<bool>,
    steps: BTreeMap<String, Histogram>,
}

impl ProbeMetrics {
    pub(super) fn request(&self, failed: bool) {
        let count = if failed { &self.failed } else { &self.well };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ran(&self, probe: &str, held: bool, steps: &[StepTime<'_>]) {
        // Every change under the lock is complete.
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        if probes.len() >= PROBES_MAX && !probes.contains_key(probe) {
            return;
        }
        let known = probes.entry(probe.to_owned()).or_default();
        if held {
            known.held += 1;
        } else {
            known.failed += 1;
        }
        known.success = Some(held);
        let now = clock::wall();
        for one in steps {
            if known.steps.len() >= STEPS_MAX && !known.steps.contains_key(one.step) {
                continue;
            }
            let step = known.steps.entry(one.step.to_owned());
            let step = step.or_insert_with(|| Histogram::new(REQUEST_BOUNDS));
            step.observe(one.took, now, None);
        }
    }

    pub(super) fn ended(&self, probe: &str) {
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = probes.get_mut(probe) {
            known.success = None;
        }
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_synthetic_requests",
            kind: Kind::Counter,
            help: "Requests of probes, which stand in no other family of requests received.",
        });
        for (result, count) in [("ok", &self.well), ("error", &self.failed)] {
            page.sample(&[("result", result)], count.load(Ordering::Relaxed));
        }
        let probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        page.family(Family {
            name: "edgespan_probe_runs",
            kind: Kind::Counter,
            help: "Runs of each probe of the configuration, by whether all of it held.",
        });
        for (name, probe) in probes.iter() {
            for (result, count) in [("held", probe.held), ("failed", probe.failed)] {
                page.sample(&[("probe", name), ("result", result)], count);
            }
        }
        page.family(Family {
            name: "edgespan_probe_success",
            kind: Kind::Gauge,
            help: "1 if all of a probe held at its last run, 0 if not.",
        });
        for (name, probe) in probes.iter() {
            if let Some(success) = probe.success {
                page.sample(&[("probe", name)], u64::from(success));
            }
        }
        page.family(Family {
            name: "edgespan_probe_step_duration_seconds",
            kind: Kind::Histogram,
            help: "Duration of the steps of probes that were answered.",
        });
        for (name, probe) in probes.iter() {
            for (step, duration) in &probe.steps {
                page.histogram(&[("probe", name), ("step", step)], &duration.snapshot());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::{Exposition, Metrics, StepTime, TextFormat};
    use std::time::Duration;

    #[test]
    fn a_probe_is_counted_until_it_runs_no_more() {
        let metrics = Metrics::new();
        let step = StepTime {
            step: "log in",
            took: Duration::from_millis(7),
        };
        metrics.probed("up", true, &[step]);
        metrics.probed("up", false, &[step]);
        metrics.synthetic_request(false);
        let page = || {
            let mut page = Exposition::new(TextFormat::OpenMetrics);
            metrics.render(&mut page);
            page.finish()
        };
        for line in [
            "edgespan_probe_runs_total{probe=\"up\",result=\"held\"} 1",
            "edgespan_probe_runs_total{probe=\"up\",result=\"failed\"} 1",
            "edgespan_probe_success{probe=\"up\"} 0",
            "edgespan_probe_step_duration_seconds_count{probe=\"up\",step=\"log in\"} 2",
            "edgespan_synthetic_requests_total{result=\"ok\"} 1",
        ] {
            assert!(page().contains(line), "{line} in {}", page());
        }
        metrics.probe_ended("up");
        assert!(!page().contains("edgespan_probe_success{"));
    }
}
