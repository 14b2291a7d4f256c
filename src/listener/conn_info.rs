//! What is known of a connection before its first request.

use super::ListenerSettings;
use crate::message::forwarded;
use crate::net::Ends;
use crate::telemetry::metrics::ConnectionGuard;
use http::HeaderValue;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// One connection's facts, shared by its requests.
#[derive(Debug)]
pub struct ConnInfo {
    /// The listener it came in by.
    pub listener: Arc<ListenerSettings>,
    /// Both ends.
    pub ends: Ends,
    /// What TLS told, if there was TLS.
    pub tls: Option<TlsInfo>,
    /// The peer as `X-Forwarded-For` has it, see [`forwarded::text_of`].
    pub peer_text: Option<HeaderValue>,
    /// Its place among the listener's connections. Given back with the last request, so that an
    /// upgraded connection, which HTTP has let go of, still counts.
    pub place: Place,
}

/// One place among a listener's connections. Dropping it makes room for the next one.
pub struct Place {
    /// Of the bound.
    pub permit: OwnedSemaphorePermit,
    /// Of the metric.
    pub open: ConnectionGuard,
}

/// What a TLS handshake told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// The name the client asked for (RFC 6066 section 3).
    pub sni: Option<Box<str>>,
    /// Whether ALPN chose HTTP/2.
    pub alpn_h2: bool,
}

impl ConnInfo {
    /// Of a connection that was just accepted.
    pub fn new(
        listener: Arc<ListenerSettings>,
        ends: Ends,
        tls: Option<TlsInfo>,
        place: Place,
    ) -> Self {
        let peer_text = forwarded::text_of(ends.peer);
        Self {
            listener,
            ends,
            tls,
            peer_text,
            place,
        }
    }

    /// `https` under TLS, else `http`.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
