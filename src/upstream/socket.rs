//! A connection to an endpoint as the HTTP library holds it: counted as open for as long as
//! anybody holds it, an upgraded one included, and watched for the peer's first frame.

use super::connect::Stream;
use crate::telemetry::metrics::UpstreamConnectionGuard;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream with its place among the open connections.
pub(super) struct Socket {
    stream: Stream,
    first_frame: Option<FirstFrame>,
    _open: UpstreamConnectionGuard,
}

impl Socket {
    /// For HTTP/1.1.
    pub(super) const fn new(stream: Stream, open: UpstreamConnectionGuard) -> Self {
        Self {
            stream,
            first_frame: None,
            _open: open,
        }
    }

    /// For HTTP/2. The flag is set once the peer's first frame, its SETTINGS (RFC 9113 section
    /// 3.4), has been read.
    pub(super) fn watched(
        stream: Stream,
        open: UpstreamConnectionGuard,
    ) -> (Self, Arc<AtomicBool>) {
        let come = Arc::new(AtomicBool::new(false));
        let socket = Self {
            stream,
            first_frame: Some(FirstFrame {
                length: 0,
                bytes: 0,
                come: Arc::clone(&come),
            }),
            _open: open,
        };
        (socket, come)
    }
}

/// Counts bytes up to the end of the first HTTP/2 frame (RFC 9113 section 4.1).
struct FirstFrame {
    /// Of the payload.
    length: usize,
    bytes: usize,
    come: Arc<AtomicBool>,
}

impl FirstFrame {
    /// Takes in what was read. True when the frame is whole.
    fn read(&mut self, bytes: &[u8]) -> bool {
        for &byte in bytes.iter().take(3_usize.saturating_sub(self.bytes)) {
            self.length = (self.length << 8) | usize::from(byte);
        }
        self.bytes += bytes.len();
        let whole = self.bytes >= 9 + self.length;
        if whole {
            self.come.store(true, Ordering::Release);
        }
        whole
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, out);
        if let Some(first) = &mut self.first_frame
            && first.read(out.filled().get(before..).unwrap_or_default())
        {
            self.first_frame = None;
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_has_come_with_its_last_byte() {
        let frame = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1];
        for piece in 1..=frame.len() {
            let come = Arc::new(AtomicBool::new(false));
            let mut first = FirstFrame {
                length: 0,
                bytes: 0,
                come: Arc::clone(&come),
            };
            let (last, before) = frame.split_last().unwrap();

            for bytes in before.chunks(piece) {
                assert!(!first.read(bytes));
            }
            assert!(!come.load(Ordering::Acquire));
            assert!(first.read(&[*last]));
            assert!(come.load(Ordering::Acquire));
        }
    }
}
