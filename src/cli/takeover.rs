//! `run --takeover SOCKET`: the listening sockets come from the process that runs, and go to the
//! one that comes.

use super::failure::{ExitStatus, Failure};
use crate::app::{HandoverSocket, Inherited, Predecessor, take_over};
use std::path::Path;
use tracing::{error, info, warn};

/// What there was to take over.
pub(super) struct Taken {
    /// Who serves until we do.
    pub(super) predecessor: Option<Predecessor>,
    pub(super) inherited: Inherited,
    /// Where our successor will ask; later, if there is a predecessor.
    pub(super) handover: Option<HandoverSocket>,
}

impl Taken {
    /// Asks whoever is at `path` for its sockets; `inherited` has the service manager's.
    pub(super) async fn begin(
        path: Option<&Path>,
        mut inherited: Inherited,
    ) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self {
                predecessor: None,
                inherited,
                handover: None,
            });
        };
        let taken = take_over(path).await.map_err(|error| {
            Failure::new(ExitStatus::Failed, "nothing was taken over").because(error)
        })?;
        if let Some((predecessor, handed)) = taken {
            inherited.join(handed);
            return Ok(Self {
                predecessor: Some(predecessor),
                inherited,
                handover: None,
            });
        }
        let handover = HandoverSocket::bind(path).map_err(|error| {
            let what = format!("cannot listen for a successor at {}", path.display());
            Failure::new(ExitStatus::Failed, what).because(error)
        })?;
        Ok(Self {
            predecessor: None,
            inherited,
            handover: Some(handover),
        })
    }
}

/// Tells the predecessor that we serve, and takes its place where successors ask.
pub(super) async fn succeed(predecessor: Predecessor, path: &Path) -> Option<HandoverSocket> {
    match predecessor.told_that_we_serve().await {
        Ok(()) => info!("took over from the process before, which drains now"),
        Err(error) => warn!(%error, "took over from the process before, which may serve on"),
    }
    match HandoverSocket::bind(path) {
        Ok(socket) => Some(socket),
        Err(error) => {
            let path = path.display();
            error!(%path, %error, "nobody will be able to take over from this process");
            None
        }
    }
}
