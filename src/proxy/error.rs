//! What can fail between a request and its answer, and what that means to the caller.

use crate::message::request_body::BodyFault;
use crate::message::respond::Failure;
use crate::upstream::{AskError, ConnectError};
use http::StatusCode;

/// Whose fault a failure is. For the log; the caller only gets a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller's.
    Downstream,
    /// The upstream's.
    Upstream,
    /// Ours.
    Internal,
}

impl Fault {
    /// As the log writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}

/// Why a request got no answer from an upstream.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The request has more than one reading, or none.
    #[error("request refused: {reason}")]
    BadRequest {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Its header fields are too many or too large.
    #[error("request refused: {reason}")]
    HeadersTooLarge {
        /// Which bound it passed.
        reason: &'static str,
    },
    /// No route takes it.
    #[error("no route matches")]
    NoRoute,
    /// `CONNECT` or another thing that is not served.
    #[error("not served: {reason}")]
    NotServed {
        /// What.
        reason: &'static str,
    },
    /// Its body is larger than allowed.
    #[error("request body larger than {limit} bytes")]
    BodyTooLarge {
        /// The bound.
        limit: u64,
    },
    /// Its body did not arrive in time.
    #[error("request body did not arrive in time")]
    BodyIdle,
    /// The client broke its request off.
    #[error("client broke off its request")]
    ClientGone,
    /// Too many requests are in flight.
    #[error("too many requests in flight ({what})")]
    Overloaded {
        /// Which bound: `listener` or `upstream`.
        what: &'static str,
    },
    /// No endpoint takes a connection.
    #[error("no connection to upstream `{upstream}`")]
    Connect {
        /// Its name.
        upstream: String,
        /// Why the last one did not.
        #[source]
        source: ConnectError,
    },
    /// The upstream broke off before it answered.
    #[error("upstream `{upstream}` broke off")]
    Reset {
        /// Its name.
        upstream: String,
        /// How.
        #[source]
        source: AskError,
    },
    /// The upstream's answer cannot be passed on.
    #[error("upstream {upstream} sent a bad answer")]
    BadAnswer {
        /// Its name.
        upstream: String,
        /// What is wrong with it.
        #[source]
        source: AskError,
    },
    /// The upstream did not answer in time.
    #[error("upstream `{upstream}` took too long")]
    Timeout {
        /// Its name.
        upstream: String,
    },
    /// A header or address of ours could not be written.
    #[error("request could not be rewritten: {reason}")]
    Rewrite {
        /// Why.
        reason: &'static str,
    },
}

/// What a failure becomes.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Status of the answer.
    pub status: StatusCode,
    /// Whose fault it is.
    pub fault: Fault,
    /// Stable code, listed in the docs, and `error.type` of the SERVER span where no status says
    /// it better.
    pub code: &'static str,
    /// What the caller reads.
    pub detail: &'static str,
    /// The same for gRPC.
    pub grpc_status: u8,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
}

impl Answer {
    const fn new(
        status: StatusCode,
        fault: Fault,
        code: &'static str,
        grpc_status: u8,
        detail: &'static str,
    ) -> Self {
        Self {
            status,
            fault,
            code,
            detail,
            grpc_status,
            retry_after: None,
        }
    }

    const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// As the caller sees it.
    pub const fn failure<'a>(&self, trace_id: Option<&'a str>) -> Failure<'a> {
        Failure {
            status: self.status,
            code: self.code,
            detail: self.detail,
            grpc_status: self.grpc_status,
            retry_after: self.retry_after,
            trace_id,
        }
    }
}

// Status codes of gRPC, as its HTTP mapping has them.
const GRPC_INVALID_ARGUMENT: u8 = 3;
const GRPC_DEADLINE_EXCEEDED: u8 = 4;
const GRPC_RESOURCE_EXHAUSTED: u8 = 8;
const GRPC_UNIMPLEMENTED: u8 = 12;
const GRPC_INTERNAL: u8 = 13;
const GRPC_UNAVAILABLE: u8 = 14;
const GRPC_CANCELLED: u8 = 1;

const INTERNAL: Answer = Answer::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    Fault::Internal,
    "internal",
    GRPC_INTERNAL,
    "Something went wrong here. Quote the trace_id to whoever runs this site.",
);

impl ProxyError {
    /// The only place where an error becomes HTTP. No `_` arm: a new variant has to choose.
    pub fn answer(&self) -> Answer {
        match self {
            Self::BadRequest { .. } => Answer::new(
                StatusCode::BAD_REQUEST,
                Fault::Downstream,
                "bad_request",
                GRPC_INVALID_ARGUMENT,
                "The request can be read in more than one way, so it was refused. \
                 Whoever sends it has to change it.",
            ),
            Self::HeadersTooLarge { .. } => Answer::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Fault::Downstream,
                "headers_too_large",
                GRPC_RESOURCE_EXHAUSTED,
                "The request's headers are too large or too many. Trying again does not help; \
                 deleting this site's cookies may.",
            ),
            Self::NoRoute => Answer::new(
                StatusCode::NOT_FOUND,
                Fault::Downstream,
                "no_route",
                GRPC_UNIMPLEMENTED,
                "Nothing is served at this address. Check the address, or quote the trace_id.",
            ),
            Self::NotServed { .. } => Answer::new(
                StatusCode::NOT_IMPLEMENTED,
                Fault::Downstream,
                "not_served",
                GRPC_UNIMPLEMENTED,
                "This kind of request is not served here. Trying again does not help.",
            ),
            Self::BodyTooLarge { .. } => Answer::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                Fault::Downstream,
                "body_too_large",
                GRPC_RESOURCE_EXHAUSTED,
                "The request's body is larger than is allowed here. Send less.",
            ),
            Self::BodyIdle => Answer::new(
                StatusCode::REQUEST_TIMEOUT,
                Fault::Downstream,
                "request_timeout",
                GRPC_CANCELLED,
                "The request's body did not arrive in time. Try again on a better connection.",
            ),
            Self::ClientGone => Answer::new(
                StatusCode::BAD_REQUEST,
                Fault::Downstream,
                "client_gone",
                GRPC_CANCELLED,
                "The request was broken off. Try again.",
            ),
            Self::Overloaded { .. } => Answer::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Fault::Internal,
                "overloaded",
                GRPC_UNAVAILABLE,
                "Too many requests at once. Try again in a moment, or quote the trace_id.",
            )
            .retry_after(1),
            Self::Connect { .. }
            | Self::Reset { .. }
            | Self::BadAnswer { .. }
            | Self::Timeout { .. } => self.upstream(),
            Self::Rewrite { .. } => INTERNAL,
        }
    }

    /// Refused and reset read alike: neither tells a caller what is behind.
    fn upstream(&self) -> Answer {
        if matches!(
            self,
            Self::Timeout { .. }
                | Self::Connect {
                    source: ConnectError::Timeout { .. },
                    ..
                }
        ) {
            Answer::new(
                StatusCode::GATEWAY_TIMEOUT,
                Fault::Upstream,
                "upstream_timeout",
                GRPC_DEADLINE_EXCEEDED,
                "The service took too long. Try again, or quote the trace_id.",
            )
        } else {
            Answer::new(
                StatusCode::BAD_GATEWAY,
                Fault::Upstream,
                "upstream",
                GRPC_UNAVAILABLE,
                "The service did not answer. Try again, or quote the trace_id.",
            )
        }
    }

    /// The `error.type` of the attempt that failed; None if the failure is the client's, who may
    /// leave without that being an error of the upstream.
    pub fn attempt_error_type(&self) -> Option<&'static str> {
        match self {
            Self::Connect { source, .. } => Some(source.kind()),
            Self::Reset { .. } => Some("connection_reset"),
            Self::BadAnswer { .. } => Some("invalid_response"),
            Self::Timeout { .. } => Some("timeout"),
            Self::BadRequest { .. }
            | Self::HeadersTooLarge { .. }
            | Self::NoRoute
            | Self::NotServed { .. }
            | Self::BodyTooLarge { .. }
            | Self::BodyIdle
            | Self::ClientGone
            | Self::Overloaded { .. }
            | Self::Rewrite { .. } => None,
        }
    }

    /// What a request body's fault means, seen from the upstream's side as a broken exchange.
    pub const fn of_body(fault: BodyFault, limit: u64) -> Self {
        match fault {
            BodyFault::TooLarge => Self::BodyTooLarge { limit },
            BodyFault::Idle => Self::BodyIdle,
            BodyFault::Client => Self::ClientGone,
        }
    }
}
