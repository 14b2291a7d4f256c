//! A restart that loses nothing: the running process hands its listening sockets to the next one.
//!
//! Over a Unix socket of mode 0600, between processes of one user. Both sockets are the same
//! socket, so what waits in its queue is accepted by whoever comes first; `SO_REUSEPORT` would
//! reset what waits in the old queue.
//!
//! The messages, version 1, each a frame (see `frame`):
//!
//! | from | message | with it |
//! |---|---|---|
//! | successor | `{"say":"hello","version":1}` | |
//! | holder | `{"say":"sockets","count":N}` | |
//! | holder | N times `{"say":"socket","door":"listener","name":"web","asked":"0.0.0.0:80"}` | one descriptor each |
//! | successor | `{"say":"ready"}`, once it takes connections | |
//! | holder | `{"say":"leaving"}`, once it takes none any more | |
//!
//! Instead of any of these, `{"say":"refused","reason":"…"}`. Until `ready` nothing has changed for
//! the holder: a successor that leaves, for a wrong configuration say, leaves it serving.

mod frame;
mod give;
mod take;

pub use give::{HandoverSocket, Successor};
pub use take::{Predecessor, TakeoverError, take_over};

use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What is spoken. Another version is refused.
const VERSION: u32 = 1;
/// Most sockets that are handed over.
const SOCKETS_MAX: usize = 1024;
/// Longest wait for one message that needs no work on the other side.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a successor to take connections.
const READY_MAX: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
enum Message {
    Hello {
        version: u32,
    },
    Sockets {
        count: usize,
    },
    Socket {
        door: Door,
        name: String,
        asked: SocketAddr,
    },
    Ready,
    Leaving,
    Refused {
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Door {
    Listener,
    Admin,
    Probes,
    #[serde(rename = "otlp-grpc")]
    OtlpGrpc,
    #[serde(rename = "otlp-http")]
    OtlpHttp,
}

/// Only our own user, and root, may hold a listening socket of ours or give us one.
fn is_one_of_us(peer: Option<u32>) -> bool {
    let own = rustix::process::geteuid().as_raw();
    peer.is_some_and(|uid| uid == own || uid == 0)
}

/// Nothing but this may come now.
fn only(awaited: &Message, came: &Message) -> io::Result<()> {
    if came == awaited {
        Ok(())
    } else {
        Err(unexpected(came))
    }
}

fn unexpected(message: &Message) -> io::Error {
    let text = if let Message::Refused { reason } = message {
        format!("refused: {reason}")
    } else {
        format!("unexpected message {message:?}")
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the other process does not answer");
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(late()))
}
