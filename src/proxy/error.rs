//! What can fail between a request and its answer, and what that means to the caller.

use super::answer::{self, Answer};
use crate::auth::Reason;
use crate::message::request_body::BodyFault;
use crate::upstream::{AskError, ConnectError};
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

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
    /// No route takes the request that a host asks about.
    #[error("no route matches the request asked about")]
    NothingRouted,
    /// Somebody asks for a decision who may not speak for others.
    #[error("whoever asks is none of the listener's trusted proxies")]
    UntrustedPeer,
    /// It is for a host that the certificate shown to its client does not cover.
    #[error("the certificate of this connection is not for the request's host")]
    Misdirected,
    /// It asks for an account of what arrived, and gets none now.
    #[error("the question for what arrived is {reason}")]
    Arrival {
        /// Why: `stale` or `replayed`.
        reason: &'static str,
    },
    /// `CONNECT` or another thing that is not served.
    #[error("not served: {reason}")]
    NotServed {
        /// What.
        reason: &'static str,
    },
    /// An extended `CONNECT` for a protocol that is not served there.
    #[error("the protocol asked for is not served")]
    ProtocolNotServed,
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
        /// Which bound: `listener`, `upstream`, `upstream_pending`, `memory` or `adaptive`.
        what: &'static str,
    },
    /// A rate limit is used up.
    #[error("rate limit `{rule}` is used up")]
    RateLimited {
        /// Its name.
        rule: Arc<str>,
        /// Seconds until one more request fits.
        retry_after: u32,
    },
    /// It may not pass.
    #[error("not allowed to pass ({}){}", reason.name(), by_whom(policy.as_deref(), fault.as_deref()))]
    Denied {
        /// The policy that decided, or could not.
        policy: Option<Arc<str>>,
        /// What went wrong where it could not.
        fault: Option<Arc<str>>,
        /// Why.
        reason: Reason,
        /// How its client may prove who it is: `WWW-Authenticate`.
        challenges: Vec<HeaderValue>,
        /// The status that a setting gives it.
        status: Option<StatusCode>,
    },
    /// A rate limit's store cannot be asked, and the limit refuses then.
    #[error("the store of a rate limit cannot be asked ({fault})")]
    RateLimitUnknown {
        /// Why.
        fault: &'static str,
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
    /// The upstream did not answer in the time that the client gave the exchange.
    #[error("upstream `{upstream}` took longer than the client gave it")]
    OutOfTime {
        /// Its name.
        upstream: String,
    },
    /// No endpoint is well, and the upstream's settings forbid to ask one that is not.
    #[error("upstream {upstream} has no healthy endpoint")]
    NoEndpoint {
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

impl ProxyError {
    /// The only place where an error becomes HTTP. No `_` arm: a new variant has to choose.
    pub fn answer(&self) -> Answer {
        match self {
            Self::BadRequest { reason } if *reason == NOTHING_TOLD => answer::NOTHING_TOLD,
            Self::BadRequest { .. } => answer::BAD_REQUEST,
            Self::HeadersTooLarge { .. } => answer::HEADERS_TOO_LARGE,
            Self::NoRoute => answer::NO_ROUTE,
            Self::NothingRouted => answer::NOTHING_ROUTED,
            Self::UntrustedPeer => answer::UNTRUSTED_PEER,
            Self::Misdirected => answer::MISDIRECTED,
            Self::Arrival { reason: "stale" } => answer::ARRIVAL_STALE,
            Self::Arrival { .. } => answer::ARRIVAL_REPLAYED,
            Self::NotServed { .. } => answer::NOT_SERVED,
            Self::ProtocolNotServed => answer::PROTOCOL_NOT_SERVED,
            Self::BodyTooLarge { .. } => answer::BODY_TOO_LARGE,
            Self::BodyIdle => answer::BODY_IDLE,
            Self::ClientGone => answer::CLIENT_GONE,
            Self::Overloaded { .. } => answer::OVERLOADED,
            Self::RateLimited { retry_after, .. } => Answer {
                retry_after: Some(*retry_after),
                ..answer::RATE_LIMITED
            },
            Self::RateLimitUnknown { .. } => answer::RATE_LIMIT_UNKNOWN,
            Self::Denied { reason, status, .. } => refusal(*reason, *status),
            Self::Timeout { .. }
            | Self::OutOfTime { .. }
            | Self::Connect {
                source: ConnectError::Timeout { .. },
                ..
            } => answer::UPSTREAM_TIMEOUT,
            Self::Connect { .. } | Self::Reset { .. } | Self::BadAnswer { .. } => answer::UPSTREAM,
            Self::NoEndpoint { .. } => answer::NO_ENDPOINT,
            Self::Rewrite { .. } => answer::INTERNAL,
        }
    }

    /// The `error.type` of the attempt that failed; None if the failure is the client's, who may
    /// leave without that being an error of the upstream.
    pub fn attempt_error_type(&self) -> Option<&'static str> {
        match self {
            Self::Connect { source, .. } => Some(source.kind()),
            Self::Reset {
                source: AskError::Refused { .. },
                ..
            } => Some("refused_stream"),
            Self::Reset { .. } => Some("connection_reset"),
            Self::Overloaded { .. } => Some("overloaded"),
            Self::BadAnswer { .. } => Some("invalid_response"),
            Self::Timeout { .. } | Self::OutOfTime { .. } => Some("timeout"),
            Self::BadRequest { .. }
            | Self::HeadersTooLarge { .. }
            | Self::NoRoute
            | Self::NothingRouted
            | Self::UntrustedPeer
            | Self::Misdirected
            | Self::Arrival { .. }
            | Self::NotServed { .. }
            | Self::ProtocolNotServed
            | Self::BodyTooLarge { .. }
            | Self::BodyIdle
            | Self::ClientGone
            | Self::RateLimited { .. }
            | Self::RateLimitUnknown { .. }
            | Self::Denied { .. }
            | Self::NoEndpoint { .. }
            | Self::Rewrite { .. } => None,
        }
    }

    /// Why the request was refused early, to spare us or an upstream; counted, and on its span.
    /// Each of these is a 503 that says when to try again.
    pub const fn shed_reason(&self) -> Option<&'static str> {
        match self {
            Self::Overloaded { what } => Some(what),
            Self::RateLimitUnknown { .. } => Some("rate_limit_store"),
            Self::BadRequest { .. }
            | Self::HeadersTooLarge { .. }
            | Self::Misdirected
            | Self::NoRoute
            | Self::NothingRouted
            | Self::UntrustedPeer
            | Self::Arrival { .. }
            | Self::NotServed { .. }
            | Self::ProtocolNotServed
            | Self::BodyTooLarge { .. }
            | Self::BodyIdle
            | Self::ClientGone
            | Self::RateLimited { .. }
            | Self::Denied { .. }
            | Self::Connect { .. }
            | Self::Reset { .. }
            | Self::BadAnswer { .. }
            | Self::Timeout { .. }
            | Self::OutOfTime { .. }
            | Self::NoEndpoint { .. }
            | Self::Rewrite { .. } => None,
        }
    }

    /// Whether a host proxy is not set up to ask: its operator has to learn of it, and no client
    /// can bring it about.
    pub fn is_of_the_host(&self) -> bool {
        matches!(self, Self::BadRequest { reason } if *reason == NOTHING_TOLD)
    }

    /// How the client may prove who it is.
    pub fn challenges(&self) -> &[HeaderValue] {
        if let Self::Denied { challenges, .. } = self {
            challenges
        } else {
            &[]
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

/// Why a question is refused that tells nothing of the request asked about.
pub(in crate::proxy) const NOTHING_TOLD: &str = "telling_header_missing";

/// Where a policy could not decide, which one and why.
fn by_whom(policy: Option<&str>, fault: Option<&str>) -> String {
    match (policy, fault) {
        (Some(policy), Some(fault)) => format!(": policy `{policy}`: {fault}"),
        (None, Some(fault)) => format!(": {fault}"),
        (_, None) => String::new(),
    }
}

/// What a refusal becomes, by why; a status that a setting gives goes before.
fn refusal(reason: Reason, status: Option<StatusCode>) -> Answer {
    let answer = match (reason, status) {
        (Reason::NoCredential | Reason::BadCredential | Reason::StepUp, _)
        | (Reason::Refused, Some(StatusCode::UNAUTHORIZED)) => answer::UNAUTHENTICATED,
        (Reason::Forbidden | Reason::Refused | Reason::NotAllowed | Reason::AllowFailed, _) => {
            answer::FORBIDDEN
        }
        (Reason::Unavailable | Reason::BadAnswer, _) => answer::AUTH_UNAVAILABLE,
        (Reason::Timeout, _) => answer::AUTH_TIMEOUT,
        (Reason::BodyTooLarge, _) => answer::BODY_TOO_LARGE,
    };
    Answer {
        status: status.unwrap_or(answer.status),
        ..answer
    }
}
