//! One direction of an upgraded connection: bytes pass on as they come, and are looked at on the
//! way.
//!
//! Nothing is held back: what was read is written at once, and only what the other side does not
//! take waits, while nothing more is read. A lane without traffic has no buffer.

use crate::message::websocket::close::CloseCode;
use crate::message::websocket::frames::{FrameCounter, MessageKind, Seen, Sender};
use crate::trace::websocket::Traffic;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::debug;

/// Most bytes that are read at a time, and that wait.
const PIECE_BYTES: usize = 16 * 1024;
/// Reads in a row before the other direction has its turn.
const READS_MAX: usize = 8;

/// What passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// A whole message.
    Message(MessageKind, u64),
    /// A Close frame.
    Close(CloseCode),
}

/// How a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneEnd {
    /// The sender said that no more comes, and the receiver was told.
    Finished,
    /// The sender's connection broke.
    SenderLost,
    /// The receiver's connection broke.
    ReceiverLost,
}

/// One direction.
pub(super) struct Lane {
    /// None for anything but a WebSocket.
    frames: Option<FrameCounter>,
    waiting: Vec<u8>,
    /// How much of `waiting` has been written.
    written: usize,
    goodbye: Goodbye,
    at_end: bool,
    pub(super) passed: Traffic,
    pub(super) ended: Option<LaneEnd>,
}

/// A Close frame of ours to the receiver.
enum Goodbye {
    No,
    /// At the next frame boundary.
    Wanted(Vec<u8>),
    /// Now: what comes from the sender passes no more.
    Due(Vec<u8>),
    Said,
}

impl Lane {
    /// For the frames of `sender`, or for bytes that mean nothing here.
    pub(super) fn new(sender: Option<Sender>) -> Self {
        Self {
            frames: sender.map(FrameCounter::new),
            waiting: Vec::new(),
            written: 0,
            goodbye: Goodbye::No,
            at_end: false,
            passed: Traffic::default(),
            ended: None,
        }
    }

    /// Whether its sender sent something that is no frame.
    pub(super) fn is_malformed(&self) -> bool {
        self.frames.as_ref().is_some_and(FrameCounter::is_malformed)
    }

    /// Whether its sender has said, by a Close frame or by closing, that no more comes.
    pub(super) fn is_closed(&self) -> bool {
        self.at_end || self.frames.as_ref().is_some_and(FrameCounter::is_closed)
    }

    /// Whether its sender's connection has ended, well or not.
    pub(super) fn is_sender_gone(&self) -> bool {
        self.at_end || self.ended == Some(LaneEnd::SenderLost)
    }

    /// Whether its receiver has our Close frame.
    pub(super) const fn has_said_goodbye(&self) -> bool {
        matches!(self.goodbye, Goodbye::Said) && self.waiting.is_empty()
    }

    /// Whether nothing is left to be told to its receiver.
    pub(super) const fn is_silent(&self) -> bool {
        matches!(self.goodbye, Goodbye::No | Goodbye::Said) && self.waiting.is_empty()
    }

    /// Closes its receiver's half, whatever else the sender would say.
    pub(super) const fn close(&mut self) {
        self.at_end = true;
    }

    /// Says goodbye to the receiver at the next frame boundary, unless the sender has already.
    pub(super) fn say_goodbye(&mut self, frame: Vec<u8>) {
        if !self.is_closed() && matches!(self.goodbye, Goodbye::No) {
            self.goodbye = Goodbye::Wanted(frame);
        }
    }

    /// Passes on what there is, and tells `on` what passed. The task is woken when there is more.
    pub(super) fn pass(
        &mut self,
        mut from: Pin<&mut impl AsyncRead>,
        mut to: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
        on: &mut impl FnMut(Passed),
    ) {
        if self.ended.is_some() {
            return;
        }
        for _ in 0..READS_MAX {
            match self.turn(from.as_mut(), to.as_mut(), cx, on) {
                Poll::Ready(None) => {}
                Poll::Ready(Some(end)) => {
                    self.ended = Some(end);
                    return;
                }
                Poll::Pending => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    /// One read and one write, what waits going first.
    fn turn(
        &mut self,
        from: Pin<&mut impl AsyncRead>,
        mut to: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
        on: &mut impl FnMut(Passed),
    ) -> Poll<Option<LaneEnd>> {
        if !self.waiting.is_empty() {
            return self.write_waiting(to, cx);
        }
        if self.take_goodbye() {
            return Poll::Ready(None);
        }
        if self.at_end {
            return to
                .poll_shutdown(cx)
                .map(|shut| Some(shut.map_or(LaneEnd::ReceiverLost, |()| LaneEnd::Finished)));
        }
        let mut room = [MaybeUninit::uninit(); PIECE_BYTES];
        let mut read = ReadBuf::uninit(&mut room);
        match from.poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => {
                debug!(%error, "upgraded connection broke off");
                return Poll::Ready(Some(LaneEnd::SenderLost));
            }
            Poll::Pending => {
                return match to.poll_flush(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(Some(LaneEnd::ReceiverLost)),
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                };
            }
        }
        let read = read.filled();
        if read.is_empty() {
            self.at_end = true;
            return Poll::Ready(None);
        }
        let passing = read.get(..self.watch(read, on)).unwrap_or_default();
        self.passed.bytes += passing.len() as u64;
        let written = match to.as_mut().poll_write(cx, passing) {
            _ if passing.is_empty() => 0,
            Poll::Ready(Ok(written)) if written > 0 => written,
            Poll::Ready(_) => return Poll::Ready(Some(LaneEnd::ReceiverLost)),
            Poll::Pending => 0,
        };
        let rest = passing.get(written..).unwrap_or_default();
        self.waiting.extend_from_slice(rest);
        Poll::Ready(None)
    }

    fn write_waiting(
        &mut self,
        to: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<LaneEnd>> {
        let rest = self.waiting.get(self.written..).unwrap_or_default();
        match to.poll_write(cx, rest) {
            Poll::Ready(Ok(written)) if written > 0 => self.written += written,
            Poll::Ready(_) => return Poll::Ready(Some(LaneEnd::ReceiverLost)),
            Poll::Pending => return Poll::Pending,
        }
        if self.written >= self.waiting.len() {
            // Given back: most lanes are quiet most of the time.
            self.waiting = Vec::new();
            self.written = 0;
        }
        Poll::Ready(None)
    }

    /// Whether our Close frame is what is written next.
    fn take_goodbye(&mut self) -> bool {
        let boundary = |frames: &FrameCounter| frames.is_at_boundary();
        let due = match &self.goodbye {
            Goodbye::No | Goodbye::Said => false,
            Goodbye::Wanted(_) => self.frames.as_ref().is_some_and(boundary),
            Goodbye::Due(_) => true,
        };
        if !due {
            return false;
        }
        let goodbye = std::mem::replace(&mut self.goodbye, Goodbye::Said);
        if let Goodbye::Wanted(frame) | Goodbye::Due(frame) = goodbye {
            self.waiting = frame;
        }
        true
    }

    /// Counts the frames of what was read. Tells how much of it passes on: all, until we have
    /// said goodbye.
    fn watch(&mut self, read: &[u8], on: &mut impl FnMut(Passed)) -> usize {
        let Some(frames) = &mut self.frames else {
            return read.len();
        };
        let mut passes = !matches!(self.goodbye, Goodbye::Said | Goodbye::Due(_));
        let (mut rest, mut passing) = (read, 0);
        while !rest.is_empty() {
            if let Goodbye::Wanted(frame) = &mut self.goodbye
                && frames.is_at_boundary()
            {
                self.goodbye = Goodbye::Due(std::mem::take(frame));
                passes = false;
            }
            let (taken, seen) = frames.advance(rest);
            rest = rest.get(taken..).unwrap_or_default();
            if !passes {
                continue;
            }
            passing += taken;
            match seen {
                Some(Seen::Message { kind, bytes }) => {
                    self.passed.messages += 1;
                    on(Passed::Message(kind, bytes));
                }
                Some(Seen::Close(code)) => on(Passed::Close(code)),
                Some(Seen::Other) | None => {}
            }
        }
        passing
    }
}
