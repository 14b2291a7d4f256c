//! The attempts of one request: their spans, and what is counted of them.

use super::call;
use super::context::RequestContext;
use super::error::ProxyError;
use super::informational::Heard;
use super::outcome::Outcome;
use crate::telemetry::metrics::{ClientObservation, ExemplarIds};
use crate::trace::client_span::{ClientEnd, ClientStart, end_client, start_client};
use crate::trace::ids;
use crate::trace::rpc::{GrpcStatus, Messages};
use crate::trace::span::OpenSpan;
use crate::upstream::Load;
use http::{HeaderMap, Response, StatusCode, Version};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Too few endpoints are well, so that this one was asked although it is not.
pub(super) const PANIC: &str = "edgespan.upstream.panic";

/// One attempt at an upstream, while it runs.
pub(super) struct Attempt {
    pub(super) span: Option<OpenSpan>,
    /// Which of the request's attempts, counted from one.
    pub(super) number: u32,
    /// When it began, from the request's start.
    pub(super) began: Duration,
    /// 1xx responses so far.
    pub(super) heard: Option<Arc<Heard>>,
    /// Its place at the endpoint.
    _load: Load,
    pub(super) status: Option<StatusCode>,
    pub(super) version: Option<Version>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) grpc_status: Option<GrpcStatus>,
}

impl RequestContext {
    /// Opens the CLIENT span of an attempt that begins `now`, counted from the request's start.
    pub(super) fn client_span(&self, now: Duration, to: &ClientStart<'_>) -> Option<OpenSpan> {
        let head = self.head.as_ref().filter(|head| head.record)?;
        let at = self.watch.started().plus(now);
        let parent = Some(self.server_id);
        let trace = &self.live.trace;
        Some(start_client(trace, head, ids::span_id(), parent, at, to))
    }

    /// The SERVER span says that a request went to an endpoint that is not well.
    pub(super) fn say_panic(&mut self) {
        if !std::mem::replace(&mut self.said_panic, true)
            && let Some(span) = &mut self.server
        {
            span.bool(PANIC, true);
        }
    }

    /// An attempt begins: `headers` get the context that makes the upstream's span its child.
    pub(super) fn begin_attempt(
        &mut self,
        now: Duration,
        span: Option<OpenSpan>,
        heard: Option<Arc<Heard>>,
        load: Load,
        headers: &mut HeaderMap,
    ) -> Attempt {
        self.hand_over(now);
        if let Some(head) = &self.head {
            let span_id = match &span {
                Some(span) => span.ids().span_id,
                None => ids::span_id(),
            };
            self.live
                .propagators
                .inject(headers, &head.outgoing(span_id));
        }
        if let Some(place) = &mut self.adaptive {
            let at = self.watch.started_instant() + now;
            place.asked(at, self.request_body.as_ref());
        }
        self.attempts += 1;
        // What an attempt before this one said counts no more.
        self.grpc_status = None;
        self.answer_messages = None;
        Attempt {
            span,
            number: self.attempts,
            began: now,
            heard,
            _load: load,
            status: None,
            version: None,
            peer: None,
            grpc_status: None,
        }
    }

    /// The attempt has the head of an answer.
    pub(super) fn answered<B>(&mut self, response: &Response<B>, peer: Option<SocketAddr>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.status = Some(response.status());
            attempt.version = Some(response.version());
            attempt.peer = peer;
        }
        self.answer_version = response.version();
        self.answer_messages = call::answer_reader(self, response.headers());
        self.note_grpc_status(response.headers());
    }

    /// The attempt is over, with an answer that is not passed on.
    pub(super) fn abandon_attempt(&mut self) {
        let now = self.watch.elapsed();
        self.take_back(now);
        self.end_attempt(now, None, false);
    }

    /// The attempt failed without an answer.
    pub(super) fn fail_attempt(&mut self, error: &ProxyError) {
        let now = self.watch.elapsed();
        self.take_back(now);
        let cancelled = matches!(error, ProxyError::ClientGone | ProxyError::BodyIdle);
        let error_type = error.attempt_error_type().or(if cancelled {
            None
        } else {
            Some("request_aborted")
        });
        self.end_attempt(now, error_type, cancelled);
    }

    fn end_attempt(
        &mut self,
        now: Duration,
        error_type: Option<&'static str>,
        cancelled_by_client: bool,
    ) {
        if let Some(attempt) = self.attempt.take() {
            self.close(attempt, now, error_type, cancelled_by_client);
        }
    }

    /// Writes how an attempt ended, and ends its span.
    pub(super) fn close(
        &mut self,
        attempt: Attempt,
        now: Duration,
        error_type: Option<&'static str>,
        cancelled_by_client: bool,
    ) {
        if let Some(upstream) = &self.upstream {
            let recorded = self.head.as_ref().filter(|head| head.record);
            let span_id = attempt.span.as_ref().map(|span| span.ids().span_id);
            self.live.metrics.client_request(&ClientObservation {
                upstream,
                method: self.live.trace.known_methods.text(&self.method).method,
                status: attempt.status.map(|status| status.as_u16()),
                error_type,
                duration: now.saturating_sub(attempt.began),
                ended: self.watch.started().plus(now),
                exemplar: recorded.zip(span_id).map(|(head, span_id)| ExemplarIds {
                    trace_id: head.trace_id,
                    span_id,
                }),
            });
        }
        let Some(mut span) = attempt.span else { return };
        if let Some(heard) = &attempt.heard {
            heard.record(&mut span);
        }
        let messages = call::messages(self).map(Messages::from_the_other_side);
        let end = ClientEnd {
            messages,
            status: attempt.status.map(|status| status.as_u16()),
            error_type,
            grpc_status: attempt.grpc_status,
            cancelled_by_client,
            version: attempt.version,
            peer: attempt.peer,
        };
        end_client(&mut span, &end);
        let ended = self.watch.started().plus(now);
        let spans = self.spans();
        span.end(ended, &mut spans.bytes);
        spans.count += 1;
    }

    /// Ends a running attempt as its request ends, `now` after its start.
    pub(super) fn end_attempt_with(&mut self, now: Duration, outcome: Outcome) {
        for rival in std::mem::take(&mut self.rivals) {
            self.close(rival, now, None, true);
        }
        match outcome {
            Outcome::Complete => self.end_attempt(now, None, false),
            Outcome::Canceled => self.end_attempt(now, None, true),
            Outcome::AnswerBroken(kind) => self.end_attempt(now, Some(kind), false),
        }
    }

    /// The CLIENT span of the attempt that runs.
    pub(super) fn attempt_span(&mut self) -> Option<&mut OpenSpan> {
        self.attempt.as_mut()?.span.as_mut()
    }
}
