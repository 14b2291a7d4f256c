//! A watch over the frames of an HTTP/2 client: those that only make work have to stay few.
//!
//! The library bounds what a frame may hold and how many streams there are, not how often a client
//! may ask for an answer to nothing (PING, SETTINGS), reset what it began (CVE-2023-44487), or
//! give back a byte of window at a time. Here each such frame costs something, and what a client
//! usefully does earns it: requests, and bytes of answers that it takes. Bytes pass by the watch as
//! they are read; it looks at nine of each frame, and reads the clock only when nothing is left.

use crate::clock;
use tokio::time::Instant;

/// What an HTTP/2 client sends before its first frame (RFC 9113 section 3.4).
const PREFACE_BYTES: u64 = 24;
/// Length of a frame's head (section 4.1).
const HEAD_BYTES: usize = 9;

/// The most that a client can have saved up, and what it begins with.
const CREDIT_MAX: u64 = 10_000;
/// What it earns in a second of doing nothing.
const CREDIT_PER_SECOND: u64 = 1_000;
/// What it earns by a request.
const CREDIT_PER_REQUEST: u64 = 20;
/// What it earns by a byte that is written to it, in shares of [`WRITTEN_BYTES`].
const CREDIT_PER_WRITTEN: u64 = 5;
/// A frame of a small message, or the half of it.
const WRITTEN_BYTES: u64 = 128;

/// A kind of frame of which there were too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// DATA without data, padding or not.
    EmptyData,
    /// PRIORITY, which nobody heeds.
    Priority,
    /// RST_STREAM: streams are begun to be reset.
    Reset,
    /// SETTINGS, each of which has to be acknowledged.
    Settings,
    /// PING, each of which has to be answered.
    Ping,
    /// WINDOW_UPDATE, for windows that let little through.
    WindowUpdate,
    /// CONTINUATION, of a head that does not end (CVE-2024-27316).
    Continuation,
    /// Any other, known or not.
    Other,
}

impl Flood {
    /// A short name that never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmptyData => "http2_empty_data_flood",
            Self::Priority => "http2_priority_flood",
            Self::Reset => "http2_reset_flood",
            Self::Settings => "http2_settings_flood",
            Self::Ping => "http2_ping_flood",
            Self::WindowUpdate => "http2_window_update_flood",
            Self::Continuation => "http2_continuation_flood",
            Self::Other => "http2_frame_flood",
        }
    }

    /// What one costs. A client that does nothing else may send so many that [`CREDIT_MAX`] pays
    /// for them: 2,000 PINGs, 200 resets, 100 SETTINGS.
    const fn cost(self) -> u64 {
        match self {
            Self::Reset => 50,
            Self::Settings => 100,
            Self::EmptyData
            | Self::Priority
            | Self::Ping
            | Self::WindowUpdate
            | Self::Continuation
            | Self::Other => 5,
        }
    }
}

/// Watches the frames of one connection.
#[derive(Debug)]
pub(super) struct FrameWatch {
    /// Bytes to be passed over: the preface, or a frame's payload.
    skip: u64,
    head: [u8; HEAD_BYTES],
    /// How many bytes of the head are there.
    have: usize,
    /// The next byte tells how much of a frame of DATA is padding.
    padded: bool,
    credit: u64,
    /// When it last earned by waiting.
    since: Instant,
    /// Written bytes that have earned nothing yet.
    written: u64,
}

impl FrameWatch {
    /// From the first byte of the preface on.
    pub(super) fn begin() -> Self {
        Self {
            skip: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            have: 0,
            padded: false,
            credit: CREDIT_MAX,
            since: clock::instant(),
            written: 0,
        }
    }

    /// Bytes came in. An error: there were too many of a kind, and the connection is to be cut.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while let Some((&first, after_first)) = bytes.split_first() {
            if std::mem::take(&mut self.padded) {
                self.skip -= 1;
                bytes = after_first;
                if self.skip <= first.into() {
                    self.pay(Flood::EmptyData)?;
                }
                continue;
            }
            if self.skip > 0 {
                let here =
                    usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
                self.skip -= here as u64;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            let here = (HEAD_BYTES - self.have).min(bytes.len());
            let (head, rest) = bytes.split_at(here);
            if let Some(place) = self.head.get_mut(self.have..self.have + here) {
                place.copy_from_slice(head);
            }
            self.have += here;
            bytes = rest;
            if self.have == HEAD_BYTES {
                self.have = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    /// Bytes were written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
        if self.written >= WRITTEN_BYTES {
            self.earn(self.written / WRITTEN_BYTES * CREDIT_PER_WRITTEN);
            self.written %= WRITTEN_BYTES;
        }
    }

    fn earn(&mut self, credit: u64) {
        self.credit = self.credit.saturating_add(credit).min(CREDIT_MAX);
    }

    fn frame(&mut self) -> Result<(), Flood> {
        const END_STREAM: u8 = 0x1;
        const PADDED: u8 = 0x8;
        let [high, middle, low, kind, flags, ..] = self.head;
        self.skip = u32::from_be_bytes([0, high, middle, low]).into();
        let flood = match kind {
            0x0 if flags & END_STREAM != 0 => return Ok(()),
            0x0 if self.skip > 0 => {
                self.padded = flags & PADDED != 0;
                return Ok(());
            }
            0x0 => Flood::EmptyData,
            0x1 => {
                self.earn(CREDIT_PER_REQUEST);
                return Ok(());
            }
            0x2 => Flood::Priority,
            0x3 => Flood::Reset,
            0x4 => Flood::Settings,
            0x6 => Flood::Ping,
            0x8 => Flood::WindowUpdate,
            0x9 => Flood::Continuation,
            _ => Flood::Other,
        };
        self.pay(flood)
    }

    fn pay(&mut self, flood: Flood) -> Result<(), Flood> {
        let cost = flood.cost();
        if self.credit < cost {
            let now = clock::instant();
            let waited = now.saturating_duration_since(self.since);
            let earned = waited.as_millis() * u128::from(CREDIT_PER_SECOND) / 1000;
            self.earn(u64::try_from(earned).unwrap_or(u64::MAX));
            self.since = now;
        }
        self.credit = self.credit.checked_sub(cost).ok_or(flood)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + payload, 0xff);
        frame
    }

    fn begun() -> FrameWatch {
        let mut watch = FrameWatch::begin();
        let preface = [b'P'; PREFACE_BYTES as usize];
        watch.read(&preface).unwrap();
        watch
    }

    /// How many such frames a client may send that does nothing else.
    fn allowed(bytes: &[u8]) -> (u64, Flood) {
        let mut watch = begun();
        for count in 0.. {
            if let Err(flood) = watch.read(bytes) {
                return (count, flood);
            }
            assert!(count < 100_000, "no bound");
        }
        unreachable!()
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_has_its_bound() {
        assert_eq!(allowed(&frame(6, 0, 8)), (2_000, Flood::Ping));
        assert_eq!(allowed(&frame(6, 1, 8)), (2_000, Flood::Ping));
        assert_eq!(allowed(&frame(4, 0, 6)), (100, Flood::Settings));
        assert_eq!(allowed(&frame(3, 0, 4)), (200, Flood::Reset));
        assert_eq!(allowed(&frame(2, 0, 5)), (2_000, Flood::Priority));
        assert_eq!(allowed(&frame(8, 0, 4)), (2_000, Flood::WindowUpdate));
        assert_eq!(allowed(&frame(9, 0, 0)), (2_000, Flood::Continuation));
        assert_eq!(allowed(&frame(0, 0, 0)), (2_000, Flood::EmptyData));
        assert_eq!(allowed(&frame(0xfe, 0, 70_000)), (2_000, Flood::Other));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_and_its_reset_cost_more_than_they_earn() {
        let both = [frame(1, 5, 20), frame(3, 0, 4)].concat();

        let (count, flood) = allowed(&both);

        assert_eq!(flood, Flood::Reset);
        assert_eq!(count, 332); // 10,000 at 30 each; the first request finds the purse full
    }

    #[tokio::test(start_paused = true)]
    async fn padding_is_no_data() {
        let padded = |padding: u8, data: usize, flags: u8| {
            let mut frame = frame(0, 0x8 | flags, 1 + data + usize::from(padding));
            frame[HEAD_BYTES] = padding;
            frame
        };
        assert_eq!(allowed(&padded(0, 0, 0)), (2_000, Flood::EmptyData));
        assert_eq!(allowed(&padded(255, 0, 0)), (2_000, Flood::EmptyData));
        let mut watch = begun();
        for _ in 0..10_000 {
            watch.read(&padded(255, 1, 0)).unwrap();
            watch.read(&padded(255, 0, 1)).unwrap(); // the end of a stream
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_spent_comes_back_with_time_up_to_the_bound() {
        let (mut watch, ping) = (begun(), frame(6, 0, 0));
        for _ in 0..2_000 {
            watch.read(&ping).unwrap();
        }
        assert_eq!(watch.read(&ping), Err(Flood::Ping));

        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..200 {
            watch.read(&ping).unwrap();
        }
        assert_eq!(watch.read(&ping), Err(Flood::Ping));

        tokio::time::advance(Duration::from_secs(3600)).await;
        for _ in 0..2_000 {
            watch.read(&ping).unwrap();
        }
        assert_eq!(watch.read(&ping), Err(Flood::Ping));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_answers_may_give_windows_back() {
        let mut watch = begun();
        // A client that gives back both windows after each 4 KiB, as Go's does.
        for _ in 0..100_000 {
            watch.wrote(4096);
            watch.read(&frame(8, 0, 4)).unwrap();
            watch.read(&frame(8, 0, 4)).unwrap();
        }
        // One that takes a byte at a time.
        let taken = (0..).find(|_| {
            watch.wrote(10);
            watch.read(&frame(8, 0, 4)).is_err()
        });
        assert!(taken.unwrap() < 3_000);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(
            kinds in proptest::collection::vec((0_u8..12, 0_u8..16, 0_usize..40), 0..400),
            cuts in proptest::collection::vec(1_usize..60, 1..20),
        ) {
            let all: Vec<u8> = kinds.iter().flat_map(|&(kind, flags, length)| frame(kind, flags, length)).collect();
            let mut whole = begun();
            let expected = whole.read(&all);
            let mut cut = begun();
            let mut found = Ok(());
            let (mut rest, mut sizes) = (all.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() && found.is_ok() {
                let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                found = cut.read(piece);
                rest = after;
            }
            prop_assert_eq!(found, expected);
            if expected.is_ok() {
                prop_assert_eq!((cut.credit, cut.skip), (whole.credit, whole.skip));
            }
        }
    }
}
