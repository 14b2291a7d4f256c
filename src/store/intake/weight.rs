//! How much memory a message takes once it is read, told before it is.
//!
//! An empty span is two bytes on the wire and a few hundred in memory: without this, four packed
//! megabytes of them would become gigabytes.

use super::messages::{Refusal, Wire};
use crate::store::wire::{Content, Fields};
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};

/// Most bytes that the structures of a message take, its texts not counted. Eight times the
/// longest message: real ones take two to four times theirs.
const READ_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most objects of a message in JSON, where nothing tells how large each will be.
const OBJECTS_MAX: usize = READ_BYTES_MAX / 128;
/// Deepest nesting that is followed; the reader refuses what lies deeper.
const DEPTH_MAX: usize = 100;

/// What a message of the wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Request,
    ResourceSpans,
    Resource,
    EntityRef,
    ScopeSpans,
    Scope,
    Span,
    Event,
    Link,
    Pair,
    Value,
    /// An `ArrayValue`.
    Values,
    /// A `KeyValueList`.
    Pairs,
    /// A text that stands in a list.
    Text,
}

impl Part {
    /// What a field of it holds; None for what takes no more than its bytes.
    const fn below(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Resource,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::Resource, 3) => Self::EntityRef,
            (Self::EntityRef, 3 | 4) => Self::Text,
            (Self::ScopeSpans, 1) => Self::Scope,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::Resource | Self::Pairs, 1)
            | (Self::Scope | Self::Event, 3)
            | (Self::Link, 4)
            | (Self::Span, 9) => Self::Pair,
            (Self::Pair, 2) | (Self::Values, 1) => Self::Value,
            (Self::Value, 5) => Self::Values,
            (Self::Value, 6) => Self::Pairs,
            _ => return None,
        })
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Request | Self::Values | Self::Pairs => 0,
            Self::ResourceSpans => size_of::<ResourceSpans>(),
            Self::Resource => size_of::<Resource>(),
            Self::EntityRef => size_of::<EntityRef>(),
            Self::ScopeSpans => size_of::<ScopeSpans>(),
            Self::Scope => size_of::<InstrumentationScope>(),
            Self::Span => size_of::<Span>(),
            Self::Event => size_of::<span::Event>(),
            Self::Link => size_of::<span::Link>(),
            Self::Pair => size_of::<KeyValue>(),
            Self::Value => size_of::<AnyValue>(),
            Self::Text => size_of::<String>(),
        }
    }
}

/// Refuses a message that would take too much.
pub(super) fn check(message: &[u8], wire: Wire) -> Result<(), Refusal> {
    let is_light = match wire {
        Wire::Protobuf => is_light(message),
        Wire::Json => has_few_objects(message),
    };
    if is_light {
        Ok(())
    } else {
        Err(Refusal::TooLarge)
    }
}

fn is_light(message: &[u8]) -> bool {
    let mut weight = 0;
    let mut open = vec![(Part::Request, Fields::of(message))];
    while let Some((part, fields)) = open.last_mut() {
        let Some(field) = fields.next() else {
            open.pop();
            continue;
        };
        let (Some(below), Content::Bytes(bytes)) = (part.below(field.number), field.content) else {
            continue;
        };
        weight += below.bytes();
        if weight > READ_BYTES_MAX {
            return false;
        }
        if open.len() < DEPTH_MAX {
            open.push((below, Fields::of(bytes)));
        }
    }
    true
}

/// Braces in texts are none.
fn has_few_objects(message: &[u8]) -> bool {
    let (mut objects, mut in_text, mut is_escaped) = (0, false, false);
    for byte in message {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'{' if !in_text => objects += 1,
            _ => {}
        }
    }
    objects <= OBJECTS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::intake::messages::MESSAGE_BYTES_MAX;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message as _;

    fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope_spans = vec![ScopeSpans {
            spans,
            ..ScopeSpans::default()
        }];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans,
                ..ResourceSpans::default()
            }],
        }
    }

    fn pair(key: &str, value: Option<AnyValue>) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value,
            ..KeyValue::default()
        }
    }

    fn text(text: &str) -> AnyValue {
        use opentelemetry_proto::tonic::common::v1::any_value::Value;
        AnyValue {
            value: Some(Value::StringValue(text.to_owned())),
        }
    }

    #[test]
    fn a_message_of_many_empty_things_is_too_large() {
        let spans = request(vec![
            Span::default();
            READ_BYTES_MAX / size_of::<Span>() + 1
        ]);
        let attributes = vec![KeyValue::default(); READ_BYTES_MAX / size_of::<KeyValue>() + 1];
        let attributes = request(vec![Span {
            attributes,
            ..Span::default()
        }]);
        for message in [spans, attributes] {
            let message = message.encode_to_vec();
            assert!(message.len() < MESSAGE_BYTES_MAX);
            assert_eq!(check(&message, Wire::Protobuf), Err(Refusal::TooLarge));
        }

        let json = |count: usize| format!("{{\"a\":[{}{{}}]}}", "{},".repeat(count - 2));
        assert_eq!(check(json(OBJECTS_MAX).as_bytes(), Wire::Json), Ok(()));
        let over = json(OBJECTS_MAX + 1);
        assert!(over.len() < MESSAGE_BYTES_MAX);
        assert_eq!(check(over.as_bytes(), Wire::Json), Err(Refusal::TooLarge));
    }

    #[test]
    fn the_longest_message_of_real_spans_is_taken() {
        let attribute = |at: usize| pair(&format!("http.key.{at}"), Some(text("a value")));
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![1; 8],
            name: "GET /".to_owned(),
            attributes: (0..12).map(attribute).collect(),
            ..Span::default()
        };
        let count = MESSAGE_BYTES_MAX / (span.encoded_len() + 4);
        let message = request(vec![span; count]);
        let (wire, json) = (
            message.encode_to_vec(),
            serde_json::to_vec(&message).unwrap(),
        );

        assert!(wire.len() > MESSAGE_BYTES_MAX * 9 / 10);
        assert_eq!(check(&wire, Wire::Protobuf), Ok(()));
        let json = &json[..MESSAGE_BYTES_MAX];
        assert_eq!(check(json, Wire::Json), Ok(()));
    }

    #[test]
    fn braces_in_texts_are_no_objects() {
        let text = "{".repeat(OBJECTS_MAX + 1);
        let message = format!(r#"{{"a":"\"{text}","b":"\\"}}"#);
        assert_eq!(check(message.as_bytes(), Wire::Json), Ok(()));
    }

    #[test]
    fn values_in_values_are_weighed_to_any_depth() {
        let mut deep: Vec<u8> = Vec::new();
        // Arrays of one value, in the value of an attribute of a resource.
        let arrays = std::iter::repeat_n([0x0a, 0x2a], 1000).flatten();
        for tag in arrays.chain([0x12, 0x0a, 0x0a, 0x0a]) {
            let mut outer = vec![tag];
            prost::encoding::encode_varint(deep.len() as u64, &mut outer);
            outer.extend(&deep);
            deep = outer;
        }
        assert_eq!(check(&deep, Wire::Protobuf), Ok(()));
    }
}
