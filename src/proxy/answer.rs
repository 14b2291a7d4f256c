//! What a failure becomes: status, code and sentence for the caller, and whose fault it is.
//! `docs/failures.md` lists the codes.

use crate::message::respond::Failure;
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
const GRPC_PERMISSION_DENIED: u8 = 7;
const GRPC_UNAUTHENTICATED: u8 = 16;

/// The request has more than one reading.
pub(super) const NOTHING_TOLD: Answer = Answer {
    detail: "The proxy that asks here does not tell what it asks about. \
         Whoever runs it can set the header fields of its dialect.",
    ..BAD_REQUEST
};

pub(super) const BAD_REQUEST: Answer = Answer::new(
    StatusCode::BAD_REQUEST,
    Fault::Downstream,
    "bad_request",
    GRPC_INVALID_ARGUMENT,
    "The request can be read in more than one way, so it was refused. \
         Whoever sends it has to change it.",
);

/// Its header fields are too many or too large.
pub(super) const HEADERS_TOO_LARGE: Answer = Answer::new(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    Fault::Downstream,
    "headers_too_large",
    GRPC_RESOURCE_EXHAUSTED,
    "The request's headers are too large or too many. Trying again does not help; \
         deleting this site's cookies may.",
);

/// Nothing is served there.
pub(super) const NO_ROUTE: Answer = Answer::new(
    StatusCode::NOT_FOUND,
    Fault::Downstream,
    "no_route",
    GRPC_UNIMPLEMENTED,
    "Nothing is served at this address. Check the address, or quote the trace_id.",
);

/// No route takes what a host asks about. Never 404: nginx makes an error of its own of that.
pub(super) const NOTHING_ROUTED: Answer = Answer::new(
    StatusCode::FORBIDDEN,
    Fault::Downstream,
    "nothing_routed",
    GRPC_PERMISSION_DENIED,
    "Nothing is served at this address. Check the address, or quote the trace_id.",
);

/// Whoever asks for a decision may not speak for others.
pub(super) const ARRIVAL_STALE: Answer = Answer::new(
    StatusCode::FORBIDDEN,
    Fault::Downstream,
    "arrival_stale",
    GRPC_PERMISSION_DENIED,
    "The question was signed more than a minute ago, or the clocks differ.",
);
pub(super) const ARRIVAL_REPLAYED: Answer = Answer::new(
    StatusCode::CONFLICT,
    Fault::Downstream,
    "arrival_replayed",
    GRPC_PERMISSION_DENIED,
    "The same question came before: something on the way sends requests twice.",
);
pub(super) const UNTRUSTED_PEER: Answer = Answer::new(
    StatusCode::FORBIDDEN,
    Fault::Downstream,
    "untrusted_peer",
    GRPC_PERMISSION_DENIED,
    "Whoever asks here has to be one of the proxies that are trusted. \
         Whoever runs this site can name it in trusted_proxies.",
);

/// It came in by a connection that is for other hosts (RFC 9110 section 15.5.20).
pub(super) const MISDIRECTED: Answer = Answer::new(
    StatusCode::MISDIRECTED_REQUEST,
    Fault::Downstream,
    "misdirected",
    GRPC_UNAVAILABLE,
    "This connection is not for the host that was asked for. Try again on a connection of its own.",
);

/// This kind of request is not served.
pub(super) const NOT_SERVED: Answer = Answer::new(
    StatusCode::METHOD_NOT_ALLOWED,
    Fault::Downstream,
    "not_served",
    GRPC_UNIMPLEMENTED,
    "This kind of request is not served here. Trying again does not help.",
);

/// This protocol is not served.
pub(super) const PROTOCOL_NOT_SERVED: Answer = Answer::new(
    StatusCode::NOT_IMPLEMENTED,
    Fault::Downstream,
    "protocol_not_served",
    GRPC_UNIMPLEMENTED,
    "The protocol that was asked for is not served at this address. Trying again does not help.",
);

/// Its body is larger than allowed.
pub(super) const BODY_TOO_LARGE: Answer = Answer::new(
    StatusCode::PAYLOAD_TOO_LARGE,
    Fault::Downstream,
    "body_too_large",
    GRPC_RESOURCE_EXHAUSTED,
    "The request's body is larger than is allowed here. Send less.",
);

/// Its body did not arrive in time.
pub(super) const BODY_IDLE: Answer = Answer::new(
    StatusCode::REQUEST_TIMEOUT,
    Fault::Downstream,
    "request_timeout",
    GRPC_CANCELLED,
    "The request's body did not arrive in time. Try again on a better connection.",
);

/// The client broke it off.
pub(super) const CLIENT_GONE: Answer = Answer::new(
    StatusCode::BAD_REQUEST,
    Fault::Downstream,
    "client_gone",
    GRPC_CANCELLED,
    "The request was broken off. Try again.",
);

/// No endpoint of the upstream is well.
pub(super) const NO_ENDPOINT: Answer = Answer::new(
    StatusCode::SERVICE_UNAVAILABLE,
    Fault::Upstream,
    "no_healthy_upstream",
    GRPC_UNAVAILABLE,
    "The service is not well at the moment. Try again later, or quote the trace_id.",
);

/// Too many requests are in flight.
pub(super) const OVERLOADED: Answer = Answer::new(
    StatusCode::SERVICE_UNAVAILABLE,
    Fault::Internal,
    "overloaded",
    GRPC_UNAVAILABLE,
    "Too many requests at once. Try again in a moment, or quote the trace_id.",
)
.retry_after(1);

/// A rate limit is used up; when one more fits is written beside it.
pub(super) const RATE_LIMITED: Answer = Answer::new(
    StatusCode::TOO_MANY_REQUESTS,
    Fault::Downstream,
    "rate_limited",
    GRPC_RESOURCE_EXHAUSTED,
    "Too many requests in too short a time. Try again after the time in Retry-After.",
)
.retry_after(1);

/// A rate limit's store cannot be asked, and the limit refuses then.
pub(super) const RATE_LIMIT_UNKNOWN: Answer = Answer::new(
    StatusCode::SERVICE_UNAVAILABLE,
    Fault::Internal,
    "rate_limit_unknown",
    GRPC_UNAVAILABLE,
    "Whether this request is within its limits cannot be told at the moment. \
         Try again in a moment, or quote the trace_id.",
)
.retry_after(1);

/// Nothing it carries proves who its client is.
pub(super) const UNAUTHENTICATED: Answer = Answer::new(
    StatusCode::UNAUTHORIZED,
    Fault::Downstream,
    "unauthenticated",
    GRPC_UNAUTHENTICATED,
    "This needs a credential, and none was sent that is valid here. Log in, or send one.",
);

/// Its client may not.
pub(super) const FORBIDDEN: Answer = Answer::new(
    StatusCode::FORBIDDEN,
    Fault::Downstream,
    "forbidden",
    GRPC_PERMISSION_DENIED,
    "You may not do this. Trying again does not help; whoever runs this site can allow it.",
);

/// Nobody can tell whether it may pass.
pub(super) const AUTH_UNAVAILABLE: Answer = Answer::new(
    StatusCode::SERVICE_UNAVAILABLE,
    Fault::Upstream,
    "auth_unavailable",
    GRPC_UNAVAILABLE,
    "Whether you may do this cannot be told at the moment. \
         Try again in a moment, or quote the trace_id.",
)
.retry_after(1);

/// Nobody told in time whether it may pass.
pub(super) const AUTH_TIMEOUT: Answer = Answer::new(
    StatusCode::GATEWAY_TIMEOUT,
    Fault::Upstream,
    "auth_timeout",
    GRPC_DEADLINE_EXCEEDED,
    "It took too long to tell whether you may do this. Try again, or quote the trace_id.",
);

/// A login would go over a connection that others can listen to.
pub(super) const LOGIN_INSECURE: Answer = Answer::new(
    StatusCode::FORBIDDEN,
    Fault::Downstream,
    "login_insecure",
    GRPC_PERMISSION_DENIED,
    "Logging in needs https here. Use the address that begins with https.",
);

/// The provider, or whoever was asked there, said no.
pub(super) const LOGIN_DENIED: Answer = Answer::new(
    StatusCode::FORBIDDEN,
    Fault::Downstream,
    "login_denied",
    GRPC_PERMISSION_DENIED,
    "The login was refused or given up. Try again, or use another account.",
);

/// What the provider answered proves nothing.
pub(super) const LOGIN_FAILED: Answer = Answer::new(
    StatusCode::BAD_GATEWAY,
    Fault::Upstream,
    "login_failed",
    GRPC_UNAVAILABLE,
    "The login could not be confirmed. Try again; if it stays so, quote the trace_id.",
);

/// The provider cannot be asked.
pub(super) const LOGIN_UNAVAILABLE: Answer = Answer::new(
    StatusCode::SERVICE_UNAVAILABLE,
    Fault::Upstream,
    "login_unavailable",
    GRPC_UNAVAILABLE,
    "Logging in is not possible at the moment. Try again in a moment, or quote the trace_id.",
)
.retry_after(1);

/// The login took too long, was used before, or was begun by another browser.
pub(super) const LOGIN_EXPIRED: Answer = Answer::new(
    StatusCode::BAD_REQUEST,
    Fault::Downstream,
    "login_expired",
    GRPC_UNAUTHENTICATED,
    "The login took too long, was used before, or this browser keeps no cookies. \
         Try again; cookies have to be allowed for this site.",
);

/// Logins lead to logins.
pub(super) const LOGIN_LOOP: Answer = Answer::new(
    StatusCode::FORBIDDEN,
    Fault::Downstream,
    "login_loop",
    GRPC_UNAUTHENTICATED,
    "Logging in led back to logging in, again and again, so it was stopped. Try again; \
         if it stays so, delete this site's cookies or quote the trace_id.",
);

/// The account proved too little.
pub(super) const LOGIN_TOO_WEAK: Answer = Answer::new(
    StatusCode::FORBIDDEN,
    Fault::Downstream,
    "login_too_weak",
    GRPC_PERMISSION_DENIED,
    "This needs a stronger or a newer login than the provider gave. \
         Try again, or use another account.",
);

/// Something of ours failed.
pub(super) const INTERNAL: Answer = Answer::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    Fault::Internal,
    "internal",
    GRPC_INTERNAL,
    "Something went wrong here. Quote the trace_id to whoever runs this site.",
);

/// The upstream took too long.
pub(super) const UPSTREAM_TIMEOUT: Answer = Answer::new(
    StatusCode::GATEWAY_TIMEOUT,
    Fault::Upstream,
    "upstream_timeout",
    GRPC_DEADLINE_EXCEEDED,
    "The service took too long. Try again, or quote the trace_id.",
);

/// The upstream did not answer. Refused and reset read alike: neither tells what is behind.
pub(super) const UPSTREAM: Answer = Answer::new(
    StatusCode::BAD_GATEWAY,
    Fault::Upstream,
    "upstream",
    GRPC_UNAVAILABLE,
    "The service did not answer. Try again, or quote the trace_id.",
);
