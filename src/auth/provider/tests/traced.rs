//! A decision whose spans can be read back.

use crate::auth::{DecisionSpan, Recorder};
use crate::clock::Stopwatch;
use crate::trace::context::TraceState;
use crate::trace::flags::FeatureFlags;
use crate::trace::propagate::Propagators;
use crate::trace::sampler::Head;
use crate::trace::settings::TraceSettings;
use crate::trace::sink::FinishedSpans;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
use prost::Message as _;
use std::time::Duration;

pub(super) const TRACE: &str = "00000000000000000000000000000abc";

pub(super) struct Traced {
    settings: TraceSettings,
    propagators: Propagators,
    head: Head,
    flags: FeatureFlags,
    spans: FinishedSpans,
}

impl Traced {
    pub(super) fn new() -> Self {
        Self {
            settings: TraceSettings::default(),
            propagators: Propagators::from_names(["tracecontext"]),
            head: Head {
                trace_id: TraceId::from(0xabc),
                parent_span_id: None,
                flags: 1,
                state: TraceState::EMPTY,
                debug: false,
                record: true,
                reason: "parent",
                is_root: true,
            },
            flags: FeatureFlags::default(),
            spans: FinishedSpans::default(),
        }
    }

    /// Has `decide` decide under a span.
    pub(super) async fn decide<T>(
        &mut self,
        decide: impl for<'s, 'r, 'a> AsyncFnOnce(&'s mut DecisionSpan<'r, 'a>) -> T,
    ) -> T {
        let mut recorder = Recorder {
            settings: &self.settings,
            propagators: &self.propagators,
            head: Some(&self.head),
            server_id: SpanId::from(1),
            watch: Stopwatch::start(),
            read: Duration::ZERO,
            flow: None,
            flags: &self.flags,
            spans: &mut self.spans,
        };
        let mut span = recorder.decision("p");
        decide(&mut span).await
    }

    /// All spans that have ended.
    pub(super) fn spans(&self) -> Vec<Span> {
        ScopeSpans::decode(self.spans.bytes.as_slice())
            .unwrap()
            .spans
    }

    /// Those of calls.
    pub(super) fn calls(&self) -> Vec<Span> {
        let mut spans = self.spans();
        spans.retain(|span| span.kind == 3);
        spans
    }

    /// Everything that was recorded, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.spans.bytes).into_owned()
    }
}
