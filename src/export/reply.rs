//! What a collector's answer means: arrived, try again, make it smaller, or give it up.
//!
//! OTLP 1.11 has one table for each wire; both end in the same three remedies.

use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use std::time::Duration;
use tonic::Code;

/// Characters of a collector's own words that a log line may hold.
const DETAIL_CHARS_MAX: usize = 200;

/// How an attempt ended.
pub(super) type Reply = Result<Arrived, Failure>;

/// The collector took the batch, or part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrived {
    /// Spans it refused. They are never sent again.
    pub(super) rejected: u64,
    /// What it had to say, cleaned for a log; empty if nothing.
    pub(super) message: String,
}

/// The collector did not take the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) remedy: Remedy,
    /// For the log; holds no header and no credential of ours.
    pub(super) detail: String,
}

/// What to do with a batch that did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The same again, after the collector's delay or else our backoff.
    Retry(Option<Duration>),
    /// Half of it at a time.
    Split,
    /// Nothing more; OTLP forbids to try again.
    GiveUp,
}

/// Kinds of failed attempts: the `error.type` of export metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No connection, or it broke before the answer.
    Connection,
    /// No answer in time.
    Timeout,
    /// The collector asked for rest.
    Throttled,
    /// The collector, or something before it, cannot serve now.
    Unavailable,
    /// The request is larger than the collector takes.
    TooLarge,
    /// The collector refused the request for good.
    Refused,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Connection,
        Self::Timeout,
        Self::Throttled,
        Self::Unavailable,
        Self::TooLarge,
        Self::Refused,
    ];

    /// The label of metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
        }
    }
}

impl Arrived {
    /// From the body of a success: `ExportTraceServiceResponse`. A body that is none says that
    /// the spans were taken and nothing else.
    pub(super) fn from_body(body: &[u8]) -> Self {
        let Ok(response) = ExportTraceServiceResponse::decode(body) else {
            return Self {
                rejected: 0,
                message: "the answer is not OTLP; is this a collector?".to_owned(),
            };
        };
        let partial = response.partial_success.unwrap_or_default();
        Self {
            rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
            message: for_log(&partial.error_message),
        }
    }
}

impl Failure {
    /// There was no connection, or it broke.
    pub(super) fn connection(detail: String) -> Self {
        Self {
            kind: FailureKind::Connection,
            remedy: Remedy::Retry(None),
            detail,
        }
    }

    /// There was no answer within the bound of one attempt.
    pub(super) fn timeout(bound: Duration) -> Self {
        Self {
            kind: FailureKind::Timeout,
            remedy: Remedy::Retry(None),
            detail: format!("no answer within {bound:?}"),
        }
    }

    /// From an HTTP status that is no success; `retry_after` is the header's wait, `said` the
    /// collector's own words.
    pub(super) fn from_http(status: StatusCode, retry_after: Option<Duration>, said: &str) -> Self {
        let (kind, remedy) = match status {
            StatusCode::TOO_MANY_REQUESTS => (FailureKind::Throttled, Remedy::Retry(retry_after)),
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => (FailureKind::Unavailable, Remedy::Retry(retry_after)),
            StatusCode::PAYLOAD_TOO_LARGE => (FailureKind::TooLarge, Remedy::Split),
            _ => (FailureKind::Refused, Remedy::GiveUp),
        };
        Self {
            kind,
            remedy,
            detail: with_words(&format!("HTTP status {}", status.as_u16()), said),
        }
    }

    /// From a gRPC status that a server sent. `retry_info` is its `RetryInfo`: there or not, with
    /// a delay or without.
    pub(super) fn from_grpc(code: Code, retry_info: Option<Option<Duration>>, said: &str) -> Self {
        let delay = retry_info.flatten();
        let (kind, remedy) = match code {
            // Before the table: some receivers call a large message OUT_OF_RANGE, which would be
            // tried again for ever, and most RESOURCE_EXHAUSTED, which would be given up.
            _ if says_too_large(said) => (FailureKind::TooLarge, Remedy::Split),
            Code::ResourceExhausted if retry_info.is_some() => {
                (FailureKind::Throttled, Remedy::Retry(delay))
            }
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => (FailureKind::Unavailable, Remedy::Retry(delay)),
            Code::Ok
            | Code::Unknown
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Unimplemented
            | Code::Internal
            | Code::Unauthenticated => (FailureKind::Refused, Remedy::GiveUp),
        };
        Self {
            kind,
            remedy,
            detail: with_words(&format!("gRPC status {code:?}"), said),
        }
    }
}

/// Whether a receiver means the size of the message. gRPC has no code of its own for that; these
/// are the words of grpc-go and the C core, of tonic, of grpc-java, and of a proxy's HTTP 413.
fn says_too_large(said: &str) -> bool {
    const WORDS: [&str; 4] = [
        "message larger than max",
        "message length too large",
        "exceeds maximum size",
        "HTTP status code 413",
    ];
    WORDS.iter().any(|words| said.contains(words))
}

/// A collector's words, cut and without characters that could drive a terminal.
pub(super) fn for_log(said: &str) -> String {
    said.chars()
        .take(DETAIL_CHARS_MAX)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

fn with_words(status: &str, said: &str) -> String {
    let said = for_log(said);
    if said.trim().is_empty() {
        status.to_owned()
    } else {
        format!("{status}: {said}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[track_caller]
    fn check_http(status: u16, expected: Remedy) {
        let status = StatusCode::from_u16(status).unwrap();
        let failure = Failure::from_http(status, Some(SECOND), "");
        assert_eq!(failure.remedy, expected, "{status}");
    }

    #[track_caller]
    fn check_grpc(code: i32, retry_info: Option<Option<Duration>>, said: &str, expected: Remedy) {
        let failure = Failure::from_grpc(Code::from_i32(code), retry_info, said);
        assert_eq!(failure.remedy, expected, "{code} {said}");
    }

    #[test]
    fn of_http_statuses_only_429_502_503_and_504_are_tried_again() {
        for status in (300..600).filter(|status| ![413, 429, 502, 503, 504].contains(status)) {
            check_http(status, Remedy::GiveUp);
        }
        for status in [429, 502, 503, 504] {
            check_http(status, Remedy::Retry(Some(SECOND)));
        }
        check_http(413, Remedy::Split);
    }

    #[test]
    fn of_grpc_codes_only_those_of_the_table_are_tried_again() {
        for code in [1, 4, 10, 11, 14, 15] {
            check_grpc(code, None, "", Remedy::Retry(None));
            check_grpc(code, Some(Some(SECOND)), "", Remedy::Retry(Some(SECOND)));
        }
        for code in [2, 3, 5, 6, 7, 9, 12, 13, 16] {
            check_grpc(code, Some(Some(SECOND)), "", Remedy::GiveUp);
        }
    }

    #[test]
    fn resource_exhausted_is_tried_again_only_with_retry_info() {
        check_grpc(8, None, "memory limit", Remedy::GiveUp);
        check_grpc(8, Some(None), "memory limit", Remedy::Retry(None));
        check_grpc(
            8,
            Some(Some(SECOND)),
            "memory limit",
            Remedy::Retry(Some(SECOND)),
        );
    }

    #[test]
    fn a_message_that_is_too_large_is_split_whatever_the_code() {
        check_grpc(
            8,
            None,
            "grpc: received message larger than max (5000000 vs. 4194304)",
            Remedy::Split,
        );
        check_grpc(
            11,
            None,
            "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
            Remedy::Split,
        );
        check_grpc(
            8,
            None,
            "gRPC message exceeds maximum size 4194304: 5",
            Remedy::Split,
        );
    }

    #[test]
    fn a_partial_success_is_read_and_a_negative_one_is_none() {
        let body = |rejected_spans, error_message: &str| {
            use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
            ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans,
                    error_message: error_message.to_owned(),
                }),
            }
            .encode_to_vec()
        };

        let some = Arrived::from_body(&body(2, "bad\u{1b}[31m ids"));
        let negative = Arrived::from_body(&body(-5, ""));

        assert_eq!((some.rejected, some.message.as_str()), (2, "bad [31m ids"));
        assert_eq!(negative, Arrived::default());
        assert_eq!(Arrived::from_body(b""), Arrived::default());
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_grows_a_log_line(body in prop::collection::vec(any::<u8>(), 0..999)) {
            let arrived = Arrived::from_body(&body);

            prop_assert!(arrived.message.chars().count() <= DETAIL_CHARS_MAX);
        }
    }
}
