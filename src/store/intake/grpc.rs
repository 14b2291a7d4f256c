//! OTLP over gRPC: one method with one message each way, so no library is needed for it beyond
//! the prefix of that message and the status in the trailers (gRPC over HTTP/2).

use super::answer::WholeAnswer;
use super::coding::Coding;
use super::messages::{Intake, MESSAGE_BYTES_MAX, Refusal, Wire, whole};
use crate::message::grpc::unary::{frame, status_fields};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

/// The one method.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Before the message: whether it is packed, and its length.
const PREFIX_BYTES: usize = 5;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const CODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

/// Status codes of gRPC ("Status codes and their use in gRPC").
const INVALID_ARGUMENT: u8 = 3;
const DEADLINE_EXCEEDED: u8 = 4;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const UNAVAILABLE: u8 = 14;

/// Whether a request is gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| {
        kind == b"application/grpc"
            || kind.starts_with(b"application/grpc+proto")
            || kind.starts_with(b"application/grpc;")
    })
}

/// Answers one call.
pub(super) async fn serve<B>(intake: &Intake, request: Request<B>) -> WholeAnswer
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    if head.uri.path() != EXPORT {
        intake.refused();
        let text = "traces alone are taken here: TraceService/Export";
        return ended(UNIMPLEMENTED, text);
    }
    let coding = head.headers.get(GRPC_ENCODING);
    let coding = coding.map_or(Ok(None), |coding| coding.to_str().map(Some));
    let Some(coding) = coding.ok().and_then(Coding::named) else {
        intake.refused();
        return ended(UNIMPLEMENTED, "grpc-encoding is gzip, zstd or identity");
    };
    match taken(intake, &head.headers, body, coding).await {
        Ok(response) => WholeAnswer {
            response: with_fields(frame(&response.encode_to_vec())),
            trailers: Some(status_fields(0, "")),
        },
        Err(refusal) => {
            intake.refused();
            ended(code(&refusal), &refusal.to_string())
        }
    }
}

async fn taken<B>(
    intake: &Intake,
    headers: &HeaderMap,
    body: B,
    coding: Coding,
) -> Result<ExportTraceServiceResponse, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let _turn = intake.turn().await?;
    let body = whole(headers, body, PREFIX_BYTES + MESSAGE_BYTES_MAX).await?;
    let (packed, coding) = only_message(&body, coding)?;
    intake.take(packed, coding, Wire::Protobuf).await
}

/// The one message of a call, and how it is packed: its prefix may say that it is not.
fn only_message(body: &Bytes, coding: Coding) -> Result<(Bytes, Coding), Refusal> {
    let malformed = |text: &str| Refusal::Malformed(text.to_owned());
    let Some((&[packed, a, b, c, d], rest)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(malformed("there is no message"));
    };
    let told = usize::try_from(u32::from_be_bytes([a, b, c, d]));
    if told != Ok(rest.len()) {
        return Err(malformed("the message is not as long as its prefix says"));
    }
    let coding = match (packed, coding) {
        (0, _) => Coding::Identity,
        (1, Coding::Gzip | Coding::Zstd) => coding,
        (_, _) => return Err(malformed("nothing says how the message is packed")),
    };
    Ok((body.slice_ref(rest), coding))
}

const fn code(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::TooLarge => RESOURCE_EXHAUSTED,
        Refusal::Malformed(_) => INVALID_ARGUMENT,
        Refusal::CutOff => DEADLINE_EXCEEDED,
        Refusal::Busy => UNAVAILABLE,
        Refusal::Off => UNIMPLEMENTED,
    }
}

/// An end without a message: the status stands in the head.
fn ended(code: u8, message: &str) -> WholeAnswer {
    let mut response = with_fields(Bytes::new());
    response.headers_mut().extend(status_fields(code, message));
    WholeAnswer::plain(response)
}

fn with_fields(body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, CODINGS);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_packed_as_its_prefix_and_the_call_say() {
        let body = |packed| Bytes::copy_from_slice(&[packed, 0, 0, 0, 2, 8, 9]);
        let read = |packed, coding| only_message(&body(packed), coding).ok();
        let message = Bytes::from_static(&[8, 9]);

        let plain = Some((message.clone(), Coding::Identity));
        assert_eq!(read(0, Coding::Gzip), plain);
        assert_eq!(read(0, Coding::Identity), plain);
        assert_eq!(read(1, Coding::Gzip), Some((message, Coding::Gzip)));
        assert_eq!(read(1, Coding::Identity), None);
        assert_eq!(read(2, Coding::Gzip), None);
    }

    #[test]
    fn a_message_that_is_cut_or_followed_by_another_is_refused() {
        for body in [
            &[][..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 1],
            &[0, 0, 0, 0, 1, 1, 0],
            &[0, 255, 255, 255, 255, 1],
        ] {
            let body = Bytes::copy_from_slice(body);
            assert!(only_message(&body, Coding::Identity).is_err(), "{body:?}");
        }
        let empty = only_message(&Bytes::from_static(&[0; 5]), Coding::Identity);
        assert_eq!(empty, Ok((Bytes::new(), Coding::Identity)));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_one_message_or_none(bytes in any::<Vec<u8>>()) {
            drop(only_message(&Bytes::from(bytes), Coding::Gzip));
        }
    }
}
