//! The rule by which the limit moves. Holds no clock and counts nobody, so that it is tested by
//! simulation.

use std::time::Duration;
use tokio::time::Instant;

/// The limit at the beginning. It doubles until the first queue is seen.
const START: usize = 20;
/// A window lasts at least this long while the limit moves ...
const WINDOW: Duration = Duration::from_millis(100);
/// ... and has at least so many answers.
const SAMPLES_MIN: usize = 10;
/// At rest it lasts this many times what an answer takes, because the first answers are those of
/// the quickest requests ...
const REST_ANSWERS: f64 = 2.0;
/// ... and has some answers for each request at a time, up to this, because what is found is kept
/// for long.
const SAMPLES_AT_REST: usize = 25;
/// Answers at rest for each request at a time: of few at a time many would take long.
const SAMPLES_EACH: usize = 4;
/// Answers of a window that are looked at; more would change nothing.
const SAMPLES_MAX: usize = 256;
/// How much slower than at rest is no queue yet.
const TOLERANCE: f64 = 1.5;
/// Time between two measurements at rest while the limit is in use, at least. Also at least
/// [`REST_EVERY_ANSWERS`] times what an answer takes, so that they cost a slow upstream no more.
const REST_EVERY: Duration = Duration::from_secs(10);
const REST_EVERY_ANSWERS: u32 = 60;
/// The first measurement comes sooner: little is known yet.
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
    /// Whether no queue has been seen yet.
    doubles: bool,
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
    /// The limit is halved; this is what it was, and whether it was that for the first time.
    AtRest { before: f64, first: bool },
}

impl Gradient {
    pub(super) fn new(most: usize, now: Instant) -> Self {
        let most = to_float(most);
        Self {
            limit: to_float(START).min(most),
            most,
            doubles: true,
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
            Phase::AtRest { before, first } => self.rested(seconds, before, first, now),
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

    /// The client of a request that came in `epoch` has gone after this time. It tells something if
    /// that was longer than an answer takes.
    pub(super) fn abandoned(&mut self, took: Duration, epoch: u32, now: Instant) -> Option<usize> {
        let longer = |at_rest| took.as_secs_f64() > at_rest;
        if self.at_rest.is_none_or(longer) {
            self.answered(took, epoch, now)
        } else {
            None
        }
    }

    /// Whether the window is too short yet.
    fn is_open(&self, now: Instant) -> bool {
        let lasted = now.saturating_duration_since(self.began).as_secs_f64();
        let count = self.samples.len();
        match self.phase {
            Phase::AtRest { .. } => {
                let mean = self.samples.iter().sum::<f64>() / to_float(count);
                let enough = self.limit().saturating_mul(SAMPLES_EACH);
                let enough = enough.clamp(SAMPLES_MIN, SAMPLES_AT_REST);
                count < enough || lasted < mean * REST_ANSWERS
            }
            Phase::Moving { .. } => count < SAMPLES_MIN || lasted < WINDOW.as_secs_f64(),
        }
    }

    fn rested(&mut self, seconds: f64, before: f64, first: bool, now: Instant) {
        let known = self.at_rest.unwrap_or(seconds);
        // Quicker: there was a queue, and perhaps there still is. Slower: a queue, or an upstream
        // that has become slower. Half as many once more will tell.
        let quicker = seconds < known * (1.0 - ALIKE);
        let slower = first && seconds > known * (1.0 + ALIKE);
        if before > 1.0 && (quicker || slower) {
            self.at_rest = Some(seconds);
            self.rest(self.limit, false);
            return;
        }
        // Two that say the same are better together than each alone.
        self.at_rest = Some(f64::midpoint(known, seconds));
        self.limit = before;
        let pause = Duration::from_secs_f64(seconds.min(60.0)) * REST_EVERY_ANSWERS;
        self.phase = Phase::Moving {
            rest_at: now + pause.max(REST_EVERY),
        };
    }

    /// Halves the limit, until there are answers to requests that came from then on.
    fn rest(&mut self, before: f64, first: bool) {
        self.limit = (before / 2.0).max(1.0);
        self.phase = Phase::AtRest { before, first };
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
        self.doubles &= gradient >= 1.0;
        let next = if self.doubles {
            self.limit * 2.0
        } else {
            self.limit.mul_add(gradient, self.limit.sqrt())
        };
        // What is not used says nothing of what would happen if it were.
        let wanted = in_use || to_float(self.peak) > self.limit / 2.0;
        if next < self.limit || wanted {
            self.limit = next.clamp(1.0, self.most);
        }
        if in_use && now >= rest_at {
            self.rest(self.limit, true);
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
