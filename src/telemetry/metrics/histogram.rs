//! Durations in buckets, with one exemplar a bucket.
//!
//! An observation is two additions to atomics; an exemplar is kept at most ten times a second
//! and never waited for.

use crate::clock::Timestamp;
use opentelemetry::trace::{SpanId, TraceId};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A newer exemplar replaces one at least this old: enough for any scrape, and few enough writes
/// that threads do not fight for the slot.
const EXEMPLAR_AGE_MIN: Duration = Duration::from_millis(100);

/// Sums count in tenths of a microsecond: fine enough for our own share of a request, and 64 bits
/// hold 20,000 connections that stay open for three years.
const NANOS_A_TICK: u64 = 100;
const TICKS_A_SECOND: f64 = 10_000_000.0;

/// A request that can be shown for a bucket: its trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExemplarIds {
    /// The trace.
    pub trace_id: TraceId,
    /// The span measured.
    pub span_id: SpanId,
}

/// An exemplar as kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) seconds: f64,
    pub(super) at: Timestamp,
}

/// Upper bounds of buckets, ascending, in nanoseconds. Above the last one is `+Inf`.
pub(super) type Bounds = &'static [u64];

pub(super) const MILLIS: u64 = 1_000_000;

/// Buckets of the semantic conventions for a whole request, 5 ms to 10 s.
pub(super) const REQUEST_BOUNDS: Bounds = &[
    5 * MILLIS,
    10 * MILLIS,
    25 * MILLIS,
    50 * MILLIS,
    75 * MILLIS,
    100 * MILLIS,
    250 * MILLIS,
    500 * MILLIS,
    750 * MILLIS,
    1_000 * MILLIS,
    2_500 * MILLIS,
    5_000 * MILLIS,
    7_500 * MILLIS,
    10_000 * MILLIS,
];

/// A histogram of durations.
pub(super) struct Histogram {
    bounds: Bounds,
    buckets: Box<[Bucket]>,
    sum_ticks: AtomicU64,
}

#[derive(Default)]
struct Bucket {
    count: AtomicU64,
    /// When the exemplar was taken, in nanoseconds since the epoch; 0 before the first.
    exemplar_at: AtomicU64,
    exemplar: Mutex<Option<Exemplar>>,
}

/// A histogram's numbers at one moment.
pub(super) struct Snapshot {
    pub(super) buckets: Vec<BucketSnapshot>,
    pub(super) sum_seconds: f64,
}

/// One bucket's own count (not cumulative).
pub(super) struct BucketSnapshot {
    pub(super) upper_seconds: f64,
    pub(super) count: u64,
    pub(super) exemplar: Option<Exemplar>,
}

impl Histogram {
    /// Nothing observed yet.
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| Bucket::default()).collect(),
            sum_ticks: AtomicU64::new(0),
        }
    }

    /// Counts one duration, which ended at `at`.
    pub(super) fn observe(&self, value: Duration, at: Timestamp, ids: Option<ExemplarIds>) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let index = self.bounds.partition_point(|bound| *bound < nanos);
        let Some(bucket) = self.buckets.get(index) else {
            return;
        };
        bucket.count.fetch_add(1, Ordering::Relaxed);
        let ticks = nanos.saturating_add(NANOS_A_TICK / 2) / NANOS_A_TICK;
        self.sum_ticks.fetch_add(ticks, Ordering::Relaxed);
        if let Some(ids) = ids {
            bucket.offer(value, at, ids);
        }
    }

    /// The numbers now. Count is the sum of the buckets, so that the two agree on every page;
    /// the sum may be one observation ahead or behind.
    pub(super) fn snapshot(&self) -> Snapshot {
        let bounds = self
            .bounds
            .iter()
            .map(|nanos| Duration::from_nanos(*nanos).as_secs_f64());
        let buckets = bounds
            .chain([f64::INFINITY])
            .zip(&self.buckets)
            .map(|(upper_seconds, bucket)| BucketSnapshot {
                upper_seconds,
                count: bucket.count.load(Ordering::Relaxed),
                exemplar: bucket.exemplar.lock().map_or(None, |held| *held),
            })
            .collect();
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact below 28 years of duration"
        )]
        let ticks = self.sum_ticks.load(Ordering::Relaxed) as f64;
        Snapshot {
            buckets,
            sum_seconds: ticks / TICKS_A_SECOND,
        }
    }
}

impl Bucket {
    /// Keeps this exemplar if the one held is old and nobody is at it just now.
    fn offer(&self, value: Duration, at: Timestamp, ids: ExemplarIds) {
        let held_at = Timestamp::from_unix_nanos(self.exemplar_at.load(Ordering::Relaxed));
        if at.since(held_at) < EXEMPLAR_AGE_MIN {
            return;
        }
        if let Ok(mut held) = self.exemplar.try_lock() {
            *held = Some(Exemplar {
                trace_id: ids.trace_id,
                span_id: ids.span_id,
                seconds: value.as_secs_f64(),
                at,
            });
            self.exemplar_at
                .store(at.as_unix_nanos(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = &[5_000_000, 10_000_000, 1_000_000_000];

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_nanos(millis * 1_000_000)
    }

    fn ids(trace: u128) -> Option<ExemplarIds> {
        Some(ExemplarIds {
            trace_id: TraceId::from(trace),
            span_id: SpanId::from(7_u64),
        })
    }

    fn counts(histogram: &Histogram) -> Vec<u64> {
        histogram
            .snapshot()
            .buckets
            .iter()
            .map(|bucket| bucket.count)
            .collect()
    }

    #[track_caller]
    fn check(micros: u64, expected: [u64; 4]) {
        let histogram = Histogram::new(BOUNDS);
        histogram.observe(Duration::from_micros(micros), at(0), None);
        assert_eq!(counts(&histogram), expected, "{micros} µs");
    }

    #[test]
    fn a_bucket_takes_its_upper_bound_in() {
        check(0, [1, 0, 0, 0]);
        check(5_000, [1, 0, 0, 0]);
        check(5_001, [0, 1, 0, 0]);
        check(1_000_000, [0, 0, 1, 0]);
        check(1_000_001, [0, 0, 0, 1]);
        check(u64::MAX / 1_000_000, [0, 0, 0, 1]);
    }

    #[test]
    fn a_hundred_thousand_observations_are_counted_and_summed_exactly() {
        let histogram = Histogram::new(BOUNDS);

        std::thread::scope(|scope| {
            for part in 0..4_u64 {
                let histogram = &histogram;
                scope.spawn(move || {
                    for index in (part..100_000).step_by(4) {
                        let value = Duration::from_micros(index * 12 % 1_200_000);
                        histogram.observe(value, at(index), ids(1 + u128::from(index)));
                    }
                });
            }
        });

        // 0, 12, 24 … 1,199,988 µs, each once
        assert_eq!(counts(&histogram), [417, 417, 82_500, 16_666]);
        let expected_seconds = 12e-6 * (99_999.0 * 100_000.0 / 2.0);
        let sum = histogram.snapshot().sum_seconds;
        assert!((sum - expected_seconds).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn sums_of_very_short_durations_do_not_drift() {
        let histogram = Histogram::new(BOUNDS);
        for nanos in 0..1_000 {
            histogram.observe(Duration::from_nanos(nanos), at(0), None);
        }
        let sum = histogram.snapshot().sum_seconds;
        assert!((sum - 499.5e-6).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn an_exemplar_stays_until_it_is_old_enough() {
        let histogram = Histogram::new(BOUNDS);
        let value = Duration::from_millis(7);
        let held = || {
            histogram.snapshot().buckets[1]
                .exemplar
                .map(|held| held.trace_id)
        };

        histogram.observe(value, at(1_000), ids(1));
        histogram.observe(value, at(1_050), ids(2));
        assert_eq!(held(), Some(TraceId::from(1)));

        histogram.observe(value, at(1_100), None);
        assert_eq!(held(), Some(TraceId::from(1)));

        histogram.observe(value, at(1_100), ids(3));
        assert_eq!(held(), Some(TraceId::from(3)));
        assert!(histogram.snapshot().buckets[0].exemplar.is_none());
    }
}
