//! Outlier detection: endpoints that fail where others do not are left alone for a while.
//!
//! Judged by the attempts themselves, so it finds what a health check does not ask for. The rules
//! are Envoy's: errors in a row eject at once; every window, so does a share of good answers far
//! below the others'. Each ejection lasts longer than the one before, and only so many endpoints
//! may be away at a time: when all are bad, the fault is somewhere else.

mod counts;
mod rate;
mod settings;

pub(super) use counts::OutlierCounts;
pub use settings::{OutlierSettings, SuccessRateSettings};

use super::cluster::Cluster;
use super::endpoint::Endpoint;
use crate::clock;
use crate::telemetry::metrics::Metrics;
use counts::{Outlying, Went};
use http::StatusCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

/// How often it is looked whether an ejection is over, at least and at most.
const SWEEP_EVERY: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// Outlier detection of one upstream.
pub(super) struct Outliers {
    settings: OutlierSettings,
    metrics: Arc<Metrics>,
    /// One ejection at a time, so that two cannot both be the last one allowed.
    ejecting: Mutex<()>,
}

impl Outliers {
    /// Ejects nobody yet.
    pub(super) fn new(settings: OutlierSettings, metrics: &Arc<Metrics>) -> Self {
        Self {
            settings,
            metrics: Arc::clone(metrics),
            ejecting: Mutex::default(),
        }
    }

    /// Takes in an attempt at an endpoint of `cluster`.
    pub(super) fn report(
        &self,
        cluster: &Cluster,
        endpoint: &Endpoint,
        status: Option<StatusCode>,
    ) {
        let went = match status {
            Some(status) if status.is_server_error() => Went::Badly,
            Some(_) => Went::Well,
            None => Went::Nowhere,
        };
        let Some(outlying) = endpoint.standing.outlier.count(&self.settings, went) else {
            return;
        };
        let (kind, reason) = match outlying {
            Outlying::Errors(times) => ("errors", format!("{times} errors in a row")),
            Outlying::Failures(times) => (
                "failures",
                format!("{times} attempts in a row without an answer"),
            ),
        };
        self.eject(cluster, endpoint, kind, &reason);
    }

    /// Keeps requests away for a while, unless too many are away already.
    fn eject(&self, cluster: &Cluster, endpoint: &Endpoint, kind: &'static str, reason: &str) {
        // What is in a row was judged, whatever the judgement: at the bound of ejections the next
        // attempt shall not look at all endpoints again.
        endpoint.standing.outlier.begin_again();
        let upstream = &cluster.settings().name;
        let length = {
            let _one = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
            if endpoint.standing.is_ejected() {
                return;
            }
            let endpoints = cluster.endpoints();
            let away = endpoints.iter().filter(|one| one.standing.is_ejected());
            if away.count() >= self.ejected_max(endpoints.len()) {
                self.metrics.ejection(upstream, "withheld");
                return;
            }
            let mut sentence = endpoint.standing.outlier.sentence();
            sentence.times = sentence.times.saturating_add(1);
            let longest = self.settings.ejection_max.max(self.settings.ejection);
            let length = self.settings.ejection.saturating_mul(sentence.times);
            let length = length.min(longest);
            sentence.until = Some(clock::instant() + length);
            endpoint.standing.set_ejected(true);
            length
        };
        endpoint.standing.note_failure(reason);
        self.metrics.ejection(upstream, kind);
        let (address, millis) = (endpoint.told(), length.as_millis());
        warn!("upstream {upstream}: {address} is ejected for {millis} ms: {reason}");
    }

    /// Most endpoints that may be away at a time, of so many.
    fn ejected_max(&self, endpoints: usize) -> usize {
        let share = f64::from(u32::try_from(endpoints).unwrap_or(u32::MAX));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count is neither negative nor larger than the count"
        )]
        let share = (share * self.settings.ejected_share_max) as usize;
        // One may go wherever another is left.
        share.max(usize::from(endpoints > 1))
    }

    /// Lets those come again whose time is over.
    fn release(&self, cluster: &Cluster, now: Instant) {
        for endpoint in cluster.endpoints().iter() {
            let over = {
                let mut sentence = endpoint.standing.outlier.sentence();
                let over = sentence.until.take_if(|until| *until <= now).is_some();
                if over {
                    sentence.behaves_since = Some(now);
                }
                over
            };
            if over {
                endpoint.standing.outlier.begin_again();
                endpoint.standing.set_ejected(false);
                let (upstream, address) = (&cluster.settings().name, endpoint.told());
                info!("upstream {upstream}: {address} is no longer ejected");
            }
        }
    }

    /// Judges a window, and forgives a little of the past of those that behaved.
    fn judge(&self, cluster: &Cluster, now: Instant, window: Duration) {
        let endpoints = cluster.endpoints();
        for endpoint in endpoints.iter() {
            let mut sentence = endpoint.standing.outlier.sentence();
            let since = sentence.behaves_since.unwrap_or(now);
            if sentence.until.is_none() && now.saturating_duration_since(since) >= window {
                sentence.times = sentence.times.saturating_sub(1);
                sentence.behaves_since = (sentence.times > 0).then_some(now);
            }
        }
        let Some(settings) = &self.settings.success_rate else {
            return;
        };
        let windows: Vec<rate::Window> = endpoints
            .iter()
            .map(|endpoint| endpoint.standing.outlier.take_window())
            .collect();
        let Some(threshold) = rate::threshold(settings, &windows) else {
            return;
        };
        for (endpoint, window) in endpoints.iter().zip(windows) {
            if let Some(rate) = rate::rate(settings, window)
                && rate < threshold
                && !endpoint.standing.is_ejected()
            {
                let reason = format!(
                    "{:.1} % of its answers are good, the others' bound is {:.1} %",
                    rate * 100.0,
                    threshold * 100.0
                );
                self.eject(cluster, endpoint, "success_rate", &reason);
            }
        }
    }
}

/// Ends ejections and judges windows until the cluster is dropped. Has to run inside the runtime.
pub(super) fn start(cluster: &Arc<Cluster>, settings: &OutlierSettings) {
    let [often, seldom] = SWEEP_EVERY;
    let every = (settings.ejection / 8).clamp(often, seldom);
    let window = settings.success_rate.unwrap_or_default().window;
    let cluster = Arc::downgrade(cluster);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(every.min(window));
        let mut judged = clock::instant();
        loop {
            tick.tick().await;
            let Some(cluster) = cluster.upgrade() else {
                return;
            };
            let Some(outliers) = cluster.outliers() else {
                return;
            };
            let now = clock::instant();
            outliers.release(&cluster, now);
            if now.saturating_duration_since(judged) >= window {
                judged = now;
                outliers.judge(&cluster, now, window);
            }
        }
    });
}

#[cfg(test)]
mod tests;
