//! B3, Zipkin's format: one header, or one for each field (openzipkin/b3-propagation).
//!
//! Both encodings are read whichever is written, the single header first. A trace id of 64 bits
//! is padded with zeros on the left, and leaves with 128.

use super::{Outgoing, push_ids, set, sole, span_id, trace_id};
use crate::trace::context::{Inbound, Parent, SAMPLED, TraceState};
use crate::trace::hex;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanId, TraceId};

static SINGLE: HeaderName = HeaderName::from_static("b3");
static TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
static SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
static PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");
static SAMPLING: HeaderName = HeaderName::from_static("x-b3-sampled");
static FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// Which headers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `b3: trace-span-state`
    Single,
    /// `x-b3-traceid`, `x-b3-spanid`, and `x-b3-sampled` or `x-b3-flags`.
    Multi,
}

/// B3's sampling state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Denied,
    Accepted,
    Debug,
    /// Absent: the receiver decides.
    Deferred,
}

/// The caller's span or bare decision.
pub(super) fn extract(headers: &HeaderMap) -> Option<Inbound> {
    sole(headers, &SINGLE)
        .and_then(single)
        .or_else(|| multi(headers))
}

/// Removes every B3 header, so that none of a caller's is left beside ours. The parent's id goes
/// for good: receivers learn it from the spans.
pub(super) fn remove(headers: &mut HeaderMap) {
    for name in [
        &SINGLE,
        &TRACE_ID,
        &SPAN_ID,
        &PARENT_SPAN_ID,
        &SAMPLING,
        &FLAGS,
    ] {
        headers.remove(name);
    }
}

/// Writes one encoding.
pub(super) fn inject(headers: &mut HeaderMap, outgoing: &Outgoing<'_>, encoding: Encoding) {
    let state = match outgoing {
        Outgoing { debug: true, .. } => State::Debug,
        Outgoing { flags, .. } if flags & SAMPLED != 0 => State::Accepted,
        _ => State::Denied,
    };
    match encoding {
        Encoding::Single => {
            let mut text = Vec::with_capacity(51);
            push_ids(&mut text, outgoing);
            text.extend_from_slice(match state {
                State::Debug => b"-d",
                State::Accepted => b"-1",
                State::Denied | State::Deferred => b"-0",
            });
            set(headers, &SINGLE, text);
        }
        Encoding::Multi => inject_multi(headers, outgoing, state),
    }
}

fn inject_multi(headers: &mut HeaderMap, outgoing: &Outgoing<'_>, state: State) {
    let mut text = Vec::with_capacity(32);
    hex::push(&mut text, &outgoing.trace_id.to_bytes());
    set(headers, &TRACE_ID, text);
    let mut text = Vec::with_capacity(16);
    hex::push(&mut text, &outgoing.span_id.to_bytes());
    set(headers, &SPAN_ID, text);
    // Debug implies sampled, which is then not said beside it.
    let (name, value) = match state {
        State::Debug => (&FLAGS, "1"),
        State::Accepted => (&SAMPLING, "1"),
        State::Denied | State::Deferred => (&SAMPLING, "0"),
    };
    headers.insert(name, HeaderValue::from_static(value));
}

/// `trace-span`, `trace-span-state`, `trace-span-state-parent`, or the state alone.
fn single(text: &[u8]) -> Option<Inbound> {
    let mut fields = text.split(|&byte| byte == b'-');
    let first = fields.next()?;
    let Some(span) = fields.next() else {
        return decision(state(first)?);
    };
    let state = fields.next().map_or(Some(State::Deferred), state)?;
    if let Some(parent) = fields.next() {
        span_id(parent)?;
    }
    let parent = parent(short_trace_id(first)?, span_id(span)?, state);
    fields.next().is_none().then_some(Inbound::Parent(parent))
}

/// One header for each field.
fn multi(headers: &HeaderMap) -> Option<Inbound> {
    let state = if sole(headers, &FLAGS) == Some(b"1") {
        State::Debug
    } else {
        match sole(headers, &SAMPLING) {
            // Tracers older than the specification wrote truth values.
            Some(b"1" | b"true") => State::Accepted,
            Some(b"0" | b"false") => State::Denied,
            _ => State::Deferred,
        }
    };
    if !headers.contains_key(&TRACE_ID) && !headers.contains_key(&SPAN_ID) {
        return decision(state);
    }
    let trace_id = short_trace_id(sole(headers, &TRACE_ID)?)?;
    let span_id = span_id(sole(headers, &SPAN_ID)?)?;
    Some(Inbound::Parent(parent(trace_id, span_id, state)))
}

fn parent(trace_id: TraceId, span_id: SpanId, state: State) -> Parent {
    let sampled = matches!(state, State::Accepted | State::Debug);
    Parent {
        trace_id,
        span_id,
        flags: if sampled { SAMPLED } else { 0 },
        state: TraceState::EMPTY,
        debug: state == State::Debug,
        deferred: state == State::Deferred,
    }
}

fn decision(state: State) -> Option<Inbound> {
    (state != State::Deferred).then_some(Inbound::Decision {
        sampled: state != State::Denied,
        debug: state == State::Debug,
    })
}

fn state(text: &[u8]) -> Option<State> {
    match text {
        b"0" => Some(State::Denied),
        b"1" => Some(State::Accepted),
        b"d" => Some(State::Debug),
        _ => None,
    }
}

/// 32 or 16 digits.
fn short_trace_id(digits: &[u8]) -> Option<TraceId> {
    match digits.len() {
        16 => {
            span_id(digits).map(|low| TraceId::from(u128::from(u64::from_be_bytes(low.to_bytes()))))
        }
        _ => trace_id(digits),
    }
}
