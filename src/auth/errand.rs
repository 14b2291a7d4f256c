//! Work for a decision that goes on if its client leaves: it has a recorder of its own, whose spans
//! stand under the decision's and are handed to the request when the work is done. Those of a
//! request that has ended by then are not told: its trace is closed.

use super::Recorder;
use crate::clock::Stopwatch;
use crate::trace::flags::FeatureFlags;
use crate::trace::propagate::Propagators;
use crate::trace::sampler::Head;
use crate::trace::settings::TraceSettings;
use crate::trace::sink::FinishedSpans;
use opentelemetry::trace::SpanId;

/// What such work takes along. A copy: it seldom happens, and the request may be over before.
pub(super) struct Errand {
    settings: TraceSettings,
    propagators: Propagators,
    head: Option<Head>,
    server_id: SpanId,
    watch: Stopwatch,
    flow: Option<Box<str>>,
    flags: FeatureFlags,
    spans: FinishedSpans,
    /// The decision's span.
    pub(super) decision: SpanId,
}

impl Errand {
    /// For a decision of this span.
    pub(super) fn of(recorder: &Recorder<'_>, decision: SpanId) -> Self {
        Self {
            settings: recorder.settings.clone(),
            propagators: recorder.propagators.clone(),
            head: recorder.head.cloned(),
            server_id: recorder.server_id,
            watch: recorder.watch,
            flow: recorder.flow.map(Box::from),
            flags: recorder.flags.clone(),
            spans: FinishedSpans::default(),
            decision,
        }
    }

    /// Where its spans go.
    pub(super) fn recorder(&mut self) -> Recorder<'_> {
        Recorder {
            settings: &self.settings,
            propagators: &self.propagators,
            head: self.head.as_ref(),
            server_id: self.server_id,
            watch: self.watch,
            read: self.watch.elapsed(),
            flow: self.flow.as_deref(),
            flags: &self.flags,
            spans: &mut self.spans,
        }
    }

    /// What it recorded.
    pub(super) fn into_spans(self) -> FinishedSpans {
        self.spans
    }
}
