//! What is given to a browser and nobody but us may read or change: sealed by a ring of keys.

use crate::secret::Secret;

/// What something was sealed for. Nothing that was sealed for one purpose opens for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A login that began.
    Flow,
    /// A session.
    Session,
    /// The trace context of a request that is repeated after its login.
    Ticket,
    /// The provider that was chosen last.
    Choice,
}

/// Seals and opens. The first key seals, every key opens.
pub struct Sealer {
    keys: Vec<Secret>,
}

impl Sealer {
    /// With these keys, the newest first; each is 32 bytes. None: one that is made now and lasts
    /// as long as the process.
    pub const fn new(keys: Vec<Secret>) -> Self {
        Self { keys }
    }

    /// Whether its keys came from the file, so that others open what it seals.
    pub const fn is_lasting(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Seals; what comes out fits into a cookie or a URL. `bound` has to be told again to open it.
    pub fn seal(&self, _purpose: Purpose, _bound: &str, _plain: &[u8]) -> String {
        String::new()
    }

    /// Opens; None if it was sealed by nobody of ours, for something else, or was changed.
    pub fn open(&self, _purpose: Purpose, _bound: &str, _sealed: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
