//! The request around the spans: `ExportTraceServiceRequest` of OTLP 1.x.
//!
//! ```text
//! request { 1: ResourceSpans {
//!     1: Resource
//!     2: ScopeSpans { 1: scope, 2: spans ..., 3: schema_url }
//!     3: schema_url } }
//! ```
//!
//! The spans come encoded and stay as they are; what stands around them is written once, apart
//! from two lengths.

use crate::trace::resource::{SCHEMA_URL, encode_scope};
use bytes::Bytes;

/// All fields here are length-delimited: wire type 2.
const fn tag(field: u8) -> u8 {
    (field << 3) | 2
}

/// What every request of one exporter has in common.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    /// `ResourceSpans.resource`.
    resource: Bytes,
    /// `ScopeSpans.scope`.
    scope: Bytes,
    /// `ScopeSpans.schema_url`.
    scope_end: Bytes,
    /// `ScopeSpans.schema_url` and `ResourceSpans.schema_url`, which stand side by side.
    tail: Bytes,
}

impl Envelope {
    /// Around spans of `resource`, which is an encoded `Resource` without tag and length.
    pub(super) fn new(resource: &[u8]) -> Self {
        let schema_url = field(3, SCHEMA_URL.as_bytes());
        Self {
            resource: field(1, resource),
            scope: field(1, &encode_scope()),
            tail: Bytes::from([schema_url.as_ref(), schema_url.as_ref()].concat()),
            scope_end: schema_url,
        }
    }

    /// The request for `records`, concatenated `ScopeSpans.spans`. Copies none of them.
    pub(super) fn around(&self, records: Bytes) -> ExportRequest {
        let scope_spans = self.scope.len() + records.len() + self.scope_end.len();
        let resource_spans = self.resource.len()
            + 1
            + prost::length_delimiter_len(scope_spans)
            + scope_spans
            + (self.tail.len() - self.scope_end.len());

        let mut head = Vec::with_capacity(self.resource.len() + self.scope.len() + 24);
        put_length(&mut head, 1, resource_spans);
        head.extend_from_slice(&self.resource);
        put_length(&mut head, 2, scope_spans);
        head.extend_from_slice(&self.scope);
        ExportRequest {
            head,
            records,
            tail: self.tail.clone(),
        }
    }
}

/// One encoded request, in three parts so that whoever writes it copies it once at most.
#[derive(Clone, Debug)]
pub(super) struct ExportRequest {
    head: Vec<u8>,
    records: Bytes,
    tail: Bytes,
}

impl ExportRequest {
    /// The parts in order.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        [&self.head, &self.records, &self.tail]
    }

    /// The length of all parts, in bytes.
    pub(super) const fn len(&self) -> usize {
        self.head.len() + self.records.len() + self.tail.len()
    }
}

fn field(number: u8, value: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(value.len() + 11);
    put_field(&mut bytes, number, value);
    Bytes::from(bytes)
}

fn put_field(to: &mut Vec<u8>, number: u8, value: &[u8]) {
    put_length(to, number, value.len());
    to.extend_from_slice(value);
}

fn put_length(to: &mut Vec<u8>, number: u8, mut length: usize) {
    to.push(tag(number));
    // A base-128 varint, written here because prost's writer has an error that cannot occur.
    while length >= 0x80 {
        to.push((length as u8 & 0x7f) | 0x80);
        length >>= 7;
    }
    to.push(length as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
    use proptest::prelude::*;
    use prost::Message as _;

    fn resource(service: &str) -> Resource {
        Resource {
            attributes: vec![KeyValue {
                key: "service.name".to_owned(),
                value: Some(AnyValue {
                    value: Some(Value::StringValue(service.to_owned())),
                }),
                ..KeyValue::default()
            }],
            ..Resource::default()
        }
    }

    proptest! {
        #[test]
        fn the_generated_types_read_back_resource_scope_and_every_span(
            service in ".{0,300}",
            names in prop::collection::vec(".{0,200}", 0..40),
        ) {
            let resource = resource(&service);
            let spans: Vec<Span> = names
                .into_iter()
                .map(|name| Span { name, ..Span::default() })
                .collect();
            let records = ScopeSpans { spans: spans.clone(), ..ScopeSpans::default() };

            let envelope = Envelope::new(&resource.encode_to_vec());
            let request = envelope.around(Bytes::from(records.encode_to_vec()));

            let bytes = request.parts().concat();
            prop_assert_eq!(bytes.len(), request.len());
            let read = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
            prop_assert_eq!(read.resource_spans.len(), 1);
            let of_resource = &read.resource_spans[0];
            prop_assert_eq!(of_resource.resource.as_ref(), Some(&resource));
            prop_assert_eq!(of_resource.schema_url.as_str(), SCHEMA_URL);
            prop_assert_eq!(of_resource.scope_spans.len(), 1);
            let of_scope = &of_resource.scope_spans[0];
            let scope = of_scope.scope.as_ref().unwrap();
            prop_assert_eq!(scope.name.as_str(), "edgespan");
            prop_assert_eq!(scope.version.as_str(), env!("CARGO_PKG_VERSION"));
            prop_assert_eq!(of_scope.schema_url.as_str(), SCHEMA_URL);
            prop_assert_eq!(&of_scope.spans, &spans);
        }
    }
}
