//! What an endpoint is asked, and what comes of it.

use super::body::AnswerBody;
use super::connect::ConnectError;
use super::kept::KeptHead;
use super::upgrade::{Switched, Upgrade};
use crate::clock;
use crate::message::request_body::{BodyProgress, RequestBody};
use http::{HeaderValue, Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::Instant;

/// One request for an endpoint. The URI carries path and query alone.
pub struct Asking {
    /// What is sent.
    pub request: Request<RequestBody>,
    /// What the endpoint shall see as host.
    pub host: HeaderValue,
    /// The client's body, if it has one.
    pub progress: Option<Arc<BodyProgress>>,
    /// The upgrade of the connection that it asks for, if it does.
    pub upgrade: Option<Box<Upgrade>>,
    /// When the whole exchange has to be over.
    pub due: Option<Due>,
    /// When the head of its answer has to be there, if sooner than the upstream's own deadlines.
    pub head_due: Option<Instant>,
    /// Whether a copy shall be kept, so that the request comes back if it was not processed, or
    /// if it may be repeated and its connection had been closed. Once is enough.
    pub again: bool,
    /// Whether no HTTP/1.1 connection from the pool will do.
    pub fresh: bool,
    /// The copy, where the connection has no room for it.
    pub(super) kept: Option<Box<KeptHead>>,
}

/// When an exchange has to be over, and by whose word.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// When.
    pub at: Instant,
    /// Whether the client chose it. Then that it has passed says nothing of the endpoint.
    pub by_client: bool,
}

/// An endpoint's answer.
pub struct Answered {
    /// Head and body.
    pub response: Response<Box<AnswerBody>>,
    /// Who answered; None for a Unix socket.
    pub peer: Option<SocketAddr>,
    /// The stream that the connection became, if the upgrade asked for was granted.
    pub switched: Option<Box<Switched>>,
}

/// Why an endpoint gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection; the request was not sent and can go elsewhere.
    #[error(transparent)]
    Connect(ConnectError),
    /// The connection broke before an answer.
    #[error("{endpoint} closed the connection before it answered")]
    Reset {
        /// Who.
        endpoint: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// It says that it has not processed the request: `REFUSED_STREAM` or a stream beyond a
    /// GOAWAY's last one (RFC 9113 sections 6.8 and 8.7), or nothing was sent to it.
    #[error("{endpoint} did not take the request")]
    Refused {
        /// Who.
        endpoint: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// As many requests as may wait for a connection do so already. Nothing was sent.
    #[error("too many requests wait for a connection to {endpoint}")]
    Pending {
        /// To whom.
        endpoint: String,
    },
    /// The answer is none that a gateway can pass on.
    #[error("{endpoint} sent a bad answer: {reason}")]
    BadAnswer {
        /// Who.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No head of an answer in time.
    #[error("{endpoint} did not answer in time")]
    FirstByte {
        /// Who.
        endpoint: String,
    },
    /// The time is over that the client gives the exchange, which may be none at all.
    #[error("{endpoint} did not answer in the client's own time")]
    OutOfTime {
        /// Who.
        endpoint: String,
    },
}

/// Why there is no answer, and the request if it can be sent once more.
pub type Unanswered = (AskError, Option<Box<Asking>>);

impl Asking {
    /// A request, `due` at a time, that may be sent once more; for any connection.
    pub fn new(
        request: Request<RequestBody>,
        progress: Option<Arc<BodyProgress>>,
        upgrade: Option<Box<Upgrade>>,
        due: Option<Due>,
    ) -> Box<Self> {
        Box::new(Self {
            request,
            host: HeaderValue::from_static(""),
            progress,
            upgrade,
            due,
            head_due: None,
            again: true,
            fresh: false,
            kept: None,
        })
    }

    /// Whether the time is over that its client gives it.
    pub(super) fn is_out_of_its_own_time(&self) -> bool {
        let own = self.due.filter(|due| due.by_client);
        own.is_some_and(|due| due.at <= clock::instant())
    }

    /// Whether a copy of its head is all it takes to send it once more.
    pub(super) fn keeps(&self, request: &Request<RequestBody>) -> bool {
        self.again && self.upgrade.is_none() && matches!(request.body(), RequestBody::Empty)
    }
}

/// Whether the other side says that it has not looked at the request (RFC 9113 sections 6.8 and
/// 8.7). h2 gives streams up to a GOAWAY's last one another error.
pub(super) fn is_refused(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(|error| {
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (error.is_go_away() || (error.is_reset() && refused))
    })
}

/// Whether only a stream broke, and not its connection.
pub(super) fn is_reset_stream(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(h2::Error::is_reset)
}

fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error)?.downcast_ref()
}
