//! Why a backend could not say what it was asked.

use crate::client::{BadUrl, ClientError};
use http::StatusCode;

/// Why there is no answer, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Nobody answered.
    #[error("cannot ask {url}")]
    Ask {
        /// The backend.
        url: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// The address cannot be asked.
    #[error("the address cannot be asked")]
    Url(#[source] BadUrl),
    /// It said no.
    #[error("{url} answered {status}{}{said}", if .said.is_empty() { "" } else { ": " })]
    Refused {
        /// What was asked, without its query.
        url: String,
        /// The status.
        status: StatusCode,
        /// The first line of what it said.
        said: String,
    },
    /// It said something that its API does not say.
    #[error("{url} answered what cannot be read: {why}")]
    Unreadable {
        /// What was asked, without its query.
        url: String,
        /// Why not.
        why: String,
    },
    /// It said more than is held.
    #[error("{url} answered more than 64 MiB")]
    TooLong {
        /// What was asked, without its query.
        url: String,
    },
    /// Somebody answers there, and none of the APIs is known.
    #[error("{url} is no edgespan, Tempo, Jaeger or Zipkin")]
    Unknown {
        /// What was asked.
        url: String,
    },
    /// The backend has no such question.
    #[error("{backend} cannot be asked for {what}")]
    Unsupported {
        /// Which kind.
        backend: &'static str,
        /// What was wanted.
        what: &'static str,
    },
}

impl BackendError {
    /// Whether nobody was there to answer: exit 69 for a command.
    pub const fn is_unreachable(&self) -> bool {
        match self {
            Self::Ask { source, .. } => source.is_unreachable(),
            Self::Url(_)
            | Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::TooLong { .. }
            | Self::Unknown { .. }
            | Self::Unsupported { .. } => false,
        }
    }

    /// The status with which it was refused.
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Ask { .. }
            | Self::Url(_)
            | Self::Unreadable { .. }
            | Self::TooLong { .. }
            | Self::Unknown { .. }
            | Self::Unsupported { .. } => None,
        }
    }
}
