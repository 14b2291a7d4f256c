//! A trace by its id, as protobuf or JSON, in both versions of Tempo's API.

use super::Api;
use super::json::groups;
use super::parameters::{Parameters, trace_id};
use super::reply::{JSON, Made, PROTOBUF, Refused, takes_gzip};
use crate::store::Kept;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use serde_json::{Value, json};

/// `tempopb.TraceByIDResponse`; its `Trace` has the form of OTLP's `TracesData`.
#[derive(Clone, PartialEq, Message)]
struct TraceByIdResponse {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
    /// `PartialStatus`: 0 complete, 1 partial.
    #[prost(int32, tag = "3")]
    status: i32,
    #[prost(string, tag = "4")]
    message: String,
}

/// `/api/traces/{id}`
pub(super) async fn batches(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    answer(&api, &id, &uri, &headers, |kept, is_protobuf| {
        if is_protobuf {
            traces_data(kept).encode_to_vec()
        } else {
            let batches = groups(&kept.groups);
            json!({ "batches": batches }).to_string().into_bytes()
        }
    })
    .await
}

/// `/api/v2/traces/{id}`
pub(super) async fn by_id(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    answer(&api, &id, &uri, &headers, |kept, is_protobuf| {
        let cut = kept.cut_spans;
        let message = (cut > 0).then(|| {
            format!(
                "{cut} spans of this trace were not kept: one trace may have a share of the store"
            )
        });
        if is_protobuf {
            let response = TraceByIdResponse {
                trace: Some(traces_data(kept)),
                status: i32::from(message.is_some()),
                message: message.unwrap_or_default(),
            };
            return response.encode_to_vec();
        }
        let mut response = json!({"trace": {"resourceSpans": groups(&kept.groups)}});
        if let (Some(message), Value::Object(members)) = (message, &mut response) {
            members.insert("status".to_owned(), "PARTIAL".into());
            members.insert("message".to_owned(), message.into());
        }
        response.to_string().into_bytes()
    })
    .await
}

async fn answer(
    api: &Api,
    id: &str,
    uri: &Uri,
    headers: &HeaderMap,
    write: impl FnOnce(Kept, bool) -> Vec<u8> + Send + 'static,
) -> Result<Response, Refused> {
    let id = trace_id(id)?;
    // Grafana asks with a range. A trace that is here is told whole, whatever its time.
    Parameters::of(uri).range()?;
    let store = api.store()?;
    let (is_protobuf, gzip) = (wants_protobuf(headers), takes_gzip(headers));
    let made = api.questions.work(move || {
        let bytes = write(store.kept(id)?, is_protobuf);
        let kind = if is_protobuf { PROTOBUF } else { JSON };
        Some(Made::new(kind, bytes, gzip))
    });
    let missing = || Refused::new(StatusCode::NOT_FOUND, "trace not found");
    Ok(made.await?.ok_or_else(missing)?.response())
}

fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).map(HeaderValue::to_str);
    let accept = accept.and_then(Result::ok).unwrap_or_default();
    accept.contains("application/protobuf") || accept.contains("application/x-protobuf")
}

fn traces_data(kept: Kept) -> TracesData {
    TracesData {
        resource_spans: kept.groups,
    }
}
