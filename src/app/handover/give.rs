//! The side that holds the sockets.

use super::frame::{receive, send};
use super::{ANSWER_MAX, Door, Message, READY_MAX, SOCKETS_MAX, VERSION, is_one_of_us, within};
use super::{only, unexpected};
use crate::app::Running;
use crate::app::inherited::{Heirloom, HeirloomDoor};
use std::fs::{Metadata, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

/// Pause after a failed `accept`, or a visitor that is none of ours.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a successor asks for our sockets. Dropping it takes the file away, unless it is somebody
/// else's by then.
pub struct HandoverSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of our file.
    place: Option<(u64, u64)>,
}

/// Who asks for our sockets.
pub struct Successor(UnixStream);

impl HandoverSocket {
    /// Listens at this path, and takes it over from whoever had it.
    ///
    /// # Errors
    /// When the file cannot be made there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        // Made beside it and renamed over it: there is never a moment without a file, nor one in
        // which others may open it.
        let fresh = path.with_added_extension(format!("{}.new", std::process::id()));
        drop(std::fs::remove_file(&fresh));
        let listener = UnixListener::bind(&fresh)?;
        let placed = std::fs::set_permissions(&fresh, Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&fresh, path));
        if let Err(error) = placed {
            drop(std::fs::remove_file(&fresh));
            return Err(error);
        }
        Ok(Self {
            listener,
            path: path.to_owned(),
            place: std::fs::metadata(path).ok().as_ref().map(place),
        })
    }

    /// The next process that asks. May be dropped and called again.
    pub async fn next(&self) -> Successor {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                    if is_one_of_us(uid) {
                        return Successor(stream);
                    }
                    warn!(uid, "another user asked for our sockets, and gets none");
                }
                Err(error) => warn!(%error, "successors cannot be heard for the moment"),
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

impl HandoverSocket {
    /// Ends it and leaves the file to the successor, who will put its own in its place.
    pub fn pass_on(mut self) {
        self.place = None;
    }
}

impl Drop for HandoverSocket {
    fn drop(&mut self) {
        let now = std::fs::metadata(&self.path).ok().as_ref().map(place);
        if now.is_some() && now == self.place {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn place(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Successor {
    /// Gives it every listening socket and waits until it takes connections. Nothing has changed
    /// for us until then, and nothing has if it fails.
    ///
    /// # Errors
    /// When it leaves, is too slow, or speaks another version.
    pub fn supply(
        self,
        running: &Running,
    ) -> impl Future<Output = io::Result<Self>> + Send + use<> {
        let heirlooms = running.heirlooms();
        async move {
            match self.exchange(heirlooms).await {
                Ok(()) => Ok(self),
                Err(error) => {
                    let reason = error.to_string();
                    let refused = Message::Refused { reason };
                    drop(within(ANSWER_MAX, send(&self.0, &refused, None)).await);
                    Err(error)
                }
            }
        }
    }

    async fn exchange(&self, heirlooms: io::Result<Vec<Heirloom>>) -> io::Result<()> {
        let greeting = within(ANSWER_MAX, receive(&self.0)).await?.0;
        let Message::Hello { version } = greeting else {
            return Err(unexpected(&greeting));
        };
        if version != VERSION {
            let text = format!("version {version} is not spoken here, but {VERSION}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let heirlooms = heirlooms?;
        let count = heirlooms.len();
        if count > SOCKETS_MAX {
            return Err(io::Error::other(format!("{count} sockets are too many")));
        }
        within(ANSWER_MAX, self.give(heirlooms)).await?;
        only(
            &Message::Ready,
            &within(READY_MAX, receive(&self.0)).await?.0,
        )
    }

    async fn give(&self, heirlooms: Vec<Heirloom>) -> io::Result<()> {
        let count = heirlooms.len();
        send(&self.0, &Message::Sockets { count }, None).await?;
        for heirloom in heirlooms {
            let message = Message::Socket {
                door: match heirloom.door {
                    HeirloomDoor::Activated | HeirloomDoor::Listener => Door::Listener,
                    HeirloomDoor::Admin => Door::Admin,
                    HeirloomDoor::Probes => Door::Probes,
                    HeirloomDoor::OtlpGrpc => Door::OtlpGrpc,
                    HeirloomDoor::OtlpHttp => Door::OtlpHttp,
                },
                name: heirloom.name.to_string(),
                asked: heirloom.asked,
            };
            send(&self.0, &message, Some(heirloom.socket.as_fd())).await?;
        }
        Ok(())
    }

    /// Tells it that we take no connections any more.
    ///
    /// # Errors
    /// When it has gone.
    pub async fn told_that_we_leave(self) -> io::Result<()> {
        within(ANSWER_MAX, send(&self.0, &Message::Leaving, None)).await
    }
}
