//! When an endpoint is an outlier, as compiled from the configuration.

use std::time::Duration;

/// Outlier detection of an upstream: endpoints are judged by how requests fare with them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierSettings {
    /// Failed attempts in a row that eject: 5xx and attempts without an answer. None: never.
    pub consecutive_errors: Option<u32>,
    /// Attempts without an answer in a row that eject: no connection, reset, time-out. None: never.
    pub consecutive_failures: Option<u32>,
    /// Ejects endpoints whose share of good answers is far below the others'. None: never.
    pub success_rate: Option<SuccessRateSettings>,
    /// How long the first ejection lasts; the second twice as long, and so on.
    pub ejection: Duration,
    /// Longest ejection.
    pub ejection_max: Duration,
    /// Most endpoints that may be ejected at a time, as a share; one always may, unless it is the
    /// only one.
    pub ejected_share_max: f64,
}

/// Ejection by share of good answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRateSettings {
    /// Over how long attempts are counted.
    pub window: Duration,
    /// Endpoints that need enough attempts in a window, or nobody is judged.
    pub endpoints_min: usize,
    /// Attempts of an endpoint in a window that are enough.
    pub attempts_min: u32,
    /// How many standard deviations below the mean an endpoint may be.
    pub deviations: f64,
}

impl Default for OutlierSettings {
    fn default() -> Self {
        Self {
            consecutive_errors: Some(5),
            consecutive_failures: Some(5),
            success_rate: Some(SuccessRateSettings::default()),
            ejection: Duration::from_secs(30),
            ejection_max: Duration::from_secs(300),
            ejected_share_max: 0.5,
        }
    }
}

impl Default for SuccessRateSettings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            endpoints_min: 5,
            attempts_min: 100,
            deviations: 1.9,
        }
    }
}
