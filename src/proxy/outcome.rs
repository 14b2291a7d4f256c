//! How a request ended, as its spans, its log line and its metrics tell it.

use crate::message::request_body::BodyFault;
use crate::upstream::AnswerError;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The last byte was handed over.
    Complete,
    /// The client left before that.
    Canceled,
    /// The upstream broke off in its answer; an `error.type`.
    AnswerBroken(&'static str),
}

impl Outcome {
    /// What an error of an answer's body means. If the request's body was at fault, that comes
    /// first: both end with the connection that they share.
    pub(super) fn of_answer_error(
        error: &(dyn std::error::Error + 'static),
        request: Option<BodyFault>,
    ) -> Self {
        match request {
            Some(BodyFault::Client | BodyFault::Idle) => return Self::Canceled,
            Some(BodyFault::TooLarge) => return Self::AnswerBroken("request_aborted"),
            None => {}
        }
        Self::AnswerBroken(match error.downcast_ref::<AnswerError>() {
            Some(AnswerError::Idle | AnswerError::Deadline) => "timeout",
            Some(AnswerError::Reset(_) | AnswerError::Unfinished) | None => "connection_reset",
        })
    }
}
