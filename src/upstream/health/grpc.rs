//! `grpc.health.v1.Health/Check`, the health service that gRPC servers share.
//!
//! Two messages of one field each, so they stand here and need no generated code.

use super::USER_AGENT;
use super::probe::{CheckFailure, absolute, send_h2};
use crate::upstream::connect::Connected;
use crate::upstream::endpoint::Endpoint;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use prost::Message as _;

const CHECK: PathAndQuery = PathAndQuery::from_static("/grpc.health.v1.Health/Check");

/// An answer has a few bytes; whoever sends more is no health service.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// Asks over this connection whether `service` is served.
pub(super) async fn check(
    endpoint: &Endpoint,
    connected: Connected,
    service: &str,
) -> Result<(), CheckFailure> {
    if !connected.h2 {
        return Err(CheckFailure::NotHttp2);
    }
    let mut request = Request::new(Full::new(framed(service)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = absolute(endpoint, &endpoint.authority, CHECK)?;
    let headers = request.headers_mut();
    headers.insert(http::header::USER_AGENT, USER_AGENT);
    let kind = HeaderValue::from_static("application/grpc");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    let answer = send_h2(connected.stream, request).await?;
    if answer.status() != StatusCode::OK {
        return Err(CheckFailure::Status(answer.status().as_u16()));
    }
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let (trailers, message) = match body {
        Ok(body) => (body.trailers().cloned(), body.to_bytes()),
        Err(_) => (None, Bytes::new()),
    };
    // Without a message the status stands in the head ("Trailers-Only").
    status(trailers.as_ref().unwrap_or(&head.headers))?;
    serving(&message)
}

/// A message with its prefix.
fn framed(service: &str) -> Bytes {
    let message = HealthCheckRequest {
        service: service.to_owned(),
    };
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

/// Whether the call itself went well.
fn status(fields: &HeaderMap) -> Result<(), CheckFailure> {
    let Some(status) = fields.get("grpc-status") else {
        return Err(CheckFailure::GrpcStatus("is missing".to_owned()));
    };
    if status == "0" {
        return Ok(());
    }
    let digits: String = String::from_utf8_lossy(status.as_bytes())
        .chars()
        .filter(char::is_ascii_digit)
        .take(4)
        .collect();
    Err(CheckFailure::GrpcStatus(digits))
}

/// Whether the answer says `SERVING`.
fn serving(body: &[u8]) -> Result<(), CheckFailure> {
    let broken = CheckFailure::NotServing("its answer is no HealthCheckResponse");
    // An uncompressed message: nothing said that we could read another.
    let Some((&[0, a, b, c, d], message)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(broken);
    };
    if usize::try_from(u32::from_be_bytes([a, b, c, d])) != Ok(message.len()) {
        return Err(broken);
    }
    let Ok(answer) = HealthCheckResponse::decode(message) else {
        return Err(broken);
    };
    match answer.status() {
        ServingStatus::Serving => Ok(()),
        ServingStatus::NotServing => Err(CheckFailure::NotServing("NOT_SERVING")),
        ServingStatus::ServiceUnknown => Err(CheckFailure::NotServing("SERVICE_UNKNOWN")),
        ServingStatus::Unknown => Err(CheckFailure::NotServing("UNKNOWN")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(body: &[u8], expected: Option<&str>) {
        let said = serving(body).err().map(|failure| failure.to_string());
        assert_eq!(said.as_deref(), expected, "{body:?}");
    }

    #[test]
    fn only_serving_passes() {
        check(&[0, 0, 0, 0, 2, 8, 1], None);
        check(&[0, 0, 0, 0, 2, 8, 2], Some("NOT_SERVING"));
        check(&[0, 0, 0, 0, 2, 8, 3], Some("SERVICE_UNKNOWN"));
        // The default of a field is not written.
        check(&[0, 0, 0, 0, 0], Some("UNKNOWN"));
    }

    #[test]
    fn what_is_no_answer_does_not_pass() {
        const BROKEN: Option<&str> = Some("its answer is no HealthCheckResponse");
        check(b"", BROKEN);
        check(&[0, 0, 0, 0], BROKEN);
        check(&[1, 0, 0, 0, 2, 8, 1], BROKEN);
        check(&[0, 0, 0, 0, 3, 8, 1], BROKEN);
        check(&[0, 0, 0, 0, 1, 8, 1], BROKEN);
        check(&[0, 0, 0, 0, 2, 0xff, 0xff], BROKEN);
    }

    #[test]
    fn a_missing_or_other_status_does_not_pass() {
        let of = |value: &'static str| {
            let mut fields = HeaderMap::new();
            fields.insert("grpc-status", HeaderValue::from_static(value));
            status(&fields).map_err(|failure| failure.to_string())
        };
        assert_eq!(of("0"), Ok(()));
        assert_eq!(of("12"), Err("gRPC status 12".to_owned()));
        assert!(status(&HeaderMap::new()).is_err());
    }

    proptest! {
        #[test]
        fn a_question_reads_back(service in ".{0,300}") {
            let bytes = framed(&service);
            let (prefix, message) = bytes.split_at(PREFIX_BYTES);
            prop_assert_eq!(prefix[0], 0);
            prop_assert_eq!(message.len() as u32, u32::from_be_bytes(prefix[1..].try_into().unwrap()));
            prop_assert_eq!(HealthCheckRequest::decode(message).unwrap().service, service);
        }

        #[test]
        fn no_answer_panics(body in prop::collection::vec(any::<u8>(), 0..64)) {
            drop(serving(&body));
        }
    }
}
