//! A WebSocket that edgespan itself answers: one message, then goodbye.

use crate::message::websocket::close::{CloseCode, close_frame};
use crate::message::websocket::text::text_frame;
use crate::proxy::context::RequestContext;
use crate::proxy::outcome::Outcome;
use crate::trace::websocket::{SessionEnd, Traffic};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tracing::debug;

/// How long all of it may take.
const SESSION_MAX: Duration = Duration::from_secs(10);
/// Most bytes of the client that are taken in while its goodbye is waited for.
const RECEIVED_BYTES_MAX: u64 = 16 * 1024;

/// Says `message` and that it is done, and waits for the client's goodbye. Ends the request.
pub(super) async fn run(downstream: OnUpgrade, message: String, mut context: Box<RequestContext>) {
    let said = tokio::time::timeout(SESSION_MAX, async {
        let client = downstream.await.map_err(io::Error::other)?;
        say(&mut TokioIo::new(client), &message).await
    });
    let outcome = match said.await {
        Ok(Ok((received, sent))) => {
            context.add_upgraded_bytes(received, sent);
            if let Some(span) = &mut context.server {
                let traffic = |messages, bytes| Traffic { messages, bytes };
                let end = SessionEnd {
                    received: traffic(0, received),
                    sent: traffic(1, sent),
                    close_code: CloseCode::DONE.0,
                    closed_by: "edgespan",
                    close_cause: None,
                    malformed: None,
                };
                end.write(span);
            }
            Outcome::Complete
        }
        Ok(Err(error)) => {
            debug!(%error, "a WebSocket of ours came to nothing");
            Outcome::Canceled
        }
        Err(_) => Outcome::Canceled,
    };
    context.end(outcome);
}

/// Bytes that came, and bytes that were sent.
async fn say(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    message: &str,
) -> io::Result<(u64, u64)> {
    let mut frames = text_frame(message);
    frames.extend(close_frame(CloseCode::DONE, "", None));
    client.write_all(&frames).await?;
    client.flush().await?;
    // A client that answers the goodbye closes; one that does not is not waited for long.
    let mut received = client.take(RECEIVED_BYTES_MAX);
    let mut scratch = [0; 1024];
    let mut bytes = 0;
    loop {
        let read = received.read(&mut scratch).await;
        match read {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes += count as u64,
        }
        if is_goodbye(scratch.first().copied()) {
            break;
        }
    }
    client.shutdown().await?;
    Ok((bytes, frames.len() as u64))
}

/// Whether a read begins with a Close frame. Clients have nothing else to say here.
const fn is_goodbye(first: Option<u8>) -> bool {
    matches!(first, Some(0x88))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_message_is_said_then_goodbye_and_the_clients_is_waited_for() {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        let session = tokio::spawn(async move { say(&mut ours, "hello").await.unwrap() });

        let mut heard = [0; 11];
        theirs.read_exact(&mut heard).await.unwrap();
        theirs.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();

        assert_eq!(&heard, b"\x81\x05hello\x88\x02\x03\xe8");
        assert_eq!(session.await.unwrap(), (6, 11));
        assert_eq!(theirs.read(&mut heard).await.unwrap(), 0);
    }
}
