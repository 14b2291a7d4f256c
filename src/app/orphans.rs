//! The first process of a container is the parent of every orphan in it, and has to see it off:
//! otherwise each stays as a zombie.

use rustix::process::{WaitOptions, getpid, wait};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{debug, warn};

/// Sees orphans off for as long as it runs, if this is process 1; else it ends at once.
pub async fn see_off_orphans() {
    if !getpid().is_init() {
        return;
    }
    let mut ended = match signal(SignalKind::child()) {
        Ok(ended) => ended,
        Err(error) => {
            warn!(%error, "orphans stay as zombies");
            return;
        }
    };
    loop {
        // One signal may stand for several of them.
        while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
            debug!(pid = pid.as_raw_nonzero().get(), "an orphan has ended");
        }
        if ended.recv().await.is_none() {
            return;
        }
    }
}
