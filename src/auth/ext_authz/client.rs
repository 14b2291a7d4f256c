//! An authorizer is asked over gRPC.

use super::messages::CheckResponse;
use super::question::{self, Telling};
use super::reply::{self, Allowed, Reply};
use super::{CHECK_PATH, metadata};
use crate::auth::call::{self, Answer, Question};
use crate::auth::forward::ForwardSettings;
use crate::auth::notes::{Note, Notes};
use crate::auth::{Asked, DecisionSpan, Reason};
use crate::clock;
use crate::message::grpc::{Wire, unary};
use crate::trace::rpc::GrpcStatus;
use crate::upstream::Cluster;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use prost::Message as _;
use prost_types::value::Kind;
use std::sync::Arc;
use tokio::time::Instant;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What the whole numbers are that a double tells exactly.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Why there is no answer that makes sense.
#[derive(Debug)]
pub(in crate::auth) struct NoReply {
    /// The word for it.
    pub(in crate::auth) reason: Reason,
    /// What exactly, for the span and the log.
    pub(in crate::auth) error: String,
}

impl NoReply {
    fn new(reason: Reason, error: impl ToString) -> Self {
        let error = error.to_string();
        Self { reason, error }
    }
}

/// Asks about a request, until `due`.
pub(in crate::auth) async fn ask(
    cluster: &Arc<Cluster>,
    settings: &ForwardSettings,
    asked: &Asked<'_>,
    due: Instant,
    span: &mut DecisionSpan<'_, '_>,
) -> Result<Reply, NoReply> {
    let rules = settings.rules(asked.route);
    let telling = Telling {
        headers: &settings.request_headers,
        context: &rules.context,
        body_bytes: rules.body.map(|rule| rule.bytes_max),
    };
    let time = span.recorder().watch.started();
    let message = question::of(asked, &telling, time).encode_to_vec();
    let left = due.saturating_duration_since(clock::instant());
    let request = request(&message, unary::timeout_value(left));
    let question = Question {
        request: &mut || Some(request.clone()),
        host: None,
        due,
        answer_bytes_max: ANSWER_BYTES_MAX,
        retries: settings.retries,
        is_grpc: true,
    };
    let answer = call::ask(cluster, question, span).await;
    let answer = answer.map_err(|error| NoReply::new(call::reason_of(&error), error))?;
    let message = message_of(&answer)?;
    let nonsense = |error: &dyn std::error::Error| NoReply::new(Reason::BadAnswer, error);
    let answer = CheckResponse::decode(message).map_err(|error| nonsense(&error))?;
    reply::read(answer).map_err(|error| nonsense(&error))
}

fn request(message: &[u8], timeout: HeaderValue) -> Request<Bytes> {
    let mut request = Request::new(unary::frame(message));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(CHECK_PATH);
    let headers = request.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/grpc+proto"),
    );
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(GRPC_TIMEOUT, timeout);
    request
}

/// The one message of an answer whose call went well.
fn message_of(answer: &Answer) -> Result<Bytes, NoReply> {
    let head = answer.response.headers();
    if answer.response.status() != StatusCode::OK {
        let error = format!("its answer is a {}", answer.response.status().as_u16());
        return Err(NoReply::new(Reason::Unavailable, error));
    }
    if Wire::of(head) != Some(Wire::Grpc) {
        return Err(NoReply::new(Reason::BadAnswer, "its answer is no gRPC"));
    }
    // Without a message the status stands in the head ("Trailers-Only").
    let status = GrpcStatus::from_headers(answer.trailers.as_ref().unwrap_or(head));
    match status {
        Some(GrpcStatus::OK) => unary::only_message(answer.response.body())
            .map_err(|error| NoReply::new(Reason::BadAnswer, error)),
        Some(status) => {
            let reason = if status == GrpcStatus::DEADLINE_EXCEEDED {
                Reason::Timeout
            } else {
                Reason::Unavailable
            };
            let error = format!("the call ended with {}", status.name());
            Err(NoReply::new(reason, error))
        }
        None => Err(NoReply::new(Reason::BadAnswer, "its answer has no status")),
    }
}

/// What of an answer stands on spans: metadata that the configuration names, and no other.
pub(in crate::auth) fn notes(allowed: &Allowed, settings: &ForwardSettings) -> Notes {
    let mut notes = Notes::default();
    if allowed.ignored > 0 {
        let ignored = i64::try_from(allowed.ignored).unwrap_or(i64::MAX);
        notes.add("edgespan.auth.headers_ignored", Note::Whole(ignored));
    }
    let Some(fields) = &allowed.metadata else {
        return notes;
    };
    for path in &settings.metadata_attributes {
        let key = format!("edgespan.auth.metadata.{path}");
        let note = match metadata::at(fields, path) {
            Some(Kind::StringValue(text)) => Note::Text(text.as_str().into()),
            Some(Kind::BoolValue(value)) => Note::Truth(*value),
            Some(Kind::NumberValue(number)) => {
                whole(*number).map_or(Note::Number(*number), Note::Whole)
            }
            Some(Kind::ListValue(list)) => {
                let texts = list.values.iter().filter_map(|value| match &value.kind {
                    Some(Kind::StringValue(text)) => Some(text.as_str().into()),
                    _ => None,
                });
                Note::Texts(texts.collect())
            }
            Some(Kind::NullValue(_) | Kind::StructValue(_)) | None => continue,
        };
        notes.add(&key, note);
    }
    notes
}

/// The number as an integer, if it is one.
fn whole(number: f64) -> Option<i64> {
    let fits = number.fract() == 0.0 && number.abs() <= WHOLE_MAX;
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    fits.then_some(number as i64)
}
