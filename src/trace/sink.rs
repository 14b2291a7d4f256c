//! What a finished request hands to whoever wants its spans.

/// All spans of one request, encoded.
#[derive(Clone, Debug, Default)]
pub struct FinishedSpans {
    /// Concatenated records of `ScopeSpans` field 2, and so itself a valid `ScopeSpans` message.
    /// The SERVER span is the last one.
    pub bytes: Vec<u8>,
    /// How many spans.
    pub count: u32,
}

/// Whoever wants finished spans. Never waits.
pub trait SpanSink: Send + Sync {
    /// Takes the spans of one request; what there is no room for is counted, not waited for.
    fn accept(&self, spans: &FinishedSpans);
}
