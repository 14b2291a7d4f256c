//! A gRPC call on its way: its own deadline, its messages, and the last words that it gets from
//! edgespan when its answer ends before its status has come.

use super::context::RequestContext;
use crate::message::grpc::{self, MessageReader, Wire};
use crate::message::request_body::RequestBody;
use crate::message::respond::Form;
use crate::server::BoxError;
use crate::trace::rpc::{GrpcStatus, Messages};
use crate::upstream::{AnswerError, UpstreamTimeouts};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version};
use http_body::Frame;

/// `DEADLINE_EXCEEDED`
const DEADLINE_EXCEEDED: u32 = 4;
const LAST_WORDS: &str = "The service did not answer in time.";
/// The same as grpc-web's last frame: flag, length, trailers.
const LAST_FRAME: &[u8] =
    b"\x80\x00\x00\x00\x41grpc-status:4\r\ngrpc-message:The service did not answer in time.\r\n";

/// How the request's messages are framed; None if it is no gRPC call.
pub(super) const fn wire(context: &RequestContext) -> Option<Wire> {
    match context.form {
        Form::Grpc(wire) => Some(wire),
        Form::Problem | Form::Page => None,
    }
}

/// Whether the request's body may rest between its messages: a call on HTTP/2, which alone carries
/// streams of gRPC. Elsewhere the name is only a name.
pub(super) const fn may_rest(context: &RequestContext) -> bool {
    carries_streams(context.form, context.version)
}

const fn carries_streams(form: Form, version: Version) -> bool {
    matches!((form, version), (Form::Grpc(_), Version::HTTP_2))
}

/// Bounds the exchange by the call's own deadline. With one, a service may take until then for the
/// head of its answer: it need not say anything before its first message. True if the exchange is
/// bounded by the client's own word.
pub(super) fn bound(
    context: &RequestContext,
    headers: &HeaderMap,
    timeouts: &mut UpstreamTimeouts,
) -> bool {
    if wire(context).is_none() {
        return false;
    }
    let Some(timeout) = grpc::timeout(headers) else {
        return false;
    };
    if may_rest(context) || wire(context) != Some(Wire::Grpc) {
        timeouts.first_byte = timeouts.first_byte.max(timeout);
    }
    let sooner = timeouts.request.is_none_or(|most| timeout < most);
    if sooner {
        timeouts.request = Some(timeout);
    }
    sooner
}

/// The messages of a call are counted from here on.
pub(super) fn count(context: &RequestContext, body: &mut RequestBody) {
    if let Some(wire) = wire(context) {
        body.count_messages(wire);
    }
    body.reserve(&context.live.reserved);
}

/// What counts the messages of an answer with these headers.
pub(super) fn answer_reader(
    context: &RequestContext,
    headers: &HeaderMap,
) -> Option<Box<MessageReader>> {
    wire(context)?;
    Wire::of(headers).map(|wire| Box::new(MessageReader::new(wire)))
}

/// The messages so far, as the SERVER span sees them.
pub(super) fn messages(context: &RequestContext) -> Option<Messages> {
    wire(context)?;
    let answer = context.answer_messages.as_ref();
    let request = context.request_body.as_ref();
    Some(Messages {
        sent: answer.map_or(0, |reader| reader.messages()),
        received: request.map_or(0, |body| body.messages()),
    })
}

/// Takes in the status that grpc-web has in its body.
pub(super) fn note_web_status(context: &mut RequestContext) {
    let reader = context.answer_messages.as_ref();
    let Some(status) = reader.and_then(|reader| reader.status()) else {
        return;
    };
    context.note_status(GrpcStatus::from_number(status));
}

/// What a call whose answer took too long is told instead of a broken stream. None: it is no such
/// call, or its answer cannot be ended well.
pub(super) fn last_words(context: &mut RequestContext, error: &BoxError) -> Option<Frame<Bytes>> {
    let wire = wire(context)?;
    if !matches!(
        error.downcast_ref::<AnswerError>(),
        Some(AnswerError::Idle | AnswerError::Deadline)
    ) {
        return None;
    }
    let reader = context.answer_messages.as_ref()?;
    let frame = match wire {
        Wire::Grpc if context.version == Version::HTTP_2 => {
            let mut trailers = HeaderMap::with_capacity(2);
            trailers.insert("grpc-status", HeaderValue::from(DEADLINE_EXCEEDED));
            trailers.insert("grpc-message", HeaderValue::from_static(LAST_WORDS));
            Frame::trailers(trailers)
        }
        // In the body it can only stand where a message would begin.
        Wire::Web if reader.wire() == Wire::Web && reader.is_between_messages() => {
            Frame::data(Bytes::from_static(LAST_FRAME))
        }
        Wire::Grpc | Wire::Web | Wire::WebText => return None,
    };
    context.note_status(GrpcStatus::from_number(DEADLINE_EXCEEDED));
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_grpc_is_one_on_http2_alone() {
        for wire in [Wire::Grpc, Wire::Web, Wire::WebText] {
            let form = Form::Grpc(wire);
            assert!(carries_streams(form, Version::HTTP_2));
            assert!(!carries_streams(form, Version::HTTP_11));
            assert!(!carries_streams(form, Version::HTTP_10));
        }
        assert!(!carries_streams(Form::Problem, Version::HTTP_2));
    }

    #[test]
    fn the_last_frame_is_one_that_a_client_can_read() {
        let mut reader = MessageReader::new(Wire::Web);
        reader.read(LAST_FRAME);

        assert!(reader.is_between_messages());
        assert_eq!(reader.status(), Some(DEADLINE_EXCEEDED));
        assert!(
            std::str::from_utf8(&LAST_FRAME[5..])
                .unwrap()
                .contains(LAST_WORDS)
        );
    }
}
