//! W3C Trace Context level 2: `traceparent` and `tracestate`.

use super::{Outgoing, number, push_ids, set, sole, span_id, trace_id};
use crate::trace::context::{Parent, RANDOM, SAMPLED, TraceState};
use crate::trace::hex;
use http::{HeaderMap, HeaderName, HeaderValue};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of a version 00 `traceparent`.
const TRACEPARENT_BYTES: usize = 55;
/// Most members of a tracestate (section 3.3.1.1); one more makes all of it invalid.
const MEMBERS_MAX: usize = 32;
/// Longest key and longest value of a member.
const KEY_OR_VALUE_BYTES_MAX: usize = 256;

/// The caller's span. A repeated or malformed `traceparent` is none, and takes the tracestate
/// with it; a malformed tracestate costs only itself.
pub(super) fn extract(headers: &HeaderMap) -> Option<Parent> {
    let mut parent = traceparent(sole(headers, &TRACEPARENT)?)?;
    parent.state = tracestate(headers).unwrap_or_default();
    Some(parent)
}

/// Replaces both headers. An empty tracestate is not sent: receivers choke on one.
pub(super) fn inject(headers: &mut HeaderMap, outgoing: &Outgoing<'_>) {
    let mut text = Vec::with_capacity(TRACEPARENT_BYTES);
    text.extend_from_slice(b"00-");
    push_ids(&mut text, outgoing);
    text.push(b'-');
    hex::push(&mut text, &[outgoing.flags & (SAMPLED | RANDOM)]);
    set(headers, &TRACEPARENT, text);
    match outgoing.state.header() {
        Some(state) => drop(headers.insert(&TRACESTATE, state.clone())),
        None => drop(headers.remove(&TRACESTATE)),
    }
}

/// `version "-" trace-id "-" parent-id "-" trace-flags`. Of versions above 00 the fields that
/// 00 has are read, if a dash or the end follows them; `ff` is forbidden.
fn traceparent(text: &[u8]) -> Option<Parent> {
    let (fields, beyond) = text.split_at_checked(TRACEPARENT_BYTES)?;
    let mut fields = fields.split(|&byte| byte == b'-');
    let version = octet(fields.next()?)?;
    let parent = Parent {
        trace_id: trace_id(fields.next()?)?,
        span_id: span_id(fields.next()?)?,
        // Other bits have no meaning yet and must not be handed on (section 3.2.2.5).
        flags: octet(fields.next()?)? & (SAMPLED | RANDOM),
        state: TraceState::EMPTY,
        debug: false,
        deferred: false,
    };
    let end = match (version, beyond) {
        (0xff, _) => false,
        (_, []) => true,
        (0, _) => false,
        (_, [next, ..]) => *next == b'-',
    };
    (end && fields.next().is_none()).then_some(parent)
}

/// Exactly two lower-case hex digits.
fn octet(digits: &[u8]) -> Option<u8> {
    let number = number(digits).filter(|_| digits.len() == 2)?;
    u8::try_from(number).ok()
}

/// All tracestate headers as one, in order; `None` if any member is malformed or there are too
/// many. A single header without empty members leaves byte for byte as it came.
fn tracestate(headers: &HeaderMap) -> Option<TraceState> {
    let mut values = headers.get_all(&TRACESTATE).iter();
    let Some(first) = values.next() else {
        return Some(TraceState::EMPTY);
    };
    if values.next().is_none() && is_canonical(first)? {
        return Some(TraceState::checked(first.clone()));
    }
    let mut joined = Vec::new();
    let mut count = 0;
    for value in headers.get_all(&TRACESTATE) {
        for member in members(value) {
            count += 1;
            if count > MEMBERS_MAX || !is_member(member) {
                return None;
            }
            if !joined.is_empty() {
                joined.push(b',');
            }
            joined.extend_from_slice(member);
        }
    }
    HeaderValue::try_from(joined).ok().map(TraceState::checked)
}

/// Whether a header can stand as it is; `None` if it is malformed.
fn is_canonical(value: &HeaderValue) -> Option<bool> {
    let mut count = 0;
    for member in members(value) {
        count += 1;
        if count > MEMBERS_MAX || !is_member(member) {
            return None;
        }
    }
    let bytes = value.as_bytes();
    // Empty members are allowed, but a receiver that refuses them would refuse the rest, too.
    Some(bytes.trim_ascii().len() == bytes.len() && commas(bytes) + 1 == count)
}

fn commas(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b',').count()
}

/// The members of one header, without the space around them and without empty ones.
fn members(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let members = value.as_bytes().split(|&byte| byte == b',');
    members
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// `key "=" value` by the grammar of level 2: `@` may stand anywhere in a key but first.
fn is_member(member: &[u8]) -> bool {
    let mut halves = member.splitn(2, |&byte| byte == b'=');
    let (Some(key), Some(value)) = (halves.next(), halves.next()) else {
        return false;
    };
    is_key(key) && is_value(value)
}

fn is_key(key: &[u8]) -> bool {
    let starts_well = matches!(key.first(), Some(b'a'..=b'z' | b'0'..=b'9'));
    let keychar =
        |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    starts_well && key.len() <= KEY_OR_VALUE_BYTES_MAX && key.iter().all(keychar)
}

/// Printable ASCII without `,` and `=`; the space at its end is gone already.
fn is_value(value: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'=';
    (1..=KEY_OR_VALUE_BYTES_MAX).contains(&value.len()) && value.iter().all(printable)
}
