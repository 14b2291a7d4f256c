//! The accept loop. It does not die.

use crate::telemetry::metrics::Metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// First pause after a failed accept; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// Longest pause after a failed accept.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Takes a connection that was accepted. Has to return at once.
pub trait TakeConnection {
    /// Dropping the permit makes room for the next connection.
    fn take(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit);
}

/// Runs until the permits are closed; the caller races it with the drain signal.
pub async fn accept_loop(
    listener: &TcpListener,
    name: &Arc<str>,
    permits: Arc<Semaphore>,
    metrics: &Metrics,
    take: impl TakeConnection,
) {
    let mut backoff = BACKOFF_MIN;
    // The permit comes first: at the limit the kernel's backlog waits, not our memory.
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                backoff = BACKOFF_MIN;
                take.take(stream, peer, permit);
            }
            // EMFILE and ECONNABORTED pass. A proxy that stops accepting does not recover.
            Err(error) => {
                metrics.accept_error(name);
                warn!(listener = %name, %error, "accept failed; trying again");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}
