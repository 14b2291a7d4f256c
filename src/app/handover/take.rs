//! The side that gets the sockets.

use super::frame::{receive, send};
use super::{
    ANSWER_MAX, Door, Message, SOCKETS_MAX, VERSION, is_one_of_us, only, unexpected, within,
};
use crate::app::inherited::{Heirloom, HeirloomDoor, Inherited};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;

/// The process whose sockets we have. It serves until [`Self::told_that_we_serve`].
pub struct Predecessor(UnixStream);

/// Why a running process did not give its sockets.
#[derive(Debug, thiserror::Error)]
#[error("the process at {} does not hand over", path.display())]
pub struct TakeoverError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Asks the process at this path for its sockets. None if there is no such process.
///
/// # Errors
/// When there is one, and it does not give them.
pub async fn take_over(path: &Path) -> Result<Option<(Predecessor, Inherited)>, TakeoverError> {
    let failed = |source| TakeoverError {
        path: path.to_owned(),
        source,
    };
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        // No file, or one that a process has left behind.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let uid = stream.peer_cred().map_err(failed)?.uid();
    if !is_one_of_us(Some(uid)) {
        return Err(failed(io::ErrorKind::PermissionDenied.into()));
    }
    let inherited = within(ANSWER_MAX, ask(&stream)).await.map_err(failed)?;
    Ok(Some((Predecessor(stream), inherited)))
}

async fn ask(stream: &UnixStream) -> io::Result<Inherited> {
    send(stream, &Message::Hello { version: VERSION }, None).await?;
    let answer = receive(stream).await?.0;
    let Message::Sockets {
        count: count @ 0..=SOCKETS_MAX,
    } = answer
    else {
        return Err(unexpected(&answer));
    };
    let mut heirlooms = Vec::new();
    for _ in 0..count {
        let message = receive(stream).await?;
        heirlooms.push(heirloom(message)?);
    }
    Ok(Inherited::new(heirlooms))
}

fn heirloom((message, descriptor): (Message, Option<OwnedFd>)) -> io::Result<Heirloom> {
    let invalid = |reason: &'static str| io::Error::new(io::ErrorKind::InvalidData, reason);
    let Message::Socket { door, name, asked } = message else {
        return Err(unexpected(&message));
    };
    let descriptor = descriptor.ok_or_else(|| invalid("a socket without its descriptor"))?;
    if !rustix::net::sockopt::socket_acceptconn(&descriptor)? {
        return Err(invalid("a descriptor that is no listening socket"));
    }
    Ok(Heirloom {
        door: match door {
            Door::Listener => HeirloomDoor::Listener,
            Door::Admin => HeirloomDoor::Admin,
            Door::Probes => HeirloomDoor::Probes,
            Door::OtlpGrpc => HeirloomDoor::OtlpGrpc,
            Door::OtlpHttp => HeirloomDoor::OtlpHttp,
        },
        name: name.into(),
        asked,
        socket: TcpListener::from(descriptor),
    })
}

impl Predecessor {
    /// Tells it that connections are taken here; waits until it takes none any more.
    ///
    /// # Errors
    /// When it does not say so. Then both may serve for a while.
    pub async fn told_that_we_serve(self) -> io::Result<()> {
        within(ANSWER_MAX, async {
            send(&self.0, &Message::Ready, None).await?;
            only(&Message::Leaving, &receive(&self.0).await?.0)
        })
        .await
    }
}
