//! What is read of a request's body before it leaves: for whoever decides about it.

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use std::collections::VecDeque;

/// The first bytes of a body, as whoever decides about the request sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBody {
    data: Bytes,
    is_whole: bool,
}

impl Default for HeldBody {
    /// No body at all.
    fn default() -> Self {
        Self::new(Bytes::new(), true)
    }
}

impl HeldBody {
    /// These bytes; `is_whole` if the body has no more.
    pub const fn new(data: Bytes, is_whole: bool) -> Self {
        Self { data, is_whole }
    }

    /// Whether the request has no body at all.
    pub const fn is_nothing(&self) -> bool {
        self.is_whole && self.data.is_empty()
    }

    /// At most `bytes_max` of them, and whether the body has more than that.
    pub fn first(&self, bytes_max: usize) -> (Bytes, bool) {
        let mut data = self.data.clone();
        let is_cut = !self.is_whole || data.len() > bytes_max;
        data.truncate(bytes_max);
        (data, is_cut)
    }
}

/// Frames that are held as they came. What comes behind them is joined, so that a body of many small
/// pieces takes no more room than its bytes.
const FRAMES_MAX: usize = 64;

/// Frames that were read and have not been handed on.
#[derive(Debug, Default)]
pub(super) struct Held {
    frames: VecDeque<Frame<Bytes>>,
    /// What came behind them, joined.
    tail: BytesMut,
    bytes: usize,
}

impl Held {
    pub(super) fn push(&mut self, frame: Frame<Bytes>) {
        match frame.data_ref() {
            Some(data) => {
                self.bytes += data.len();
                if self.frames.len() >= FRAMES_MAX {
                    self.tail.extend_from_slice(data);
                    return;
                }
            }
            None if !self.tail.is_empty() => {
                let tail = self.tail.split().freeze();
                self.frames.push_back(Frame::data(tail));
            }
            None => {}
        }
        self.frames.push_back(frame);
    }

    pub(super) fn pop(&mut self) -> Option<Frame<Bytes>> {
        let tail = || (!self.tail.is_empty()).then(|| Frame::data(self.tail.split().freeze()));
        let frame = self.frames.pop_front().or_else(tail)?;
        self.bytes -= frame.data_ref().map_or(0, Bytes::len);
        Some(frame)
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.tail.is_empty()
    }

    /// How much is to come, with what is held here before `rest`.
    pub(super) fn added_to(&self, rest: SizeHint) -> SizeHint {
        let held = self.bytes as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }

    /// The first bytes; `ended` if nothing comes behind the frames. One frame is not copied.
    pub(super) fn first(&self, bytes_max: usize, ended: bool) -> HeldBody {
        let mut pieces = self.frames.iter().filter_map(Frame::data_ref);
        let data = match (pieces.next(), pieces.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.clone(),
            (Some(first), Some(second)) => {
                let mut joined = BytesMut::with_capacity(self.bytes.min(bytes_max));
                let pieces = [first, second].into_iter().chain(pieces);
                for piece in pieces.map(Bytes::as_ref).chain([&*self.tail]) {
                    let room = bytes_max.saturating_sub(joined.len()).min(piece.len());
                    let (fits, _) = piece.split_at_checked(room).unwrap_or((piece, &[]));
                    joined.extend_from_slice(fits);
                }
                joined.freeze()
            }
        };
        let (data, _) = HeldBody::new(data, true).first(bytes_max);
        HeldBody::new(data, ended && self.bytes <= bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(frames: &[&'static str]) -> Held {
        let mut held = Held::default();
        for frame in frames {
            held.push(Frame::data(Bytes::from_static(frame.as_bytes())));
        }
        held
    }

    #[test]
    fn a_body_at_the_bound_is_whole_and_one_byte_more_is_cut() {
        for (frames, ended, expected) in [
            (&[][..], true, ("", false)),
            (&["abc"], true, ("abc", false)),
            (&["ab", "cd"], true, ("abcd", false)),
            (&["ab", "cd"], false, ("abcd", true)),
            (&["ab", "cde"], true, ("abcd", true)),
            (&["abcde"], true, ("abcd", true)),
        ] {
            let (data, is_cut) = held(frames).first(4, ended).first(4);
            assert_eq!((&*data, is_cut), (expected.0.as_bytes(), expected.1));
        }
    }

    #[test]
    fn a_policy_with_a_smaller_bound_sees_less_of_it() {
        let body = held(&["ab", "cd"]).first(4, true);

        assert_eq!(body.first(4), (Bytes::from_static(b"abcd"), false));
        assert_eq!(body.first(3), (Bytes::from_static(b"abc"), true));
        assert_eq!(body.first(0), (Bytes::new(), true));
    }

    #[test]
    fn many_small_pieces_take_no_more_room_than_their_bytes() {
        let mut held = Held::default();
        for piece in 0..10_000_u32 {
            held.push(Frame::data(Bytes::copy_from_slice(&piece.to_le_bytes())));
        }
        held.push(Frame::trailers(http::HeaderMap::new()));

        assert!(held.frames.len() <= FRAMES_MAX + 2, "{}", held.frames.len());
        let (shown, is_cut) = held.first(39_999, true).first(39_999);
        assert_eq!((shown.len(), is_cut), (39_999, true));
        let expected: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut out = Vec::new();
        let mut ended = false;
        while let Some(frame) = held.pop() {
            assert!(!ended, "trailers come last");
            match frame.into_data() {
                Ok(data) => out.extend_from_slice(&data),
                Err(_) => ended = true,
            }
        }
        assert_eq!(out, expected);
        assert!(ended && held.is_empty() && held.bytes() == 0);
    }

    proptest! {
        #[test]
        fn what_is_held_comes_out_as_it_went_in(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..99),
            bound in 0_usize..400,
        ) {
            let mut held = Held::default();
            for piece in &pieces {
                held.push(Frame::data(Bytes::from(piece.clone())));
            }
            let whole = pieces.concat();
            let (shown, is_cut) = held.first(bound, true).first(bound);
            prop_assert_eq!(&*shown, whole.get(..bound).unwrap_or(&whole));
            prop_assert_eq!(is_cut, whole.len() > bound);
            prop_assert_eq!(held.added_to(SizeHint::with_exact(2)).exact(), Some(whole.len() as u64 + 2));
            let mut out = Vec::new();
            while let Some(frame) = held.pop() {
                out.extend_from_slice(frame.data_ref().unwrap());
            }
            prop_assert_eq!(out, whole);
            prop_assert_eq!(held.bytes(), 0);
        }
    }
}
