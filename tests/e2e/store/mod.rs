//! Recent traces are kept, and found by whoever asks as one asks a Tempo.

mod bounds;
mod feed;
mod intake;
mod tempo;

use crate::support::client::{Reply, get, request, send, with_body};
use crate::support::proxy::Proxy;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;

const HOST: (&str, &str) = ("host", "localhost");

async fn ask(proxy: &Proxy, target: &str) -> Reply {
    get(proxy.admin, target, &[HOST]).await
}

async fn post(to: SocketAddr, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Reply {
    send(to, with_body(request("POST", "/v1/traces", headers), body)).await
}

async fn figure(proxy: &Proxy, name: &str) -> u64 {
    let figures = ask(proxy, "/api/edgespan/store").await.json();
    figures[name].as_str().unwrap().parse().unwrap()
}

/// A message of one span. Its padding is its trace's own: equal texts would be kept once.
fn message(service: &str, trace: u8, span: u8, padding: usize) -> ExportTraceServiceRequest {
    let text = |key: &str, text: String| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(text)),
        }),
        ..KeyValue::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", service.to_owned())],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope::default()),
                spans: vec![Span {
                    trace_id: vec![trace; 16],
                    span_id: vec![span; 8],
                    name: "work".to_owned(),
                    start_time_unix_nano: 1_900_000_000_000_000_000 + u64::from(trace),
                    end_time_unix_nano: 1_900_000_000_250_000_000 + u64::from(trace),
                    attributes: vec![text("padding", format!("{trace}{}", "x".repeat(padding)))],
                    ..Span::default()
                }],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

fn spans_of(groups: &Value) -> Vec<Value> {
    let groups = groups.as_array().unwrap().iter();
    let scopes = groups.flat_map(|group| group["scopeSpans"].as_array().unwrap());
    let spans = scopes.flat_map(|scope| scope["spans"].as_array().unwrap());
    spans.cloned().collect()
}
