//! Upstreams that are reached in memory: a request can be run without anything being sent.

use super::EndpointAddress;
use std::sync::Arc;
use tokio::io::DuplexStream;

/// How much one side of a connection in memory may be ahead of the other, in bytes.
const PIPE_BYTES: usize = 64 * 1024;

type Take = dyn Fn(&EndpointAddress, DuplexStream) + Send + Sync;

/// Takes the other end of each connection that would have been made.
#[derive(Clone)]
pub struct Rehearsal(Arc<Take>);

impl Rehearsal {
    /// `take` gets whom the connection is for, and its other end.
    pub fn new(take: impl Fn(&EndpointAddress, DuplexStream) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// One more connection.
    pub(super) fn connect(&self, address: &EndpointAddress) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        (self.0)(address, theirs);
        ours
    }
}

impl PartialEq for Rehearsal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsal").finish_non_exhaustive()
    }
}
