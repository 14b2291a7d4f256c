//! One finished request, read back from its encoded spans.

use crate::trace::sink::FinishedSpans;
use crate::view::{Span, Trace};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;

/// All spans of one request.
pub(super) struct FinishedRequest {
    /// Never empty.
    pub(super) trace: Trace,
    root: SpanId,
}

impl FinishedRequest {
    /// None if the bytes hold no span. They stand for `service`.
    pub(super) fn read(finished: &FinishedSpans, service: &str) -> Option<Self> {
        let decoded = ScopeSpans::decode(finished.bytes.as_slice()).ok()?;
        // The SERVER span is encoded last: it ends when all else has.
        let last = decoded.spans.last()?;
        let id = TraceId::from_bytes(last.trace_id.as_slice().try_into().ok()?);
        let root = SpanId::from_bytes(last.span_id.as_slice().try_into().ok()?);
        let resource = Resource {
            attributes: vec![KeyValue {
                key: "service.name".to_owned(),
                value: Some(AnyValue {
                    value: Some(Value::StringValue(service.to_owned())),
                }),
                ..KeyValue::default()
            }],
            ..Resource::default()
        };
        let group = ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![decoded],
            ..ResourceSpans::default()
        };
        let trace = Trace::of_resource_spans(id, &[group]);
        Some(Self { trace, root })
    }

    /// The span that stands for the whole request.
    pub(super) fn root(&self) -> Option<&Span> {
        self.trace.span(self.root)
    }

    /// Whether a span is that one.
    pub(super) fn is_root(&self, span: &Span) -> bool {
        span.id == self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::fixtures;
    use crate::view::Weight;
    use proptest::prelude::*;

    #[test]
    fn the_server_span_stands_for_the_request() {
        let finished = fixtures::release_failed();
        let request = FinishedRequest::read(&finished, "edgespan").unwrap();

        let root = request.root().unwrap();

        assert_eq!(root.kind.name(), "SERVER");
        assert_eq!(root.outcome().status.as_deref(), Some("502"));
        assert_eq!(root.outcome().weight, Weight::Failure);
        assert_eq!(request.trace.spans.last().unwrap().told_service(), "payout");
    }

    #[test]
    fn a_request_whose_route_tells_nothing_is_shown_with_its_path() {
        let name = |finished| {
            let request = FinishedRequest::read(&finished, "edgespan").unwrap();
            request.root().unwrap().told_name()
        };

        assert_eq!(name(fixtures::under_a_route_for_everything()), "GET /hello");
        assert_eq!(name(fixtures::unrouted()), "GET /favicon.ico");
        assert_eq!(
            name(fixtures::release_done()),
            "POST /api/v1/orders/{order_id}/release"
        );
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_spans_are_no_request(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let finished = FinishedSpans { bytes, count: 1 };
            if let Some(request) = FinishedRequest::read(&finished, "edgespan") {
                prop_assert!(request.root().is_some());
            }
        }
    }
}
