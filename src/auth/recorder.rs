//! The spans of decisions: one INTERNAL span for each policy that is asked, CLIENT spans under it
//! for calls that leave. Each ends exactly once, also when the client leaves meanwhile.

use crate::clock::{Stopwatch, Timestamp};
use crate::telemetry::metrics::ExemplarIds;
use crate::trace::client_span::{ClientEnd, ClientStart, end_client, start_client};
use crate::trace::context::TraceState;
use crate::trace::flags::FeatureFlags;
use crate::trace::ids;
use crate::trace::propagate::Propagators;
use crate::trace::sampler::Head;
use crate::trace::settings::TraceSettings;
use crate::trace::sink::FinishedSpans;
use crate::trace::span::{OpenSpan, SpanIds};
use http::HeaderMap;
use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use std::time::Duration;

use super::Verdict;
use super::cache::{Answered, Decided, Origin};
use super::errand::Errand;

/// Where the spans of one request's decisions go.
pub struct Recorder<'a> {
    /// How spans are made.
    pub settings: &'a TraceSettings,
    /// How context is written into calls.
    pub propagators: &'a Propagators,
    /// The head decision; None: nothing is recorded, and context passes untouched.
    pub head: Option<&'a Head>,
    /// The SERVER span.
    pub server_id: SpanId,
    /// The request's clock.
    pub watch: Stopwatch,
    /// What it showed when it was last read for a decision, so that who comes next need not read it
    /// again.
    pub read: Duration,
    /// `flow`
    pub flow: Option<&'a str>,
    /// `feature_flags` and its kin.
    pub flags: &'a FeatureFlags,
    /// Where they go when they have ended.
    pub spans: &'a mut FinishedSpans,
}

impl<'a> Recorder<'a> {
    /// Opens the span of a policy's decision.
    pub fn decision(&mut self, policy: &str) -> DecisionSpan<'_, 'a> {
        self.look();
        self.decision_begun(policy)
    }

    /// The same for one that began when the clock was last read.
    pub(super) fn decision_begun(&mut self, policy: &str) -> DecisionSpan<'_, 'a> {
        let id = ids::span_id();
        let head = self.head.filter(|head| head.record);
        let span = head.map(|head| {
            let ids = SpanIds {
                trace_id: head.trace_id,
                span_id: id,
                parent: Some(self.server_id),
                parent_is_remote: false,
                flags: head.flags,
            };
            let at = self.watch.started().plus(self.read);
            let name = &["auth ", policy];
            let limits = &self.settings.limits;
            let kind = SpanKind::Internal;
            let mut span = OpenSpan::start(kind, ids, &head.state, name, at, limits);
            span.str("edgespan.auth.policy", policy);
            if let Some(flow) = self.flow {
                span.str("flow", flow);
            }
            self.flags.write(&mut span);
            span
        });
        DecisionSpan {
            recorder: self,
            span,
            id,
            is_decided: false,
        }
    }

    /// The span of a decision that stays with its request: what is done for it elsewhere stands
    /// under it.
    pub(super) const fn on_behalf(&mut self, decision: SpanId) -> DecisionSpan<'_, 'a> {
        DecisionSpan {
            recorder: self,
            span: None,
            id: decision,
            is_decided: false,
        }
    }

    /// A span of a moment, INTERNAL, under the SERVER span; where it is found. None: nothing is
    /// recorded.
    pub(super) fn moment(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut OpenSpan),
    ) -> Option<(TraceId, SpanId)> {
        let head = self.head.filter(|head| head.record)?;
        let ids = SpanIds {
            trace_id: head.trace_id,
            span_id: ids::span_id(),
            parent: Some(self.server_id),
            parent_is_remote: false,
            flags: head.flags,
        };
        let (at, limits) = (self.watch.now(), &self.settings.limits);
        let kind = SpanKind::Internal;
        let mut span = OpenSpan::start(kind, ids, &head.state, &[name], at, limits);
        write(&mut span);
        self.take(span, at);
        Some((ids.trace_id, ids.span_id))
    }

    /// Reads the clock.
    fn look(&mut self) {
        self.read = self.watch.elapsed();
    }

    fn take(&mut self, span: OpenSpan, at: Timestamp) {
        span.end(at, &mut self.spans.bytes);
        self.spans.count += 1;
    }
}

/// The span of one policy's decision. Dropped without a verdict, it says that it was cancelled.
pub struct DecisionSpan<'r, 'a> {
    recorder: &'r mut Recorder<'a>,
    span: Option<OpenSpan>,
    id: SpanId,
    is_decided: bool,
}

impl<'a> DecisionSpan<'_, 'a> {
    /// The span itself, while it is recorded.
    pub const fn span(&mut self) -> Option<&mut OpenSpan> {
        self.span.as_mut()
    }

    /// The span as an example of its duration, while it is recorded.
    pub fn exemplar(&self) -> Option<ExemplarIds> {
        let Origin { trace_id, span_id } = self.origin()?;
        Some(ExemplarIds { trace_id, span_id })
    }

    /// Opens the CLIENT span of a call that leaves, and writes its context into `headers`.
    pub fn call(&mut self, start: &ClientStart<'_>, headers: &mut HeaderMap) -> CallSpan<'_, 'a> {
        let id = ids::span_id();
        let recorder = &mut *self.recorder;
        let mut span = None;
        if let Some(head) = recorder.head {
            if head.record {
                let (at, parent) = (recorder.watch.now(), Some(self.id));
                span = Some(start_client(recorder.settings, head, id, parent, at, start));
            }
            recorder.propagators.inject(headers, &head.outgoing(id));
        }
        CallSpan { recorder, span }
    }

    /// Where others find this decision. None: nothing is recorded.
    pub(super) fn origin(&self) -> Option<Origin> {
        let head = self.recorder.head.filter(|head| head.record)?;
        Some(Origin {
            trace_id: head.trace_id,
            span_id: self.id,
        })
    }

    /// What work needs to know of this decision that goes on if the client leaves.
    pub(super) fn errand(&self) -> Errand {
        Errand::of(self.recorder, self.id)
    }

    /// Takes in the spans of such work.
    pub(super) fn take_in(&mut self, spans: &FinishedSpans) {
        let own = &mut *self.recorder.spans;
        own.bytes.extend_from_slice(&spans.bytes);
        own.count += spans.count;
    }

    /// Says where a decision came from, with a link to the span under which another request made
    /// it; the decision itself.
    pub(super) fn answered(&mut self, answered: Answered) -> Verdict {
        if let Some(span) = &mut self.span {
            span.str("edgespan.auth.cache", answered.outcome.name());
            answered.notes.write(span);
            if let Some(Origin { trace_id, span_id }) = answered.origin {
                span.link(trace_id, span_id, &TraceState::EMPTY, 0);
            }
        }
        answered.verdict
    }

    /// Says what a decision says that no cache knows; the decision itself.
    pub(super) fn decided(&mut self, decided: Decided) -> Verdict {
        if let Some(span) = &mut self.span {
            decided.notes.write(span);
        }
        decided.verdict
    }

    /// What the calls of this request are told of flow and flags.
    pub const fn recorder(&self) -> &Recorder<'a> {
        self.recorder
    }

    /// Where other spans of the request go.
    pub const fn recorder_mut(&mut self) -> &mut Recorder<'a> {
        self.recorder
    }

    /// Ends it with what was decided. The clock is read for it.
    pub fn decide(mut self, verdict: &Verdict) {
        if let Some(span) = &mut self.span {
            span.str("edgespan.auth.decision", verdict.name());
            if let Some(reason) = verdict.reason() {
                span.str("edgespan.auth.reason", reason.name());
            }
        }
        self.is_decided = true;
    }
}

impl Drop for DecisionSpan<'_, '_> {
    fn drop(&mut self) {
        self.recorder.look();
        if let Some(mut span) = self.span.take() {
            if !self.is_decided {
                span.str("edgespan.auth.decision", "cancelled");
            }
            let at = self.recorder.watch.started().plus(self.recorder.read);
            self.recorder.take(span, at);
        }
    }
}

/// The CLIENT span of a call that leaves for a decision. Dropped without an end, the call was
/// given up because our own client had left.
pub struct CallSpan<'r, 'a> {
    recorder: &'r mut Recorder<'a>,
    span: Option<OpenSpan>,
}

impl CallSpan<'_, '_> {
    /// The span itself, while it is recorded.
    pub const fn span(&mut self) -> Option<&mut OpenSpan> {
        self.span.as_mut()
    }

    /// Ends it with what came of the call.
    pub fn end(mut self, end: &ClientEnd<'_>) {
        self.close(end);
    }

    fn close(&mut self, end: &ClientEnd<'_>) {
        if let Some(mut span) = self.span.take() {
            end_client(&mut span, end);
            let at = self.recorder.watch.now();
            self.recorder.take(span, at);
        }
    }
}

impl Drop for CallSpan<'_, '_> {
    fn drop(&mut self) {
        self.close(&ClientEnd {
            cancelled_by_client: true,
            ..ClientEnd::default()
        });
    }
}
