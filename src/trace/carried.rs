//! The context of a request that is refused for now and repeated after a login: what it takes to
//! go on with its trace as if nothing had come between.
//!
//! It lies only in sealed places. What is written is bounded, and so is what is read, because a
//! bound that only the writer keeps is none once the format has changed.

use super::context::{Parent, RANDOM, SAMPLED, TraceState};
use super::rum;
use super::sampler::Head;
use super::span::OpenSpan;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanId, TraceId};

/// Most bytes of one when it is written.
pub const CARRIED_BYTES_MAX: usize = 16 * 1024;

/// Most lines of `baggage`; of more, none is carried.
const BAGGAGE_LINES_MAX: usize = 64;

/// The first byte: how the rest is to be read.
const VERSION: u8 = 1;
/// Version, trace id, span id, flags, and the length of the state.
const HEAD_BYTES: usize = 1 + 16 + 8 + 1 + 2;
/// B3's debug wish, among the flags: a bit that trace flags have no meaning for.
const DEBUG: u8 = 0x80;

static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The context of a request, on its way through a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The trace.
    pub trace_id: TraceId,
    /// The SERVER span of the request that was refused.
    pub span_id: SpanId,
    /// The trace flags as they came or were decided.
    pub flags: u8,
    /// B3's debug wish.
    pub debug: bool,
    /// `tracestate` as it would have left with the refused request, byte for byte.
    pub state: TraceState,
    /// Its `baggage` field lines, byte for byte.
    pub baggage: Vec<Vec<u8>>,
    /// The session of real user monitoring that its page is in.
    pub rum_session: Option<Box<str>>,
}

impl Carried {
    /// The context of a request that is being refused: `head` is what was decided of its trace,
    /// `span_id` its SERVER span, `query` and `headers` its own.
    pub fn of(head: &Head, span_id: SpanId, query: Option<&str>, headers: &HeaderMap) -> Self {
        let lines = headers.get_all(&BAGGAGE).iter();
        Self {
            trace_id: head.trace_id,
            span_id,
            flags: head.flags & (SAMPLED | RANDOM),
            debug: head.debug,
            state: head.state.clone(),
            baggage: lines.map(|line| line.as_bytes().to_vec()).collect(),
            rum_session: rum::session(query, headers),
        }
    }

    /// How many bytes [`Self::to_bytes`] makes of it.
    pub fn byte_len(&self) -> usize {
        let lines = self.baggage.iter().map(|line| 2 + line.len());
        let rum_session = self.rum_session.as_ref().map_or(0, |id| id.len());
        HEAD_BYTES + self.state.as_str().len() + 1 + lines.sum::<usize>() + 1 + rum_session
    }

    /// As much of it as fits into `bytes_max` (and [`CARRIED_BYTES_MAX`]), and whether that is all
    /// of it. Baggage is left out first, then the state; either stays whole or goes, since half
    /// of one says something else. The ids always stay: they take some
    /// 30 bytes, and at most 64 more.
    #[must_use]
    pub fn within(mut self, bytes_max: usize) -> (Self, bool) {
        let bytes_max = bytes_max.min(CARRIED_BYTES_MAX);
        let mut is_whole = true;
        if self.byte_len() > bytes_max || self.baggage.len() > BAGGAGE_LINES_MAX {
            self.baggage = Vec::new();
            is_whole = false;
        }
        if self.byte_len() > bytes_max {
            self.state = TraceState::EMPTY;
        }
        (self, is_whole)
    }

    /// For a sealed place: never readable by anybody on the way. At most [`CARRIED_BYTES_MAX`]
    /// bytes; see [`Self::within`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let fits = self.byte_len() <= CARRIED_BYTES_MAX && self.baggage.len() <= BAGGAGE_LINES_MAX;
        if !fits {
            return self.clone().within(CARRIED_BYTES_MAX).0.to_bytes();
        }
        let mut out = Vec::with_capacity(self.byte_len());
        out.push(VERSION);
        out.extend_from_slice(&self.trace_id.to_bytes());
        out.extend_from_slice(&self.span_id.to_bytes());
        out.push(self.flags & (SAMPLED | RANDOM) | if self.debug { DEBUG } else { 0 });
        push(&mut out, self.state.as_str().as_bytes());
        // At most `BAGGAGE_LINES_MAX`.
        out.push(u8::try_from(self.baggage.len()).unwrap_or(0));
        for line in &self.baggage {
            push(&mut out, line);
        }
        let rum_session = self.rum_session.as_deref().unwrap_or_default();
        out.push(u8::try_from(rum_session.len()).unwrap_or(0));
        out.extend_from_slice(rum_session.as_bytes());
        out
    }

    /// What [`Self::to_bytes`] wrote; None if it is anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > CARRIED_BYTES_MAX {
            return None;
        }
        let (&[VERSION], rest) = bytes.split_first_chunk::<1>()? else {
            return None;
        };
        let (trace_id, rest) = rest.split_first_chunk::<16>()?;
        let (span_id, rest) = rest.split_first_chunk::<8>()?;
        let (&[flags], rest) = rest.split_first_chunk::<1>()?;
        let (state, rest) = pull(rest)?;
        let (&[count], mut rest) = rest.split_first_chunk::<1>()?;
        if usize::from(count) > BAGGAGE_LINES_MAX || flags & !(SAMPLED | RANDOM | DEBUG) != 0 {
            return None;
        }
        let mut baggage = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (line, after) = pull(rest)?;
            HeaderValue::from_bytes(line).ok()?;
            baggage.push(line.to_vec());
            rest = after;
        }
        let (&[length], rest) = rest.split_first_chunk::<1>()?;
        let (rum_session, rest) = rest.split_at_checked(usize::from(length))?;
        let rum_session = match rum_session {
            [] => None,
            id => Some(rum::valid(id)?),
        };
        let state = HeaderValue::from_bytes(state).ok()?;
        state.to_str().ok()?;
        let carried = Self {
            trace_id: TraceId::from_bytes(*trace_id),
            span_id: SpanId::from_bytes(*span_id),
            flags: flags & (SAMPLED | RANDOM),
            debug: flags & DEBUG != 0,
            state: TraceState::checked(state),
            baggage,
            rum_session,
        };
        let is_valid = carried.trace_id != TraceId::INVALID && carried.span_id != SpanId::INVALID;
        (rest.is_empty() && is_valid).then_some(carried)
    }

    /// The parent that the repeated request goes on from.
    pub fn parent(&self) -> Parent {
        Parent {
            trace_id: self.trace_id,
            span_id: self.span_id,
            flags: self.flags,
            state: self.state.clone(),
            debug: self.debug,
            deferred: false,
        }
    }

    /// Gives a repeated request its baggage, if it brings none of its own.
    pub fn write_baggage(&self, headers: &mut HeaderMap) {
        if headers.contains_key(&BAGGAGE) {
            return;
        }
        let lines = self.baggage.iter();
        for line in lines.filter_map(|line| HeaderValue::from_bytes(line).ok()) {
            headers.append(&BAGGAGE, line);
        }
    }

    /// Ties a span to the refused request.
    pub fn link(&self, span: &mut OpenSpan) {
        span.link(self.trace_id, self.span_id, &self.state, self.flags);
    }
}

/// Appends a text behind its length, which is at most [`CARRIED_BYTES_MAX`].
fn push(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).unwrap_or(0);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}

/// A text behind its length, and what comes after it.
fn pull(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(state: &str, baggage: &[&[u8]]) -> Carried {
        let state = HeaderValue::from_str(state).unwrap();
        Carried {
            trace_id: TraceId::from(7),
            span_id: SpanId::from(9),
            flags: SAMPLED | RANDOM,
            debug: false,
            state: TraceState::checked(state),
            baggage: baggage.iter().map(|line| line.to_vec()).collect(),
            rum_session: None,
        }
    }

    fn carried() -> impl Strategy<Value = Carried> {
        let line = prop::collection::vec(prop_oneof![0x20_u8..0x7f, 0x80_u8..=0xff], 0..200);
        (
            1_u128..,
            1_u64..,
            0_u8..4,
            any::<bool>(),
            "[a-z=,;0-9]{0,300}",
            prop::collection::vec(line, 0..6),
            prop::option::of("[a-z0-9_-]{1,64}"),
        )
            .prop_map(|(trace, span, flags, debug, state, baggage, rum)| Carried {
                trace_id: TraceId::from(trace),
                span_id: SpanId::from(span),
                flags,
                debug,
                state: TraceState::checked(HeaderValue::try_from(state).unwrap()),
                baggage,
                rum_session: rum.map(Into::into),
            })
    }

    proptest! {
        #[test]
        fn what_is_carried_comes_back_byte_for_byte(carried in carried()) {
            let bytes = carried.to_bytes();
            prop_assert_eq!(bytes.len(), carried.byte_len());
            prop_assert_eq!(Carried::from_bytes(&bytes), Some(carried.clone()));
            let mut headers = HeaderMap::new();
            carried.write_baggage(&mut headers);
            let written: Vec<_> = headers.get_all("baggage").iter().map(HeaderValue::as_bytes).collect();
            prop_assert_eq!(written, carried.baggage.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        #[test]
        fn nothing_else_is_read(carried in carried(), cut in any::<prop::sample::Index>(), more: u8) {
            let mut bytes = carried.to_bytes();
            let cut = bytes.get(..cut.index(bytes.len())).unwrap();
            prop_assert_eq!(Carried::from_bytes(cut), None);
            bytes.push(more);
            prop_assert_eq!(Carried::from_bytes(&bytes), None);
        }

        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Some(carried) = Carried::from_bytes(&bytes) {
                prop_assert_eq!(carried.to_bytes(), bytes);
            }
        }

        #[test]
        fn what_fits_is_whole_lines_within_the_bound(carried in carried(), bytes_max in 0_usize..2_000) {
            let whole = carried.byte_len() <= bytes_max;
            let (part, is_whole) = carried.clone().within(bytes_max);
            prop_assert_eq!(is_whole, whole);
            prop_assert!(part.byte_len() <= bytes_max.max(HEAD_BYTES + 2 + 64));
            prop_assert!(part.baggage.is_empty() || part.baggage == carried.baggage);
            prop_assert!(part.state.is_empty() || part.state == carried.state);
            prop_assert_eq!((part.trace_id, part.span_id, part.flags), (carried.trace_id, carried.span_id, carried.flags));
        }
    }

    #[test]
    fn baggage_is_left_out_before_the_state_and_neither_is_cut() {
        let all = of("a=1,b=2", &[b"user=7", b"tier=gold"]);
        let fits = all.byte_len();

        assert_eq!(all.clone().within(fits), (all.clone(), true));
        assert_eq!(all.clone().within(fits + 1), (all.clone(), true));
        assert_eq!(all.clone().within(fits - 1), (of("a=1,b=2", &[]), false));
        assert_eq!(all.clone().within(36), (of("", &[]), false));
        assert_eq!(all.within(0), (of("", &[]), false));
    }

    #[test]
    fn what_is_written_has_a_bound_whatever_came() {
        let line = vec![b'x'; 8 * 1024];
        let large = of("a=1", &[&line, &line]);
        assert_eq!(Carried::from_bytes(&large.to_bytes()), Some(of("a=1", &[])));
        let many: Vec<&[u8]> = vec![b"a=1"; BAGGAGE_LINES_MAX + 1];
        let (part, is_whole) = of("", &many).within(CARRIED_BYTES_MAX);
        assert_eq!((part, is_whole), (of("", &[]), false));
        let (_, is_whole) = of("", many.get(1..).unwrap()).within(CARRIED_BYTES_MAX);
        assert!(is_whole);
        let bytes = vec![VERSION; CARRIED_BYTES_MAX + 1];
        assert_eq!(Carried::from_bytes(&bytes), None);
    }

    #[test]
    fn a_request_that_brings_baggage_of_its_own_keeps_it() {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", HeaderValue::from_static("mine=1"));
        of("", &[b"theirs=1"]).write_baggage(&mut headers);
        let lines: Vec<_> = headers.get_all("baggage").iter().collect();
        assert_eq!(lines, ["mine=1"]);
    }

    #[test]
    fn it_is_no_trace_without_ids() {
        for ids in [(0, 1), (1, 0)] {
            let mut carried = of("", &[]);
            (carried.trace_id, carried.span_id) = (TraceId::from(ids.0), SpanId::from(ids.1));
            assert_eq!(Carried::from_bytes(&carried.to_bytes()), None);
        }
    }
}
