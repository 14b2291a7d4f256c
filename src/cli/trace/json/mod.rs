//! Answers for machines: one array for `find`, one document for `show`, one object a line for
//! `tail`, and OTLP as it came.

mod show;

#[cfg(test)]
mod tests;

use crate::backend::{Found, Summary};
use crate::view::Trace;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, TracesData};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use show::ShownTrace;

/// A trace in a list: Tempo's names where it has them; what is not known is null.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundTrace {
    /// `edgespan.find/1`, or `edgespan.tail/1` of `trace tail`. Within a version fields are only
    /// added.
    schema: &'static str,
    /// 32 hex digits.
    #[serde(rename = "traceID")]
    trace_id: String,
    /// Empty while the root is not there.
    root_service_name: String,
    /// Empty while the root is not there.
    root_trace_name: String,
    /// Nanoseconds since 1970, as text: JSON's numbers lose their last digits.
    start_time_unix_nano: String,
    /// Whole milliseconds.
    duration_ms: u64,
    /// Nanoseconds, as text.
    duration_nano: String,
    /// How many spans are known.
    span_count: Option<u32>,
    /// Whether a span of it is an error.
    error: Option<bool>,
    /// HTTP status of the root.
    status_code: Option<u16>,
    /// The flow.
    flow: Option<String>,
    /// `url.path` of the root.
    url_path: Option<String>,
}

impl FoundTrace {
    fn of(trace: &Summary, schema: &'static str) -> Self {
        Self {
            schema,
            trace_id: trace.id.to_string(),
            root_service_name: trace.root_service.clone(),
            root_trace_name: trace.root_name.clone(),
            start_time_unix_nano: trace.start.to_string(),
            duration_ms: trace.duration / 1_000_000,
            duration_nano: trace.duration.to_string(),
            span_count: trace.spans,
            error: trace.is_error,
            status_code: trace.status,
            flow: trace.flow.clone(),
            url_path: trace.path.clone(),
        }
    }
}

/// One array, a trace a line.
pub fn find(found: &Found) -> String {
    let traces = found
        .traces
        .iter()
        .map(|trace| written(&FoundTrace::of(trace, "edgespan.find/1")));
    let traces: Vec<_> = traces.collect();
    format!("[{}]\n", traces.join(",\n "))
}

/// One object on a line of its own.
pub fn tail(trace: &Summary) -> String {
    format!("{}\n", written(&FoundTrace::of(trace, "edgespan.tail/1")))
}

/// One document, of all that is known of the trace.
pub fn show(trace: &Trace) -> String {
    format!("{}\n", written(&ShownTrace::of(trace)))
}

/// JSON Schema of what [`find`] writes.
pub fn find_schema() -> Schema {
    schema_for!(Vec<FoundTrace>)
}

/// JSON Schema of a line of [`tail`].
pub fn tail_schema() -> Schema {
    schema_for!(FoundTrace)
}

/// JSON Schema of what [`show()`] writes.
pub fn show_schema() -> Schema {
    schema_for!(ShownTrace)
}

/// OTLP's JSON encoding of what a backend has of a trace: one `TracesData`.
pub fn otlp(groups: Vec<ResourceSpans>) -> String {
    let data = TracesData {
        resource_spans: groups,
    };
    format!("{}\n", written(&data))
}

/// What is written has text for keys and no floats that JSON lacks, so this does not fail.
fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
