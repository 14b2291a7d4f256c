//! The context of a request that is refused for now and repeated after a login: what it takes to
//! go on with its trace as if nothing had come between.

use super::context::{Parent, TraceState};
use http::HeaderMap;
use opentelemetry::trace::{SpanId, TraceId};

/// Most bytes of one when it is written.
pub const CARRIED_BYTES_MAX: usize = 16 * 1024;

/// The context of a request, on its way through a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The trace.
    pub trace_id: TraceId,
    /// The SERVER span of the request that was refused.
    pub span_id: SpanId,
    /// The trace flags as they came or were decided.
    pub flags: u8,
    /// `tracestate` of the refused request, byte for byte.
    pub state: TraceState,
    /// Its `baggage` field lines, byte for byte.
    pub baggage: Vec<Vec<u8>>,
}

impl Carried {
    /// For a sealed place: never readable by anybody on the way.
    pub fn to_bytes(&self) -> Vec<u8> {
        Vec::new()
    }

    /// What [`Self::to_bytes`] wrote.
    pub fn from_bytes(_bytes: &[u8]) -> Option<Self> {
        None
    }

    /// The parent that the repeated request goes on from.
    pub fn parent(&self) -> Parent {
        Parent {
            trace_id: self.trace_id,
            span_id: self.span_id,
            flags: self.flags,
            state: self.state.clone(),
            debug: false,
            deferred: false,
        }
    }

    /// Gives a repeated request its baggage, if it brings none of its own.
    pub fn write_baggage(&self, _headers: &mut HeaderMap) {}
}
