//! The keys that session tickets are sealed with.

use super::ClientAuth;
use super::contents::Digest;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;
use std::sync::{Arc, Mutex, PoisonError};

/// Policies whose keys are kept. A reload leaves the old one behind, and it goes when there are as
/// many newer ones: then sessions under it begin anew.
const POLICIES_MAX: usize = 64;

/// Ticket keys by what was trusted when the tickets were made. Shared by all listeners, and kept
/// over reloads.
#[derive(Default)]
pub struct Tickets(Mutex<Vec<Keys>>);

struct Keys {
    trusted: Digest,
    client: Option<ClientAuth>,
    ticketer: Arc<dyn ProducesTickets>,
}

impl Tickets {
    /// No keys yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The keys for listeners that trust these clients. They change every six hours, and a ticket
    /// is good for twelve.
    pub(super) fn of(
        &self,
        trusted: Digest,
        client: Option<&ClientAuth>,
    ) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |keys: &&Keys| keys.trusted == trusted && keys.client.as_ref() == client;
        if let Some(keys) = kept.iter().find(same) {
            return Ok(Arc::clone(&keys.ticketer));
        }
        let ticketer = Ticketer::new()?;
        if kept.len() == POLICIES_MAX {
            kept.remove(0);
        }
        kept.push(Keys {
            trusted,
            client: client.cloned(),
            ticketer: Arc::clone(&ticketer),
        });
        Ok(ticketer)
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}
