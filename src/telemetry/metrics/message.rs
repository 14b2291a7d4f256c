//! What was done to messages: answers compressed, requests copied for a shadow.

use super::exposition::{Exposition, Family, Kind};
use super::series::{SeriesTable, hash_labels};
use std::sync::atomic::{AtomicU64, Ordering};

/// Algorithms are words in the source.
const ALGORITHMS_MAX: usize = 8;

/// What became of a copy for a shadow upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorOutcome {
    /// The shadow answered, whatever the status.
    Answered,
    /// No connection, or one that broke.
    Failed,
    /// It took too long.
    Timeout,
    /// Not made: as many as may be are in flight.
    Busy,
    /// Not made: its body is larger than is kept.
    BodyTooLarge,
    /// Not made: the client broke its body off.
    BodyBroken,
}

impl MirrorOutcome {
    const ALL: [Self; 6] = [
        Self::Answered,
        Self::Failed,
        Self::Timeout,
        Self::Busy,
        Self::BodyTooLarge,
        Self::BodyBroken,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyBroken => "body_broken",
        }
    }
}

/// Reads one number of an algorithm.
type Count = fn(&Algorithm) -> &AtomicU64;

#[derive(Default)]
struct Algorithm {
    name: &'static str,
    responses: AtomicU64,
    before: AtomicU64,
    after: AtomicU64,
}

pub(super) struct MessageMetrics {
    algorithms: SeriesTable<Algorithm>,
    compression_refused: AtomicU64,
    mirrored: [(MirrorOutcome, AtomicU64); 6],
}

impl Default for MessageMetrics {
    fn default() -> Self {
        Self {
            algorithms: SeriesTable::new(ALGORITHMS_MAX),
            compression_refused: AtomicU64::new(0),
            mirrored: MirrorOutcome::ALL.map(|outcome| (outcome, AtomicU64::new(0))),
        }
    }
}

impl MessageMetrics {
    pub(super) fn compressed(&self, algorithm: &'static str, before: u64, after: u64) {
        let made = || Algorithm {
            name: algorithm,
            ..Algorithm::default()
        };
        let hash = hash_labels(algorithm);
        let is = |held: &Algorithm| held.name == algorithm;
        if let Some(counts) = self.algorithms.find_or_insert(hash, is, made) {
            counts.responses.fetch_add(1, Ordering::Relaxed);
            counts.before.fetch_add(before, Ordering::Relaxed);
            counts.after.fetch_add(after, Ordering::Relaxed);
        }
    }

    pub(super) fn compression_refused(&self) {
        self.compression_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn mirrored(&self, outcome: MirrorOutcome) {
        for (held, count) in &self.mirrored {
            if *held == outcome {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        let families: [(&str, &str, Count); 3] = [
            (
                "edgespan_compressed_responses",
                "Answers that were compressed.",
                |counts| &counts.responses,
            ),
            (
                "edgespan_compression_original_bytes",
                "Bytes of compressed answers, before.",
                |counts| &counts.before,
            ),
            (
                "edgespan_compression_sent_bytes",
                "Bytes of compressed answers, after.",
                |counts| &counts.after,
            ),
        ];
        for (name, help, count) in families {
            let kind = Kind::Counter;
            page.family(Family { name, kind, help });
            for one in self.algorithms.iter() {
                let value = count(one).load(Ordering::Relaxed);
                page.sample(&[("algorithm", one.name)], value);
            }
        }
        page.family(Family {
            name: "edgespan_compression_refused",
            kind: Kind::Counter,
            help: "Answers that went as they are because too many were being compressed.",
        });
        page.sample(&[], self.compression_refused.load(Ordering::Relaxed));
        page.family(Family {
            name: "edgespan_mirrored_requests",
            kind: Kind::Counter,
            help: "Copies of requests for a shadow upstream, and those not made.",
        });
        for (outcome, count) in &self.mirrored {
            let outcome = [("outcome", outcome.name())];
            page.sample(&outcome, count.load(Ordering::Relaxed));
        }
    }
}
