//! What a caller says about the trace it is in, once it has been read and found valid.

use http::HeaderValue;
use opentelemetry::trace::{SpanId, TraceId};

/// The sampled bit of the W3C trace flags.
pub const SAMPLED: u8 = 0x01;
/// The random bit of the W3C trace flags (level 2): the last 56 bits of the trace id are random.
pub const RANDOM: u8 = 0x02;

/// A caller's span, under which ours will stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Valid, that is not zero.
    pub trace_id: TraceId,
    /// Valid, that is not zero.
    pub span_id: SpanId,
    /// The bits that leave as they came: [`SAMPLED`] and [`RANDOM`]; all others are zero.
    pub flags: u8,
    /// The caller's tracestate; nothing if it was absent or malformed.
    pub state: TraceState,
    /// B3's debug wish: sampled, kept, and handed on as debug.
    pub debug: bool,
    /// Whether the caller left the decision to us (B3 without a sampling state).
    pub deferred: bool,
}

/// What came with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// A span of the caller's.
    Parent(Parent),
    /// A sampling decision without a trace, as `b3: 0` makes one.
    Decision {
        /// Whether the new trace is sampled.
        sampled: bool,
        /// Whether it is a B3 debug trace.
        debug: bool,
    },
}

impl Inbound {
    /// The caller's span, if it named one.
    pub const fn parent(&self) -> Option<&Parent> {
        match self {
            Self::Parent(parent) => Some(parent),
            Self::Decision { .. } => None,
        }
    }
}

/// A valid tracestate as one header value (W3C Trace Context level 2, section 3.3).
///
/// Cheap to clone: the bytes are shared, often with the request they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceState(Option<HeaderValue>);

impl TraceState {
    /// No members.
    pub const EMPTY: Self = Self(None);

    /// A value whose members were checked. Only `propagate::w3c` and the sampler make one.
    pub(super) fn checked(value: HeaderValue) -> Self {
        Self((!value.is_empty()).then_some(value))
    }

    /// Whether there is nothing to send.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The header value to send, if any.
    pub const fn header(&self) -> Option<&HeaderValue> {
        self.0.as_ref()
    }

    /// The members as text; empty if there are none.
    pub fn as_str(&self) -> &str {
        let text = self.0.as_ref().map(HeaderValue::to_str);
        text.and_then(Result::ok).unwrap_or_default()
    }

    /// The value of the member called `key`.
    pub fn member(&self, key: &str) -> Option<&str> {
        self.as_str().split(',').find_map(|member| {
            let value = member.trim_matches([' ', '\t']).strip_prefix(key)?;
            value.strip_prefix('=')
        })
    }
}
