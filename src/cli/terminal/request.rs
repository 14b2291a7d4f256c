//! One finished request, read back from its encoded spans into what is shown of it.

use crate::trace::sink::FinishedSpans;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
use prost::Message;
use std::time::Duration;

/// Longest piece of span data that is looked at, in characters: a row has no room for more.
const TEXT_MAX: usize = 512;

/// `http.route` of a route that takes every path.
const EVERY_PATH: &str = "/*";

/// All spans of one request.
pub(super) struct FinishedRequest {
    /// As they were encoded: the SERVER span last. Never empty.
    pub(super) spans: Vec<ShownSpan>,
}

impl FinishedRequest {
    /// None if the bytes hold no span.
    pub(super) fn read(finished: &FinishedSpans, service: &str) -> Option<Self> {
        let decoded = ScopeSpans::decode(finished.bytes.as_slice()).ok()?;
        let spans = decoded.spans.into_iter();
        let spans: Vec<_> = spans.map(|span| ShownSpan::read(&span, service)).collect();
        (!spans.is_empty()).then_some(Self { spans })
    }

    /// The span that stands for the whole request.
    pub(super) fn root(&self) -> Option<&ShownSpan> {
        self.spans.last()
    }
}

/// What is shown of one span.
#[derive(Clone, Debug)]
pub(super) struct ShownSpan {
    /// 32 hex digits.
    pub(super) trace_id: String,
    /// 16 hex digits.
    pub(super) id: String,
    /// 16 hex digits; empty for a root.
    pub(super) parent: String,
    /// `SERVER`, `CLIENT`, `INTERNAL` ...
    pub(super) kind: &'static str,
    /// The span's name; where no route gave it one, the path stands after the method.
    pub(super) name: String,
    /// The request method, or the span's name if it has none.
    pub(super) method: String,
    /// Whose time it is: our own service, or for a CLIENT span the one that was asked.
    pub(super) service: String,
    /// The flow it belongs to.
    pub(super) flow: Option<String>,
    /// Which attempt; 1 is the first.
    pub(super) attempt: i64,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// What a policy decided.
    pub(super) decision: Option<String>,
    /// Why it did not allow.
    pub(super) reason: Option<String>,
    /// Whether that was remembered.
    pub(super) cache: Option<String>,
    /// Unix nanoseconds.
    pub(super) start: u64,
    /// Unix nanoseconds.
    pub(super) end: u64,
}

/// How a span ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// HTTP or gRPC status, as written.
    pub(super) status: Option<String>,
    /// `error.type`, unless it only repeats the status.
    pub(super) error: Option<String>,
    /// How loudly it is told.
    pub(super) weight: Weight,
}

/// How loudly an outcome is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Weight {
    /// All is well.
    #[default]
    Fine,
    /// The caller's doing: 4xx, or it went away.
    Caution,
    /// A failure.
    Failure,
}

impl ShownSpan {
    fn read(span: &Span, service: &str) -> Self {
        let attributes = Attributes(&span.attributes);
        let kind = span.kind();
        let name = attributes.name_with_path(span);
        let peer = || attributes.text("service.peer.name");
        // The SERVER span says the same of all policies together; the rows of theirs are enough.
        let decided = |key| attributes.text(key).filter(|_| kind == SpanKind::Internal);
        let address = || attributes.text("server.address");
        let service = match kind {
            SpanKind::Client | SpanKind::Producer => peer().or_else(address).unwrap_or_default(),
            SpanKind::Unspecified | SpanKind::Internal | SpanKind::Server | SpanKind::Consumer => {
                bounded(service)
            }
        };
        Self {
            trace_id: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            kind: kind_name(kind),
            method: attributes
                .text("http.request.method")
                .unwrap_or_else(|| name.clone()),
            name,
            service,
            flow: attributes.text("flow"),
            attempt: attributes
                .int("http.request.resend_count")
                .unwrap_or(0)
                .saturating_add(1),
            outcome: attributes.outcome(span),
            decision: decided("edgespan.auth.decision"),
            reason: decided("edgespan.auth.reason"),
            cache: decided("edgespan.auth.cache"),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano.max(span.start_time_unix_nano),
        }
    }

    /// How long it took.
    pub(super) const fn duration(&self) -> Duration {
        Duration::from_nanos(self.end.saturating_sub(self.start))
    }
}

struct Attributes<'a>(&'a [KeyValue]);

impl Attributes<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        let found = self.0.iter().find(|attribute| attribute.key == key)?;
        found.value.as_ref()?.value.as_ref()
    }

    fn text(&self, key: &str) -> Option<String> {
        let Value::StringValue(text) = self.value(key)? else {
            return None;
        };
        Some(bounded(text))
    }

    fn int(&self, key: &str) -> Option<i64> {
        let Value::IntValue(number) = self.value(key)? else {
            return None;
        };
        Some(*number)
    }

    fn bool(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::BoolValue(true)))
    }

    /// A SERVER span without a route is named by its method alone, and one whose route takes every
    /// path by that: neither tells a person anything. Such a span is shown with its path.
    /// A decision for a host proxy is shown with what it is about.
    fn name_with_path(&self, span: &Span) -> String {
        let name = bounded(&span.name);
        let original = |part| self.text(&format!("edgespan.original.{part}"));
        if let (Some(method), Some(host), Some(path)) =
            (original("method"), original("host"), original("path"))
        {
            return format!("{name} for {method} {host}{path}");
        }
        let method = match self.text("http.route").as_deref() {
            None => Some(name.as_str()),
            Some(EVERY_PATH) => name.strip_suffix(EVERY_PATH).map(str::trim_end),
            Some(_) => None,
        };
        let method = method.filter(|method| {
            span.kind() == SpanKind::Server
                && self.text("http.request.method").as_deref() == Some(*method)
        });
        match method.zip(self.text("url.path").filter(|path| !path.is_empty())) {
            Some((method, path)) => format!("{method} {path}"),
            None => name,
        }
    }

    fn outcome(&self, span: &Span) -> Outcome {
        let failed = span
            .status
            .as_ref()
            .is_some_and(|s| s.code() == StatusCode::Error);
        let error = self.text("error.type");
        let http = self.int("http.response.status_code");
        let grpc = self.text("rpc.response.status_code");
        // gRPC answers 200 whatever happened; its own status is the one that tells.
        let status = grpc.or_else(|| http.map(|code| code.to_string()));
        let left = self.bool("edgespan.client_disconnected");
        let decision = self
            .text("edgespan.auth.decision")
            .filter(|_| span.kind() == SpanKind::Internal);
        let weight = match http {
            Some(400..=499) => Weight::Caution,
            Some(500..) => Weight::Failure,
            _ if failed => Weight::Failure,
            _ if left => Weight::Caution,
            _ if decision.is_some() => weight_of_decision(decision.as_deref()),
            _ => Weight::Fine,
        };
        let error = error.filter(|word| Some(word) != status.as_ref());
        let error = match (error, &status) {
            (Some(word), _) => Some(word),
            (None, _) if left => Some("client left".to_owned()),
            (None, None) if failed => Some("error".to_owned()),
            (None, _) => None,
        };
        Outcome {
            status,
            error,
            weight,
        }
    }
}

/// A refusal is a policy's work; that it could not decide is a failure.
fn weight_of_decision(decision: Option<&str>) -> Weight {
    match decision {
        Some("error" | "timeout") => Weight::Failure,
        Some("deny" | "redirect" | "cancelled") => Weight::Caution,
        _ => Weight::Fine,
    }
}

const fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "SPAN",
        SpanKind::Internal => "INTERNAL",
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `0.3 ms`, `412.6 ms`, `1.204 s`.
pub(super) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let milliseconds = seconds * 1000.0;
    if milliseconds < 0.05 {
        format!("{milliseconds:.2} ms")
    } else if milliseconds < 999.95 {
        format!("{milliseconds:.1} ms")
    } else if seconds < 100.0 {
        format!("{seconds:.3} s")
    } else {
        format!("{seconds:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::fixtures;
    use proptest::prelude::*;

    #[test]
    fn durations_keep_the_digits_that_matter() {
        let check = |micros, expected: &str| {
            assert_eq!(duration_text(Duration::from_micros(micros)), expected);
        };
        check(20, "0.02 ms");
        check(300, "0.3 ms");
        check(412_600, "412.6 ms");
        check(999_940, "999.9 ms");
        check(999_950, "1.000 s");
        check(1_204_000, "1.204 s");
        check(100_000_000, "100.0 s");
    }

    #[test]
    fn the_server_span_stands_for_the_request() {
        let finished = fixtures::release_failed();
        let request = FinishedRequest::read(&finished, "edgespan").unwrap();

        let root = request.root().unwrap();

        assert_eq!(root.kind, "SERVER");
        assert_eq!(root.outcome.status.as_deref(), Some("502"));
        assert_eq!(root.outcome.weight, Weight::Failure);
        assert_eq!(request.spans.first().unwrap().service, "payout");
    }

    #[test]
    fn a_request_whose_route_tells_nothing_is_shown_with_its_path() {
        let name = |finished| {
            let request = FinishedRequest::read(&finished, "edgespan").unwrap();
            request.root().unwrap().name.clone()
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
