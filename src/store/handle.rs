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
