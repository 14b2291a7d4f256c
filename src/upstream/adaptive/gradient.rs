//! The rule by which the limit moves. Holds no clock and counts nobody, so that it is tested by
//! simulation.

use std::time::Duration;
use tokio::time::Instant;

/// The limit at the beginning: enough for most, and quickly brought down.
const START: usize = 100;
/// A window lasts at least this long while the limit moves ...
const WINDOW: Duration = Duration::from_millis(100);
/// ... and this many times what an answer takes ...
const WINDOW_ANSWERS: f64 = 3.0;
/// ... and has at least so many answers ...
const SAMPLES_MIN: usize = 10;
/// ... or so many at rest, where what is found is kept for long.
const SAMPLES_MIN_AT_REST: usize = 25;
/// Answers of a window that are looked at; more would change nothing.
const SAMPLES_MAX: usize = 256;
/// How much slower than at rest is no queue yet.
const TOLERANCE: f64 = 1.5;
/// Time between two measurements at rest while the limit is in use, at least. Also at least
/// [`REST_EVERY_ANSWERS`] times what an answer takes, so that they cost a slow upstream no more.
const REST_EVERY: Duration = Duration::from_secs(10);
const REST_EVERY_ANSWERS: u32 = 60;
/// The first measurement comes sooner: nothing is known yet.
const FIRST_REST: Duration = Duration::from_millis(500);
/// Two measurements that differ by no more than this share say the same.
const ALIKE: f64 = 0.25;
/// How far the time at rest goes along with a window that was quicker.
const FOLLOW_DOWN: f64 = 0.1;
/// How far it goes along with a slower one while the limit is not in use.
const FOLLOW_UP: f64 = 0.02;

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
    /// Answers to requests of an earlier epoch are from before the limit moved.
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
        if self.is_open(now) {
            return None;
        }
        let seconds = self.median();
        match self.phase {
            Phase::AtRest { before } => self.rested(seconds, before, now),
            Phase::Moving { rest_at } => self.moved(seconds, rest_at, now),
        }
        // What came before saw another limit. So there is one step each time that answers take,
        // and none is taken twice for the same queue.
        self.epoch = self.epoch.wrapping_add(1);
        self.samples.clear();
        self.began = now;
        (self.peak, self.refused) = (0, false);
        Some(self.limit())
    }

    /// Whether the window is too short yet. The first answers are those of the quickest requests,
    /// so it lasts some times what a request takes.
    fn is_open(&self, now: Instant) -> bool {
        let (least, samples) = match self.phase {
            Phase::AtRest { .. } => (0.0, SAMPLES_MIN_AT_REST),
            Phase::Moving { .. } => (WINDOW.as_secs_f64(), SAMPLES_MIN),
        };
        let lasted = now.saturating_duration_since(self.began).as_secs_f64();
        let mean = self.samples.iter().sum::<f64>() / to_float(self.samples.len());
        self.samples.len() < samples || lasted < least || lasted < mean * WINDOW_ANSWERS
    }

    fn rested(&mut self, seconds: f64, before: f64, now: Instant) {
        let known = self.at_rest;
        let sure = known.is_some_and(|known| (seconds - known).abs() <= known * ALIKE);
        // Two that say the same are better together than each alone.
        let both = known.map_or(seconds, |known| f64::midpoint(known, seconds));
        self.at_rest = Some(if sure { both } else { seconds });
        if !sure && before > 1.0 {
            // Quicker: there was a queue, perhaps there still is. Slower: a queue, or an upstream
            // that has become slower. Half as many once more will tell.
            self.rest(self.limit);
            return;
        }
        self.limit = before;
        let pause = Duration::from_secs_f64(seconds.min(60.0)) * REST_EVERY_ANSWERS;
        self.phase = Phase::Moving {
            rest_at: now + pause.max(REST_EVERY),
        };
    }

    /// Halves the limit, until there are answers to requests that came from then on.
    fn rest(&mut self, before: f64) {
        self.limit = (before / 2.0).max(1.0);
        self.phase = Phase::AtRest { before };
    }

    fn moved(&mut self, seconds: f64, rest_at: Instant, now: Instant) {
        let in_use = self.refused;
        let known = self.at_rest.unwrap_or(seconds);
        // Slower because of a queue is no news. Quicker is, but one quick window may be chance.
        let follow = match (seconds < known, in_use) {
            (true, _) => FOLLOW_DOWN,
            (false, false) => FOLLOW_UP,
            (false, true) => 0.0,
        };
        let at_rest = f64::mul_add(follow, seconds - known, known);
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
