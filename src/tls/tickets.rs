//! The keys that session tickets are sealed with.

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by all listeners that ask clients for no certificate, and kept over reloads. A ticket
/// says who its client is: one that shows a certificate gets none, because it would go on being
/// whom the ticket names when it has another certificate, and be turned away when the old one ends.
#[derive(Default)]
pub struct Tickets(Mutex<Option<Arc<dyn ProducesTickets>>>);

impl Tickets {
    /// No keys yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The keys. They change every six hours, and a ticket is good for twelve.
    pub(super) fn keys(&self) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = match &*kept {
            Some(keys) => Arc::clone(keys),
            None => Arc::clone(kept.insert(Ticketer::new()?)),
        };
        Ok(keys)
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}
