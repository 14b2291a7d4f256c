//! What the log says of faults that repeat: the first at once, then once a minute, with a count.

use crate::clock;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a fault that was told is only counted.
const QUIET: Duration = Duration::from_mins(1);

/// One kind of fault. Each kind has its own, so that a flood of one hides no other.
#[derive(Debug, Default)]
pub(super) struct FaultLog(Mutex<Told>);

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    last: Option<Instant>,
    times: u64,
    spans: u64,
}

/// What to say now, this fault included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since {
    /// How often it happened since it was last told.
    pub(super) times: u64,
    /// How many spans it concerned.
    pub(super) spans: u64,
}

impl FaultLog {
    /// Notes a fault. Something only if it is to be told now.
    pub(super) fn note(&self, spans: u64) -> Option<Since> {
        let now = clock::instant();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.times += 1;
        told.spans = told.spans.saturating_add(spans);
        if told
            .last
            .is_some_and(|last| now.duration_since(last) < QUIET)
        {
            return None;
        }
        let since = Since {
            times: told.times,
            spans: told.spans,
        };
        *told = Told {
            last: Some(now),
            ..Told::default()
        };
        Some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_repeating_fault_is_told_once_and_then_counted_by_the_minute() {
        let log = FaultLog::default();

        let first = log.note(5);
        let soon: Vec<_> = (0..9).map(|_| log.note(2)).collect();
        tokio::time::advance(QUIET).await;
        let later = log.note(1);

        assert_eq!(first, Some(Since { times: 1, spans: 5 }));
        assert_eq!(soon, [None; 9]);
        assert_eq!(
            later,
            Some(Since {
                times: 10,
                spans: 19
            })
        );
    }
}
