//! OTLP over HTTP (OTLP specification, "OTLP/HTTP"): `POST /v1/traces`, protobuf or JSON, answered
//! in kind.

use super::coding::Coding;
use super::messages::{Intake, MESSAGE_BYTES_MAX, Refusal, Wire, whole};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::{Value, json};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Answers one request for `/v1/traces`.
pub(in crate::store) async fn serve<B>(intake: &Intake, request: Request<B>) -> Response<Bytes>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        let text = "OTLP is sent here by POST.\n";
        return answer(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            text.into(),
            Some((ALLOW, "POST")),
        );
    }
    let Some(wire) = wire(&head.headers) else {
        intake.refused();
        let text = "The content-type is application/x-protobuf or application/json.\n";
        return answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, TEXT, text.into(), None);
    };
    let coding = head.headers.get(CONTENT_ENCODING);
    let coding = coding.map_or(Ok(None), |coding| coding.to_str().map(Some));
    let Some(coding) = coding.ok().and_then(Coding::named) else {
        intake.refused();
        let text = "The content-encoding is gzip, zstd or none.";
        return failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, wire, text, None);
    };
    match taken(intake, &head.headers, body, coding, wire).await {
        Ok(response) => success(wire, &response),
        Err(refusal) => {
            intake.refused();
            let again = matches!(refusal, Refusal::Busy).then_some((RETRY_AFTER, "1"));
            failure(status(&refusal), wire, &refusal.to_string(), again)
        }
    }
}

async fn taken<B>(
    intake: &Intake,
    headers: &HeaderMap,
    body: B,
    coding: Coding,
    wire: Wire,
) -> Result<ExportTraceServiceResponse, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let _turn = intake.turn().await?;
    let packed = whole(headers, body, MESSAGE_BYTES_MAX).await?;
    intake.take(packed, coding, wire).await
}

/// By the content type, its parameters left aside.
fn wire(headers: &HeaderMap) -> Option<Wire> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-protobuf")
        || kind.eq_ignore_ascii_case("application/protobuf")
    {
        Some(Wire::Protobuf)
    } else if kind.eq_ignore_ascii_case("application/json") {
        Some(Wire::Json)
    } else {
        None
    }
}

const fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::CutOff => StatusCode::REQUEST_TIMEOUT,
        Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Off => StatusCode::NOT_FOUND,
    }
}

fn success(wire: Wire, response: &ExportTraceServiceResponse) -> Response<Bytes> {
    match wire {
        Wire::Protobuf => answer(
            StatusCode::OK,
            PROTOBUF,
            response.encode_to_vec().into(),
            None,
        ),
        Wire::Json => {
            let partial = response.partial_success.as_ref().map_or_else(
                || json!({}),
                |partial| {
                    json!({
                        "rejectedSpans": partial.rejected_spans.to_string(),
                        "errorMessage": partial.error_message,
                    })
                },
            );
            json_answer(StatusCode::OK, &json!({ "partialSuccess": partial }), None)
        }
    }
}

/// `google.rpc.Status` with a message alone, in the request's own form, as the specification asks.
fn failure(
    status: StatusCode,
    wire: Wire,
    text: &str,
    field: Option<(HeaderName, &'static str)>,
) -> Response<Bytes> {
    match wire {
        Wire::Protobuf => {
            let told = tonic_types::Status {
                message: text.to_owned(),
                ..tonic_types::Status::default()
            };
            answer(status, PROTOBUF, told.encode_to_vec().into(), field)
        }
        Wire::Json => json_answer(status, &json!({ "message": text }), field),
    }
}

fn json_answer(
    status: StatusCode,
    value: &Value,
    field: Option<(HeaderName, &'static str)>,
) -> Response<Bytes> {
    answer(status, JSON, format!("{value}\n").into(), field)
}

fn answer(
    status: StatusCode,
    kind: HeaderValue,
    body: Bytes,
    field: Option<(HeaderName, &'static str)>,
) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if let Some((name, value)) = field {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
