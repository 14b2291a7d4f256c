//! A call that leaves for a decision: one question to an upstream, under a CLIENT span, with a
//! deadline, and a whole answer of bounded size.

use super::{DecisionSpan, Reason};
use crate::clock;
use crate::message::request_body::RequestBody;
use crate::trace::client_span::{ClientEnd, ClientStart};
use crate::trace::rpc::GrpcStatus;
use crate::upstream::{
    AnswerBody, AnswerError, AskError, Asking, Choice, Cluster, Due, Endpoint, Unanswered,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::time::Instant;

/// What is asked.
pub(super) struct Question<'a> {
    /// Writes method, path, header fields and body, the same for each attempt; hardly ever is there
    /// a second one that a copy would have to be kept for. Trace context is written when it leaves.
    pub(super) request: &'a mut (dyn FnMut() -> Option<Request<Bytes>> + Send + Sync),
    /// What the other side sees as host; None: its own name.
    pub(super) host: Option<HeaderValue>,
    /// Until when all of it may take, further attempts included.
    pub(super) due: Instant,
    /// Largest answer, in bytes; a larger one is an error.
    pub(super) answer_bytes_max: usize,
    /// How often it may be asked once more after a failure without an answer.
    pub(super) retries: u32,
    /// Whether it is a gRPC call, for its spans.
    pub(super) is_grpc: bool,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Head and body.
    pub(super) response: Response<Bytes>,
    /// What came behind the body.
    pub(super) trailers: Option<HeaderMap>,
}

impl Answer {
    /// How a gRPC call went.
    fn grpc_status(&self, question: &Question<'_>) -> Option<GrpcStatus> {
        if !question.is_grpc {
            return None;
        }
        // Without a message the status stands in the head ("Trailers-Only").
        let fields = self.trailers.as_ref().unwrap_or(self.response.headers());
        GrpcStatus::from_headers(fields)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// It could not be asked, or broke off.
    #[error("{text}")]
    Failed {
        /// `error.type` of the CLIENT span.
        kind: &'static str,
        /// What happened, causes included.
        text: String,
    },
    /// Not in time.
    #[error("no answer in time")]
    Timeout,
    /// Its answer is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// As many questions as may be are on their way, or no endpoint is well.
    #[error("no place or no endpoint to ask")]
    Unavailable,
}

impl CallError {
    /// `error.type` of the CLIENT span.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Failed { kind, .. } => kind,
            Self::Timeout => "timeout",
            Self::TooLarge(_) => "invalid_response",
            Self::Unavailable => "request_aborted",
        }
    }
}

/// Why a call that came to nothing refuses.
pub(super) const fn reason_of(error: &CallError) -> Reason {
    match error {
        CallError::Timeout => Reason::Timeout,
        CallError::TooLarge(_) => Reason::BadAnswer,
        CallError::Failed { .. } | CallError::Unavailable => Reason::Unavailable,
    }
}

/// Asks, and once more with another endpoint if there was no answer and it may be repeated.
pub(super) async fn ask(
    cluster: &Arc<Cluster>,
    question: Question<'_>,
    span: &mut DecisionSpan<'_, '_>,
) -> Result<Answer, CallError> {
    let due = question.due;
    let Some(_admission) = cluster.admit() else {
        return Err(CallError::Unavailable);
    };
    let mut tried = Vec::new();
    let (mut resend, mut retries, mut fresh) = (0, 0, false);
    loop {
        let Some(endpoint) = pick(cluster, &tried, due).await else {
            return Err(CallError::Unavailable);
        };
        let attempt = Attempt { due, resend, fresh };
        let Some(request) = (question.request)() else {
            return Err(CallError::Unavailable);
        };
        let outcome = once(cluster, &endpoint, (&question, request), &attempt, span).await;
        resend += 1;
        match outcome {
            // An answer that says that nothing was done about the question is none.
            Ok(answer)
                if answer.grpc_status(&question) == Some(GrpcStatus::UNAVAILABLE)
                    && retries < question.retries
                    && clock::instant() < due =>
            {
                tried.push(endpoint);
                retries += 1;
            }
            // The connection was closed, and not by the question: that is no failure, once.
            Err(Failure { is_stale: true, .. }) if !fresh => fresh = true,
            Err(Failure {
                error: CallError::Failed { .. },
                ..
            }) if retries < question.retries && clock::instant() < due => {
                tried.push(endpoint);
                retries += 1;
            }
            outcome => return outcome.map_err(|failure| failure.error),
        }
    }
}

/// The endpoint for the next attempt: one that was not tried, or any if all were.
async fn pick(
    cluster: &Arc<Cluster>,
    tried: &[Arc<Endpoint>],
    due: Instant,
) -> Option<Arc<Endpoint>> {
    let choice = Choice { hash: None, tried };
    match cluster.pick(&choice) {
        Some(endpoint) if endpoint.awaits_an_answer() => {
            let left = due.saturating_duration_since(clock::instant());
            Box::pin(cluster.pick_after_answer(&choice, left)).await
        }
        None if !tried.is_empty() => cluster.pick(&Choice::default()),
        picked => picked,
    }
}

/// One of the attempts of a question.
struct Attempt {
    due: Instant,
    /// How many there were before.
    resend: u32,
    /// Whether no connection from the pool will do.
    fresh: bool,
}

/// Why an attempt came to nothing.
struct Failure {
    error: CallError,
    /// Whether its connection had been closed before the question came.
    is_stale: bool,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self {
            error,
            is_stale: false,
        }
    }
}

async fn once(
    cluster: &Arc<Cluster>,
    endpoint: &Arc<Endpoint>,
    (question, request): (&Question<'_>, Request<Bytes>),
    attempt: &Attempt,
    span: &mut DecisionSpan<'_, '_>,
) -> Result<Answer, Failure> {
    let due = attempt.due;
    let mut request = request.map(RequestBody::from);
    let uri = request.uri().clone();
    let method = request.method().clone();
    let recorder = span.recorder();
    let start = ClientStart {
        method: &method,
        scheme: endpoint.address.protocol.url_scheme(),
        server_address: &endpoint.server_address,
        server_port: endpoint.server_port,
        path: uri.path(),
        query: uri.query(),
        service: Some(&cluster.settings().service),
        resend_count: attempt.resend,
        flow: recorder.flow,
        flags: recorder.flags,
        template: None,
        is_grpc: question.is_grpc,
        is_mirror: false,
    };
    let call = span.call(&start, request.headers_mut());
    let of_ours = Due {
        at: due,
        by_client: false,
    };
    let mut asking = Asking::new(request, None, None, Some(of_ours));
    asking.fresh = attempt.fresh;
    asking.host = question
        .host
        .clone()
        .unwrap_or_else(|| endpoint.authority.clone());
    let _load = endpoint.standing.enter();
    let mut end = ClientEnd::default();
    let timeouts = cluster.settings().timeouts;
    let left = due.saturating_duration_since(clock::instant());
    // Made where it is needed: under a name of its own it would have its room twice.
    let outcome = tokio::time::timeout(left, async {
        let answered = endpoint.ask(asking, &timeouts).await.map_err(unanswered)?;
        end.status = Some(answered.response.status().as_u16());
        end.version = Some(answered.response.version());
        end.peer = answered.peer;
        Ok(whole(answered.response, question.answer_bytes_max).await?)
    })
    .await;
    let outcome = outcome.unwrap_or(Err(CallError::Timeout.into()));
    match &outcome {
        Ok(answer) => {
            end.grpc_status = answer.grpc_status(question);
            cluster.report(endpoint, Some(answer.response.status()));
        }
        Err(Failure { error, is_stale }) => {
            end.error_type = Some(error.kind());
            if !is_stale && !matches!(error, CallError::Unavailable) {
                cluster.report(endpoint, None);
            }
        }
    }
    call.end(&end);
    outcome
}

fn unanswered((error, returned): Unanswered) -> Failure {
    let closed = matches!(error, AskError::Reset { .. } | AskError::Refused { .. });
    let is_stale = closed && returned.is_some();
    let error = match error {
        AskError::FirstByte { .. } | AskError::OutOfTime { .. } => CallError::Timeout,
        AskError::Pending { .. } => CallError::Unavailable,
        AskError::Connect(ref connect) => failed(connect.kind(), &error),
        AskError::Reset { .. } => failed("connection_reset", &error),
        AskError::Refused { .. } => failed("refused_stream", &error),
        AskError::BadAnswer { .. } => failed("invalid_response", &error),
    };
    Failure { error, is_stale }
}

fn failed(kind: &'static str, error: &dyn std::error::Error) -> CallError {
    CallError::Failed {
        kind,
        text: chain(error),
    }
}

/// An error and what it comes from, for the log.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn whole(response: Response<Box<AnswerBody>>, bytes_max: usize) -> Result<Answer, CallError> {
    let (parts, mut body) = response.into_parts();
    let mut data = BytesMut::new();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error {
            AnswerError::Idle | AnswerError::Deadline => CallError::Timeout,
            AnswerError::Reset(_) | AnswerError::Unfinished => failed("connection_reset", &error),
        })?;
        match frame.into_data() {
            Ok(piece) => {
                if data.len() + piece.len() > bytes_max {
                    return Err(CallError::TooLarge(bytes_max));
                }
                data.extend_from_slice(&piece);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok(Answer {
        response: Response::from_parts(parts, data.freeze()),
        trailers,
    })
}
