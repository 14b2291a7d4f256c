//! A connection's stream with what was read of it to find out the version put back in front, and
//! with an eye on what the socket does.

use super::activity::Activity;
use super::frames::FrameWatch;
use super::heads::HeadTee;
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may go on sending what nobody wants after its last answer.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// How much of that is taken in at a time.
const LINGER_BYTES: usize = 16 * 1024;

/// Longest answer, head and body, whose pieces are copied into one before they are written.
const COPIED_BYTES_MAX: usize = 1024;

/// Who looks at bytes as they pass.
enum Eye {
    /// Nobody.
    Closed,
    /// A watch over the frames of an HTTP/2 client.
    Frames(Box<FrameWatch>),
    /// Somebody who keeps heads of HTTP/1 requests.
    Heads(Box<HeadTee>),
}

/// The stream that hyper reads from and writes to.
pub(super) struct ServerIo<S> {
    stream: S,
    read_before: Bytes,
    activity: Arc<Activity>,
    eye: Eye,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl<S> ServerIo<S> {
    pub(super) fn new(stream: S, read_before: Bytes, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            read_before,
            activity,
            eye: Eye::Closed,
            lingering: None,
        }
    }

    /// Watches over the frames of an HTTP/2 client.
    pub(super) fn watching_frames(mut self) -> Self {
        self.eye = Eye::Frames(Box::new(FrameWatch::begin()));
        self
    }

    /// Keeps the heads of an HTTP/1 client that begin with one of these.
    pub(super) fn keeping_heads(mut self, begins: &'static [&'static str]) -> Self {
        let tee = HeadTee::new(Arc::clone(&self.activity), begins);
        self.eye = Eye::Heads(Box::new(tee));
        self
    }

    /// Bytes were read: an error cuts the connection.
    fn look_at(&mut self, bytes: &[u8]) -> io::Result<()> {
        let frames = match &mut self.eye {
            Eye::Closed => return Ok(()),
            Eye::Heads(tee) => {
                tee.read(bytes);
                return Ok(());
            }
            Eye::Frames(frames) => frames,
        };
        frames.read(bytes).map_err(|flood| {
            self.activity.flooded(flood);
            io::Error::new(io::ErrorKind::ConnectionAborted, flood.name())
        })
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        self.activity.write(written.is_pending());
        if let (Poll::Ready(Ok(count)), Eye::Frames(frames)) = (written, &mut self.eye) {
            frames.wrote(*count);
        }
    }
}

impl<S: AsyncRead + Unpin> ServerIo<S> {
    /// Throws away what the client still sends.
    fn discard(&mut self, cx: &mut Context<'_>) -> Discarded {
        let mut discarded = Discarded::Nothing;
        let mut scratch = [MaybeUninit::uninit(); LINGER_BYTES];
        loop {
            let mut out = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut out) {
                Poll::Ready(Ok(())) if !out.filled().is_empty() => discarded = Discarded::Bytes,
                Poll::Ready(_) => return Discarded::Everything,
                Poll::Pending => return discarded,
            }
        }
    }
}

/// What was left to read of a connection that is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Discarded {
    /// Nothing at this moment.
    Nothing,
    /// Something, and more may come.
    Bytes,
    /// All of it: the client has closed, too.
    Everything,
}

impl<S: AsyncRead + Unpin> AsyncRead for ServerIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read_before.is_empty() {
            let count = self.read_before.len().min(out.remaining());
            let chunk = self.read_before.split_to(count);
            out.put_slice(chunk.chunk());
            return Poll::Ready(self.look_at(&chunk));
        }
        let filled = out.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, out);
        if let Some(read) = out.filled().get(filled..).filter(|read| !read.is_empty()) {
            self.activity.bytes_read();
            self.look_at(read)?;
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ServerIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = write_pieces(Pin::new(&mut self.stream), cx, slices);
        self.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says that no more comes. A socket that is closed with bytes unread resets its connection,
    /// and a client in the middle of an upload would lose the answer that refuses it: so what it
    /// still sends is taken in for a while.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        match (self.discard(cx), &mut self.lingering) {
            (Discarded::Everything, _) | (Discarded::Nothing, None) => Poll::Ready(Ok(())),
            (_, lingering) => {
                let limit =
                    lingering.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_MAX)));
                limit.as_mut().poll(cx).map(Ok)
            }
        }
    }
}

/// Writes the pieces of an answer. A small one goes out whole: cheaper than to gather it in the
/// kernel.
fn write_pieces(
    stream: Pin<&mut impl AsyncWrite>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    if pieces.len() < 2 || length > COPIED_BYTES_MAX {
        return stream.poll_write_vectored(cx, pieces);
    }
    let mut whole = [0; COPIED_BYTES_MAX];
    let mut rest = whole.as_mut_slice();
    for piece in pieces {
        rest.write_all(piece)?; // never fails: they fit
    }
    stream.poll_write(cx, whole.get(..length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes everything, and notes each write: in how many pieces it came, and how long it was.
    #[derive(Default)]
    struct Socket(Vec<(usize, usize)>);

    impl AsyncWrite for Socket {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push((1, bytes.len()));
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let length = slices.iter().map(|slice| slice.len()).sum();
            self.0.push((slices.len(), length));
            Poll::Ready(Ok(length))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[track_caller]
    fn check(head: usize, body: usize, expected: (usize, usize)) {
        let (head, body) = (vec![b'h'; head], vec![b'b'; body]);
        let mut socket = Socket::default();
        let pieces = [IoSlice::new(&head), IoSlice::new(&body)];
        let cx = &mut Context::from_waker(std::task::Waker::noop());

        let written = write_pieces(Pin::new(&mut socket), cx, &pieces);

        assert!(matches!(written, Poll::Ready(Ok(length)) if length == head.len() + body.len()));
        assert_eq!(socket.0, [expected]);
    }

    #[test]
    fn a_small_answer_goes_out_as_one_piece_and_a_longer_one_is_not_copied() {
        check(200, 50, (1, 250));
        check(COPIED_BYTES_MAX, 0, (1, COPIED_BYTES_MAX));
        check(200, COPIED_BYTES_MAX, (2, 200 + COPIED_BYTES_MAX));
    }
}
