//! What a finished request hands to whoever wants its spans.

/// All spans of one request, encoded.
#[derive(Clone, Debug, Default)]
pub struct FinishedSpans {
    /// Concatenated field-2 records of OTLP's `ScopeSpans`: `0x12`, length, `Span`.
    pub bytes: Vec<u8>,
    /// How many spans `bytes` holds.
    pub count: u32,
}

/// Whoever wants finished spans. Never waits.
pub trait SpanSink: Send + Sync {
    /// Takes them, or counts them as dropped.
    fn accept(&self, spans: &FinishedSpans);
}
