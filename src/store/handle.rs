//! The store in force, for whoever asks it later: a reload may turn it off, on, or resize it.

use super::TraceStore;
use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// The store at the moment of the call, or none. Clones are the same place.
#[derive(Clone, Default)]
pub struct StoreInForce(Arc<ArcSwapOption<TraceStore>>);

impl StoreInForce {
    /// With this store, or with none.
    pub fn new(store: Option<TraceStore>) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(store)))
    }

    /// The store, unless it is off.
    pub fn load(&self) -> Option<TraceStore> {
        self.0.load().as_deref().cloned()
    }

    /// From here on this is the store.
    pub fn replace(&self, store: Option<TraceStore>) {
        self.0.store(store.map(Arc::new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{StoreSettings, Taken};
    use opentelemetry::trace::TraceId;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

    fn group(trace: u128) -> ResourceSpans {
        ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![Span {
                    trace_id: trace.to_be_bytes().to_vec(),
                    span_id: vec![1; 8],
                    // Equal texts would be kept once.
                    name: format!("{trace:x>10000}"),
                    ..Span::default()
                }],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }
    }

    #[test]
    fn a_smaller_bound_sends_the_oldest_away_and_a_larger_one_nobody() {
        let settings = |bytes_max| StoreSettings { bytes_max };
        let store = TraceStore::new(&settings(8 << 20));
        let groups = (1..=400).map(group).collect();
        assert_eq!(store.take(groups).taken, 400);

        store.resize(&settings(1 << 20));

        let stats = store.stats();
        assert_eq!(stats.bytes_max, 1 << 20);
        assert!(stats.bytes <= 1 << 20, "{stats:?}");
        assert_eq!(stats.traces + stats.evicted_traces, 400);
        assert!(store.trace(TraceId::from(1)).is_none());
        store.resize(&settings(8 << 20));
        let taken = store.take((401..=500).map(group).collect());
        assert_eq!(
            taken,
            Taken {
                taken: 100,
                refused: 0
            }
        );
        assert_eq!(store.stats().traces, stats.traces + 100);
    }

    #[test]
    fn whoever_holds_the_handle_sees_the_store_in_force() {
        let handle = StoreInForce::default();
        let other = handle.clone();
        assert!(other.load().is_none());

        handle.replace(Some(TraceStore::new(&StoreSettings::default())));
        assert!(other.load().is_some());
        handle.replace(None);
        assert!(other.load().is_none());
    }
}
