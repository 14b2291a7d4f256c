//! What the spans are from: the resource of the service edgespan stands for.

use super::wire::{self, Any};
use std::sync::Arc;

/// A resource attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum ResourceValue {
    /// Text.
    String(Arc<str>),
    /// An integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// A truth value.
    Bool(bool),
}

/// The schema that our attributes follow, for `ResourceSpans` and `ScopeSpans`.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Encodes OTLP's `Resource` message, attributes in the order given.
pub fn encode_resource(attributes: &[(Arc<str>, ResourceValue)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in attributes {
        match value {
            ResourceValue::String(text) => wire::key_value(&mut out, 1, key, &Any::Text(&[text])),
            ResourceValue::Int(value) => wire::key_value(&mut out, 1, key, &Any::Int(*value)),
            ResourceValue::Double(value) => wire::key_value(&mut out, 1, key, &Any::Double(*value)),
            ResourceValue::Bool(value) => wire::key_value(&mut out, 1, key, &Any::Bool(*value)),
        }
    }
    out
}

/// Encodes OTLP's `InstrumentationScope` message: edgespan and its version.
pub fn encode_scope() -> Vec<u8> {
    let mut out = Vec::new();
    wire::text(&mut out, 1, &["edgespan"]);
    wire::text(&mut out, 2, &[env!("CARGO_PKG_VERSION")]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, any_value::Value};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use prost::Message as _;

    #[test]
    fn a_resource_reads_back_with_its_types_and_its_order() {
        let attributes = [
            (
                Arc::from("service.name"),
                ResourceValue::String(Arc::from("orders")),
            ),
            (Arc::from("n"), ResourceValue::Int(-1)),
            (Arc::from("share"), ResourceValue::Double(0.5)),
            (Arc::from("canary"), ResourceValue::Bool(false)),
            (Arc::from("empty"), ResourceValue::String(Arc::from(""))),
        ];

        let resource = Resource::decode(encode_resource(&attributes).as_slice()).unwrap();

        let read: Vec<_> = resource
            .attributes
            .into_iter()
            .map(|attribute| (attribute.key, attribute.value.unwrap().value.unwrap()))
            .collect();
        assert_eq!(
            read,
            [
                (
                    "service.name".to_owned(),
                    Value::StringValue("orders".to_owned())
                ),
                ("n".to_owned(), Value::IntValue(-1)),
                ("share".to_owned(), Value::DoubleValue(0.5)),
                ("canary".to_owned(), Value::BoolValue(false)),
                ("empty".to_owned(), Value::StringValue(String::new())),
            ]
        );
    }

    #[test]
    fn the_scope_is_edgespan_and_its_version() {
        let scope = InstrumentationScope::decode(encode_scope().as_slice()).unwrap();

        assert_eq!(
            (scope.name.as_str(), scope.version.as_str()),
            ("edgespan", env!("CARGO_PKG_VERSION"))
        );
    }
}
