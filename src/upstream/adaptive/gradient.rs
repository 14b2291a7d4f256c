//! The rule by which the limit moves. Holds no clock and counts nobody, so that it is tested by
//! simulation.

use std::time::Duration;
use tokio::time::Instant;

/// The limit at the beginning: enough for most, and quickly brought down.
const START: usize = 100;
/// A window lasts at least this long ...
const WINDOW: Duration = Duration::from_millis(100);
/// ... and has at least so many answers.
const SAMPLES_MIN: usize = 10;
/// Answers of a window that are looked at; more would change nothing.
const SAMPLES_MAX: usize = 256;
/// How much slower than at rest is no queue yet.
const TOLERANCE: f64 = 1.25;
/// Time between two measurements at rest while the limit is in use, at least. Also at least
/// [`REST_EVERY_ANSWERS`] times what an answer takes, so that they cost a slow upstream no more.
const REST_EVERY: Duration = Duration::from_secs(10);
const REST_EVERY_ANSWERS: u32 = 60;
/// The first measurement comes sooner: nothing is known yet.
const FIRST_REST: Duration = Duration::from_millis(500);
/// A measurement this much quicker than the one before it is not at rest yet: once more.
const STILL_DRAINING: f64 = 0.9;
/// How quickly the time at rest follows a slower upstream while the limit is not in use.
const FOLLOW: f64 = 0.02;

/// Where the limit is and why.
#[derive(Debug)]
pub(super) struct Gradient {
    /// With a fraction, so that small steps add up.
    limit: f64,
    most: f64,
    /// Seconds that an answer takes at rest, as far as is known.
    at_rest: Option<f64>,
    /// Seconds of the answers of this window.
    samples: Vec<f64>,
    began: Instant,
    /// Most requests at a time in this window.
    peak: usize,
    /// Whether any was refused in this window.
    refused: bool,
    phase: Phase,
    /// Answers to requests of an earlier epoch are from before the limit was halved.
    epoch: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The limit moves.
    Moving {
        /// When to measure at rest, if the limit is in use by then.
        rest_at: Instant,
    },
    /// The limit is halved; this is what it was.
    AtRest { before: f64 },
}

impl Gradient {
    pub(super) fn new(most: usize, now: Instant) -> Self {
        let most = to_float(most);
        Self {
            limit: to_float(START).min(most),
            most,
            at_rest: None,
            samples: Vec::with_capacity(SAMPLES_MAX),
            began: now,
            peak: 0,
            refused: false,
            phase: Phase::Moving {
                rest_at: now + FIRST_REST,
            },
            epoch: 0,
        }
    }

    /// At least one.
    pub(super) fn limit(&self) -> usize {
        to_count(self.limit)
    }

    /// A request has come, the `in_flight`th. Gives the epoch.
    pub(super) fn entered(&mut self, in_flight: usize, admitted: bool) -> u32 {
        self.peak = self.peak.max(in_flight);
        self.refused |= !admitted;
        self.epoch
    }

    /// A request that came in `epoch` has its answer. Gives the limit if it has changed.
    pub(super) fn answered(&mut self, took: Duration, epoch: u32, now: Instant) -> Option<usize> {
        if epoch != self.epoch {
            return None;
        }
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(took.as_secs_f64());
        }
        let enough = self.samples.len() >= SAMPLES_MIN;
        if !enough || now.saturating_duration_since(self.began) < self.window() {
            return None;
        }
        let seconds = self.median();
        match self.phase {
            Phase::AtRest { before } => self.rested(seconds, before, now),
            Phase::Moving { rest_at } => self.moved(seconds, rest_at, now),
        }
        self.samples.clear();
        self.began = now;
        (self.peak, self.refused) = (0, false);
        Some(self.limit())
    }

    /// At rest the window need not last: the queue is gone once there are answers.
    const fn window(&self) -> Duration {
        match self.phase {
            Phase::AtRest { .. } => Duration::ZERO,
            Phase::Moving { .. } => WINDOW,
        }
    }

    fn rested(&mut self, seconds: f64, before: f64, now: Instant) {
        let known = self.at_rest.replace(seconds);
        if known.is_some_and(|known| seconds < known * STILL_DRAINING) {
            // Half as many were quicker by much: there was still a queue.
            self.rest(before / 2.0);
            return;
        }
        self.limit = before;
        self.epoch = self.epoch.wrapping_add(1);
        let pause = Duration::from_secs_f64(seconds.min(60.0)) * REST_EVERY_ANSWERS;
        self.phase = Phase::Moving {
            rest_at: now + pause.max(REST_EVERY),
        };
    }

    /// Halves the limit, until there are answers to requests that came from then on.
    fn rest(&mut self, before: f64) {
        let before = before.max(1.0);
        self.limit = (before / 2.0).max(1.0);
        self.epoch = self.epoch.wrapping_add(1);
        self.phase = Phase::AtRest { before };
    }

    fn moved(&mut self, seconds: f64, rest_at: Instant, now: Instant) {
        let in_use = self.refused;
        let known = self.at_rest.unwrap_or(seconds);
        let at_rest = if seconds < known {
            seconds
        } else if in_use {
            known
        } else {
            FOLLOW.mul_add(seconds - known, known)
        };
        self.at_rest = Some(at_rest);
        let gradient = (TOLERANCE * at_rest / seconds.max(1e-9)).clamp(0.5, 1.0);
        let next = self.limit.mul_add(gradient, self.limit.sqrt());
        // What is not used says nothing of what would happen if it were.
        let wanted = in_use || to_float(self.peak) > self.limit / 2.0;
        if next < self.limit || wanted {
            self.limit = next.clamp(1.0, self.most);
        }
        if in_use && now >= rest_at {
            self.rest(self.limit);
        }
    }

    fn median(&mut self) -> f64 {
        let middle = self.samples.len() / 2;
        let (_, median, _) = self.samples.select_nth_unstable_by(middle, f64::total_cmp);
        *median
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
const fn to_float(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float saturates, and limits are between one and what was a count"
)]
const fn to_count(limit: f64) -> usize {
    limit.max(1.0) as usize
}
