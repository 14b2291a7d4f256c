//! Requests of edgespan's own, one connection each: `verify`, `probe` and the trace commands ask
//! with it. Whoever issues tokens is asked over connections that are [kept](KeptClient).
//!
//! Nothing here carries a client's request. What is sent is sent as it was given, header lines in
//! their order, because `verify` has to know what left; what comes back is held up to a bound.

mod connect;
mod exchange;
mod kept;
mod upgrade;
mod url;

pub use connect::ClientTlsSettings;
pub use exchange::{Answer, Body};
pub use kept::KeptClient;
pub use url::{BadUrl, Target};

use crate::tls::{Connector, TlsFileError, client_config};
use std::time::Duration;

/// Longest a question takes in all, unless said otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of an answer's body that are held, unless said otherwise.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speak {
    /// HTTP/2 if TLS agrees to it, else HTTP/1.1.
    #[default]
    Any,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: agreed by TLS, or with prior knowledge over plain TCP (RFC 9113 section 3.3).
    Http2,
}

/// How a question is asked.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Which HTTP.
    pub speak: Speak,
    /// From the first packet to the last byte of the answer.
    pub timeout: Duration,
    /// Bytes of the body that are held; what comes after is not read.
    pub body_bytes_max: usize,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            speak: Speak::Any,
            timeout: TIMEOUT,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }
}

/// Asks servers. Clones share the certificates.
#[derive(Clone)]
pub struct Client {
    tls: Option<Connectors>,
}

/// One for each way to agree on a version.
#[derive(Clone)]
struct Connectors {
    any: Connector,
    http1: Connector,
    http2: Connector,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address of the host took the connection.
    #[error("{authority} cannot be reached")]
    Connect {
        /// Host and port.
        authority: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS was not agreed upon.
    #[error("{authority} does not agree on TLS")]
    Tls {
        /// Host and port.
        authority: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS was agreed upon, HTTP/2 was not.
    #[error("{authority} does not speak HTTP/2")]
    NoHttp2 {
        /// Host and port.
        authority: String,
    },
    /// The exchange broke.
    #[error("{authority} gave no whole answer")]
    Exchange {
        /// Host and port.
        authority: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// It took too long.
    #[error("{authority} did not answer within {timeout:?}")]
    Late {
        /// Host and port.
        authority: String,
        /// The bound.
        timeout: Duration,
    },
}

impl ClientError {
    /// Whether nobody was there to answer, or nobody in time: exit 69 for a command.
    pub const fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Tls { .. } | Self::Late { .. }
        )
    }
}

impl Client {
    /// A client for plain HTTP alone. Reads no file, and needs none to be there.
    pub const fn without_tls() -> Self {
        Self { tls: None }
    }

    /// A client that trusts the machine's roots, or those of `settings`.
    ///
    /// # Errors
    /// If a certificate or key cannot be used.
    pub fn new(settings: &ClientTlsSettings) -> Result<Self, TlsFileError> {
        let made = |alpn: &[&[u8]]| {
            client_config(settings.ca.as_deref(), settings.identity.as_ref(), alpn)
                .map(Connector::new)
        };
        let connectors = Connectors {
            any: made(&[b"h2", b"http/1.1"])?,
            http1: made(&[b"http/1.1"])?,
            http2: made(&[b"h2"])?,
        };
        Ok(Self {
            tls: Some(connectors),
        })
    }
}
