//! Envoy's authorization over gRPC, from both sides and on real sockets: an authorizer is asked,
//! and a host asks us.

mod asking;
mod host;
mod repeated;

use crate::support::origin::{Answer, Origin, Received, Speaks, streamed};
use bytes::Bytes;
use edgespan::auth::ext_authz::messages::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue,
    HeaderValueOption, HttpRequest, HttpResponse, HttpStatus, OkHttpResponse, Status,
};
use edgespan::message::grpc::unary;
use http_body::Frame;
use prost::Message as _;

/// A gRPC server that answers each question so.
pub async fn authorizer(
    answer: impl Fn(&HttpRequest) -> CheckResponse + Send + Sync + 'static,
) -> Origin {
    Origin::speaking(Speaks::H2c, move |received| {
        let question = CheckRequest::decode(unary::only_message(&received.body).unwrap()).unwrap();
        let http = question.attributes.unwrap().request.unwrap().http.unwrap();
        replied(unary::frame(&answer(&http).encode_to_vec()), 0)
    })
    .await
}

fn replied(message: Bytes, status: u8) -> Answer {
    let (frames, mut answer) = streamed();
    let kind = "application/grpc".parse().unwrap();
    answer.headers_mut().insert("content-type", kind);
    frames.try_send(Frame::data(message)).unwrap();
    let end = unary::status_fields(status, "");
    frames.try_send(Frame::trailers(end)).unwrap();
    answer
}

pub fn question(received: &Received) -> AttributeContext {
    let message = unary::only_message(&received.body).unwrap();
    CheckRequest::decode(message).unwrap().attributes.unwrap()
}

fn field(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            raw_value: Vec::new(),
        }),
        ..HeaderValueOption::default()
    }
}

pub fn allowing(ok: OkHttpResponse) -> CheckResponse {
    CheckResponse {
        status: Some(Status::default()),
        http_response: Some(HttpResponse::Ok(ok)),
        dynamic_metadata: None,
    }
}

fn refusing(code: i32, headers: Vec<HeaderValueOption>, body: &str) -> CheckResponse {
    CheckResponse {
        status: Some(Status {
            code: 7,
            message: String::new(),
        }),
        http_response: Some(HttpResponse::Denied(DeniedHttpResponse {
            status: Some(HttpStatus { code }),
            headers,
            body: body.to_owned(),
        })),
        dynamic_metadata: None,
    }
}
