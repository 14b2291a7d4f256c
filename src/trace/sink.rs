//! What a finished request hands to whoever wants its spans.

/// All spans of one request, encoded.
#[derive(Clone, Debug, Default)]
pub struct FinishedSpans {
    /// Concatenated records of OTLP's `ScopeSpans` field 2 (tag, length, `Span`): by themselves a
    /// valid `ScopeSpans` message. The SERVER span comes last.
    pub bytes: Vec<u8>,
    /// How many spans that is.
    pub count: u32,
}

/// Whoever wants finished spans. Never waits.
pub trait SpanSink: Send + Sync {
    /// Takes them, or counts them as dropped.
    fn accept(&self, spans: &FinishedSpans);
}
