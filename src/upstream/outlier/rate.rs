//! Which endpoints are far worse than the others. Arithmetic alone.

use super::settings::SuccessRateSettings;

/// Attempts and good ones of one endpoint in one window.
pub(super) type Window = (u32, u32);

/// The share of good answers below which an endpoint is an outlier: the mean of all, less a few
/// standard deviations. None: too few endpoints had enough attempts.
pub(super) fn threshold(settings: &SuccessRateSettings, windows: &[Window]) -> Option<f64> {
    let rates: Vec<f64> = windows
        .iter()
        .filter_map(|window| rate(settings, *window))
        .collect();
    if rates.is_empty() || rates.len() < settings.endpoints_min {
        return None;
    }
    let count = f64::from(u32::try_from(rates.len()).unwrap_or(u32::MAX));
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    Some(mean - settings.deviations * variance.sqrt())
}

/// The share of good answers, if there were enough attempts.
pub(super) fn rate(settings: &SuccessRateSettings, (attempts, good): Window) -> Option<f64> {
    let enough = attempts >= settings.attempts_min && attempts > 0;
    enough.then(|| f64::from(good) / f64::from(attempts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const SETTINGS: SuccessRateSettings = SuccessRateSettings {
        window: Duration::from_secs(10),
        endpoints_min: 5,
        attempts_min: 100,
        deviations: 1.9,
    };

    /// Which of these windows belong to outliers.
    #[track_caller]
    fn check(windows: &[Window], expected: &[usize]) {
        let outliers: Vec<usize> = match threshold(&SETTINGS, windows) {
            None => Vec::new(),
            Some(threshold) => (0..windows.len())
                .filter(|&one| rate(&SETTINGS, windows[one]).is_some_and(|rate| rate < threshold))
                .collect(),
        };
        assert_eq!(outliers, expected, "{windows:?}");
    }

    #[test]
    fn one_that_fails_half_of_its_attempts_among_good_ones_is_an_outlier() {
        check(
            &[(100, 100), (100, 99), (100, 50), (100, 98), (100, 100)],
            &[2],
        );
    }

    #[test]
    fn all_that_are_alike_are_no_outliers() {
        check(&[(100, 50); 5], &[]);
        check(&[(100, 100); 5], &[]);
    }

    #[test]
    fn nobody_is_judged_by_too_few() {
        check(&[(100, 100), (100, 100), (100, 100), (100, 0)], &[]);
        check(
            &[(100, 100), (100, 99), (99, 0), (100, 98), (100, 100)],
            &[],
        );
    }

    proptest! {
        #[test]
        fn never_are_all_of_them_outliers(windows in prop::collection::vec((100_u32..1_000, 0_u32..100), 5..30)) {
            let threshold = threshold(&SETTINGS, &windows).unwrap();
            prop_assert!(windows.iter().any(|&window| rate(&SETTINGS, window) >= Some(threshold - 1e-9)));
        }
    }
}
