//! Reads the caller's context from headers, and writes ours.
//!
//! Which formats are spoken is a setting (`OTEL_PROPAGATORS`). Headers of formats that are not
//! enabled pass like any other header, and `baggage` passes byte for byte whatever the setting.

mod b3;
mod w3c;

use super::context::{Inbound, TraceState};
use super::hex;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanId, TraceId};

/// Names that carry context: what a `Connection:` header nominates is removed from a request,
/// but never one of these.
pub const CONTEXT_HEADERS: [&str; 9] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
];

/// Whether `name` carries context, in whichever format.
pub fn is_context_header(name: &HeaderName) -> bool {
    CONTEXT_HEADERS.contains(&name.as_str())
}

/// The formats in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Propagators(Vec<Format>);

/// One format of context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    W3c,
    B3(b3::Encoding),
}

/// What is written into a request that leaves.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// The span under which the receiver's will stand.
    pub span_id: SpanId,
    /// [`SAMPLED`](super::context::SAMPLED) and [`RANDOM`](super::context::RANDOM).
    pub flags: u8,
    /// B3's debug wish.
    pub debug: bool,
    /// The tracestate.
    pub state: &'a TraceState,
}

impl Propagators {
    /// By the names of `OTEL_PROPAGATORS`, in order of preference: of a request that carries
    /// several formats, the first with a valid context counts. `baggage` needs no code here, and
    /// names that are not spoken (`none` among them) add nothing.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut formats = Vec::new();
        for name in names {
            let format = match name {
                "tracecontext" => Format::W3c,
                "b3" => Format::B3(b3::Encoding::Single),
                "b3multi" => Format::B3(b3::Encoding::Multi),
                _ => continue,
            };
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        Self(formats)
    }

    /// What the caller sent; `None` when that is nothing, or nothing valid.
    pub fn extract(&self, headers: &HeaderMap) -> Option<Inbound> {
        self.0.iter().find_map(|format| match format {
            Format::W3c => w3c::extract(headers).map(Inbound::Parent),
            Format::B3(_) => b3::extract(headers),
        })
    }

    /// Replaces every context header of the enabled formats, stale and repeated ones included.
    pub fn inject(&self, headers: &mut HeaderMap, outgoing: &Outgoing<'_>) {
        if self.0.iter().any(|format| matches!(format, Format::B3(_))) {
            b3::remove(headers);
        }
        for format in &self.0 {
            match format {
                Format::W3c => w3c::inject(headers, outgoing),
                Format::B3(encoding) => b3::inject(headers, outgoing, *encoding),
            }
        }
    }
}

/// The value of a header that must not be repeated.
fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes().trim_ascii()),
        _ => None,
    }
}

/// A trace id of 32 lower-case hex digits, not zero.
fn trace_id(digits: &[u8]) -> Option<TraceId> {
    let id = number(digits).filter(|&id| digits.len() == 32 && id != 0)?;
    Some(TraceId::from(id))
}

/// A span id of 16 lower-case hex digits, not zero.
fn span_id(digits: &[u8]) -> Option<SpanId> {
    let id = number(digits).filter(|&id| digits.len() == 16 && id != 0)?;
    u64::try_from(id).ok().map(SpanId::from)
}

/// The number that lower-case hex digits stand for; at most 32 of them.
fn number(digits: &[u8]) -> Option<u128> {
    if digits.len() > 32 {
        return None;
    }
    // No branch on a digit's value: ids are random, and every branch would be guessed wrong.
    let mut valid = true;
    let number = digits.iter().fold(0, |number, byte| {
        let (digit, letter) = (byte.wrapping_sub(b'0'), byte.wrapping_sub(b'a'));
        valid &= (digit < 10) | (letter < 6);
        let nibble = if digit < 10 {
            digit
        } else {
            letter.wrapping_add(10)
        };
        (number << 4) | u128::from(nibble & 0xf)
    });
    valid.then_some(number)
}

/// Appends a trace id, a dash and a span id, as both formats write them.
fn push_ids(out: &mut Vec<u8>, outgoing: &Outgoing<'_>) {
    hex::push(out, &outgoing.trace_id.to_bytes());
    out.push(b'-');
    hex::push(out, &outgoing.span_id.to_bytes());
}

/// Sets a header to text that was built from ASCII alone.
fn set(headers: &mut HeaderMap, name: &HeaderName, text: Vec<u8>) {
    // A value of digits and dashes is always valid; were it not, none is better than a stale one.
    match HeaderValue::try_from(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
