//! A connection to an endpoint as the HTTP library holds it: counted as open for as long as
//! anybody holds it, an upgraded one included, and read for the peer's first frame.

use super::connect::Stream;
use crate::telemetry::metrics::UpstreamConnectionGuard;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// Length, type, flags and stream of an HTTP/2 frame (RFC 9113 section 4.1).
const FRAME_HEADER_BYTES: usize = 9;
/// The type of SETTINGS.
const SETTINGS: u8 = 4;
/// The identifier of `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 8441 section 3).
const ENABLE_CONNECT_PROTOCOL: [u8; 2] = [0, 8];
/// The same with its value.
const ENABLED: [u8; 6] = [0, 8, 0, 0, 0, 1];

/// Whether the peer takes extended CONNECT (RFC 8441 section 3); None before its SETTINGS came.
pub(super) type TakesConnect = watch::Receiver<Option<bool>>;

/// A stream with its place among the open connections.
pub(super) struct Socket {
    stream: Stream,
    settings: Option<Box<Settings>>,
    /// How often something was read, where somebody wants to know.
    heard: Option<Arc<AtomicUsize>>,
    _open: UpstreamConnectionGuard,
}

impl Socket {
    /// For HTTP/1.1.
    pub(super) const fn new(stream: Stream, open: UpstreamConnectionGuard) -> Self {
        Self {
            stream,
            settings: None,
            heard: None,
            _open: open,
        }
    }

    /// For HTTP/2. Tells whether the peer takes extended CONNECT once its SETTINGS have come, and
    /// how often something was read.
    pub(super) fn http2(
        stream: Stream,
        open: UpstreamConnectionGuard,
    ) -> (Self, TakesConnect, Arc<AtomicUsize>) {
        let (tell, told) = watch::channel(None);
        let heard = Arc::<AtomicUsize>::default();
        let socket = Self {
            stream,
            settings: Some(Box::new(Settings {
                tell,
                bytes: 0,
                length: 0,
                kind: 0,
                entry: [0; 6],
                takes_connect: false,
            })),
            heard: Some(Arc::clone(&heard)),
            _open: open,
        };
        (socket, told, heard)
    }
}

/// Reads the first frame of an HTTP/2 server, which is its SETTINGS (RFC 9113 sections 3.4 and
/// 6.5). The library knows the same, but tells nobody when it does.
struct Settings {
    tell: watch::Sender<Option<bool>>,
    bytes: usize,
    /// Of the payload.
    length: usize,
    kind: u8,
    /// An identifier and its value.
    entry: [u8; 6],
    takes_connect: bool,
}

impl Settings {
    /// Takes in what was read. True when the frame is whole.
    fn read(&mut self, bytes: &[u8]) -> bool {
        for &byte in bytes {
            match self.bytes.checked_sub(FRAME_HEADER_BYTES) {
                Some(at) => self.setting(at % 6, byte),
                None if self.bytes < 3 => self.length = (self.length << 8) | usize::from(byte),
                None if self.bytes == 3 => self.kind = byte,
                None => {}
            }
            self.bytes += 1;
            if self.bytes >= FRAME_HEADER_BYTES + self.length {
                let takes = self.kind == SETTINGS && self.takes_connect;
                self.tell.send_replace(Some(takes));
                return true;
            }
        }
        false
    }

    fn setting(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.entry.get_mut(at) {
            *place = byte;
        }
        if at == 5 && self.entry.starts_with(&ENABLE_CONNECT_PROTOCOL) {
            self.takes_connect = self.entry == ENABLED;
        }
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
        if let Some(heard) = &self.heard
            && out.filled().len() > before
        {
            heard.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(settings) = &mut self.settings
            && settings.read(out.filled().get(before..).unwrap_or_default())
        {
            self.settings = None;
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

    #[track_caller]
    fn check(frame: &[u8], expected: bool) {
        for piece in 1..=frame.len() {
            let (tell, told) = watch::channel(None);
            let mut settings = Settings {
                tell,
                bytes: 0,
                length: 0,
                kind: 0,
                entry: [0; 6],
                takes_connect: false,
            };
            let (last, before) = frame.split_last().unwrap();

            for bytes in before.chunks(piece) {
                assert!(!settings.read(bytes));
            }
            assert_eq!(*told.borrow(), None);
            assert!(settings.read(&[*last, 0, 0, 4]), "what follows is not read");
            assert_eq!(*told.borrow(), Some(expected));
        }
    }

    #[test]
    fn what_a_peer_takes_is_known_with_the_last_byte_of_its_settings() {
        let streams = [0, 3, 0, 0, 0, 8];
        let frame = |kind, entries: &[[u8; 6]]| {
            let payload = entries.concat();
            let length = u8::try_from(payload.len()).unwrap();
            [&[0, 0, length, kind, 0, 0, 0, 0, 0], payload.as_slice()].concat()
        };
        check(&frame(SETTINGS, &[]), false);
        check(&frame(SETTINGS, &[streams]), false);
        check(&frame(SETTINGS, &[ENABLED]), true);
        check(&frame(SETTINGS, &[streams, ENABLED, streams]), true);
        check(&frame(SETTINGS, &[[0, 8, 0, 0, 0, 0]]), false);
        check(&frame(SETTINGS, &[[8, 0, 0, 0, 0, 1]]), false);
        check(&frame(6, &[ENABLED]), false);
    }
}
