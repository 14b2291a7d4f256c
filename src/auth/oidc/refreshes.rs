//! Where sessions were renewed last: requests that waited for it, or came a moment later with the
//! old cookie, are tied to the span under which it was done.

use crate::auth::cache::Origin;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Most renewals that are remembered; the oldest gives way. Without one a link is missing.
const ENTRIES_MAX: usize = 1_024;

/// The last renewals of this process.
#[derive(Debug, Default)]
pub struct Refreshes(Mutex<VecDeque<(Arc<str>, Origin)>>);

impl Refreshes {
    /// This session was renewed there.
    pub(super) fn done(&self, session: &Arc<str>, origin: Origin) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(own, _)| own != session);
        if held.len() >= ENTRIES_MAX {
            held.pop_front();
        }
        held.push_back((Arc::clone(session), origin));
    }

    /// Where this session was renewed.
    pub(super) fn find(&self, session: &str) -> Option<Origin> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = held.iter().rev().filter(|(own, _)| **own == *session);
        found.next().map(|(_, origin)| *origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanId, TraceId};

    fn origin(number: u64) -> Origin {
        Origin {
            trace_id: TraceId::from(1),
            span_id: SpanId::from(number),
        }
    }

    #[test]
    fn the_last_renewal_of_a_session_counts_and_old_ones_give_way() {
        let refreshes = Refreshes::default();
        let id = |number: u64| Arc::from(number.to_string());
        for number in 0..=ENTRIES_MAX as u64 {
            refreshes.done(&id(number), origin(number + 1));
        }
        refreshes.done(&id(7), origin(70));

        let found = |session: &str| refreshes.find(session).map(|origin| origin.span_id);
        assert_eq!(found("0"), None);
        assert_eq!(found("1"), Some(SpanId::from(2)));
        assert_eq!(found("7"), Some(SpanId::from(70)));
        assert_eq!(found("none"), None);
    }
}
