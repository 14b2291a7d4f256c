//! Spans as a test asks about them.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

/// One exported span.
#[derive(Clone, Debug)]
pub struct SeenSpan(pub Span);

impl SeenSpan {
    pub fn is_server(&self) -> bool {
        self.0.kind() == SpanKind::Server
    }

    pub fn is_client(&self) -> bool {
        self.0.kind() == SpanKind::Client
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn trace_id(&self) -> String {
        hex(&self.0.trace_id)
    }

    pub fn span_id(&self) -> String {
        hex(&self.0.span_id)
    }

    pub fn parent_id(&self) -> String {
        hex(&self.0.parent_span_id)
    }

    pub fn status(&self) -> StatusCode {
        self.0
            .status
            .as_ref()
            .map_or(StatusCode::Unset, |status| status.code())
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        find(&self.0.attributes, key)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    pub fn int(&self, key: &str) -> Option<i64> {
        match self.value(key)? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        }
    }

    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::BoolValue(truth) => Some(*truth),
            _ => None,
        }
    }

    pub fn double(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            Value::DoubleValue(number) => Some(*number),
            _ => None,
        }
    }

    pub fn texts(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(Value::ArrayValue(array)) => array
                .values
                .iter()
                .filter_map(|value| match &value.value {
                    Some(Value::StringValue(text)) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

pub fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let mut found = attributes.iter().filter(|attribute| attribute.key == key);
    let value = found
        .next()?
        .value
        .as_ref()
        .and_then(|AnyValue { value }| value.as_ref());
    assert!(found.next().is_none(), "attribute {key} stands twice");
    value
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of one request.
#[derive(Clone, Debug)]
pub struct Edges(pub Vec<SeenSpan>);

impl Edges {
    #[track_caller]
    pub fn server(&self) -> &SeenSpan {
        let mut servers = self.0.iter().filter(|span| span.is_server());
        let server = servers.next().expect("a SERVER span");
        assert!(servers.next().is_none(), "one SERVER span");
        server
    }

    #[track_caller]
    pub fn client(&self) -> &SeenSpan {
        let clients = self.clients();
        assert_eq!(clients.len(), 1, "one CLIENT span");
        clients[0]
    }

    /// The first decision of a policy.
    #[track_caller]
    pub fn decision(&self) -> &SeenSpan {
        let mut spans = self.0.iter();
        let is_decision = |span: &&SeenSpan| span.name().starts_with("auth ");
        spans.find(is_decision).expect("the span of a decision")
    }

    pub fn clients(&self) -> Vec<&SeenSpan> {
        self.0.iter().filter(|span| span.is_client()).collect()
    }
}
