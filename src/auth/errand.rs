//! Work for a decision that goes on if its client leaves: it has a recorder of its own, whose spans
//! stand under the decision's. They are handed to the request when the work is done; if it has ended
//! by then, they leave by themselves.

use super::Recorder;
use crate::clock::Stopwatch;
use crate::trace::flags::FeatureFlags;
use crate::trace::propagate::Propagators;
use crate::trace::sampler::Head;
use crate::trace::settings::TraceSettings;
use crate::trace::sink::{FinishedSpans, SpanSink};
use opentelemetry::trace::SpanId;
use std::sync::Arc;

/// What such work takes along. A copy: it seldom happens, and the request may be over before.
pub(super) struct Errand {
    settings: TraceSettings,
    propagators: Propagators,
    head: Option<Head>,
    server_id: SpanId,
    watch: Stopwatch,
    flow: Option<Box<str>>,
    flags: FeatureFlags,
    spans: Errands,
    /// The decision's span.
    pub(super) decision: SpanId,
}

/// The spans of such work. Dropped before anybody took them, they go where the request's own have
/// gone.
pub(super) struct Errands {
    spans: FinishedSpans,
    sinks: Vec<Arc<dyn SpanSink>>,
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
            spans: Errands {
                spans: FinishedSpans::default(),
                sinks: recorder.sinks.to_vec(),
            },
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
            spans: &mut self.spans.spans,
            sinks: &self.spans.sinks,
        }
    }

    /// What it recorded.
    pub(super) fn into_spans(self) -> Errands {
        self.spans
    }
}

impl Errands {
    /// For the request that wanted the work done.
    pub(super) fn take(mut self) -> FinishedSpans {
        std::mem::take(&mut self.spans)
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        if self.spans.count > 0 {
            for sink in &self.sinks {
                sink.accept(&self.spans);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Taken(Mutex<u32>);

    impl SpanSink for Taken {
        fn accept(&self, spans: &FinishedSpans) {
            *self.0.lock().unwrap() += spans.count;
        }
    }

    #[test]
    fn spans_that_nobody_took_leave_once_and_those_that_somebody_took_never() {
        let sink = Arc::new(Taken::default());
        let errands = || Errands {
            spans: FinishedSpans {
                bytes: vec![0],
                count: 2,
            },
            sinks: vec![Arc::clone(&sink) as Arc<dyn SpanSink>],
        };

        assert_eq!(errands().take().count, 2);
        assert_eq!(*sink.0.lock().unwrap(), 0);
        drop(errands());
        assert_eq!(*sink.0.lock().unwrap(), 2);
    }
}
