//! What is known of a connection before its first request.

use super::ListenerSettings;
use crate::message::forwarded;
use crate::net::Ends;
use crate::telemetry::metrics::ConnectionGuard;
use crate::tls::{ClientIdentity, Served};
use http::HeaderValue;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// One connection's facts, shared by its requests.
#[derive(Debug)]
pub struct ConnInfo {
    /// The listener it came in by.
    pub listener: Arc<ListenerSettings>,
    /// Both ends; the other one as a PROXY header has it, if there was one.
    pub ends: Ends,
    /// The other side of the socket itself: who sent that header, or the same as in `ends`.
    pub socket_peer: SocketAddr,
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
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// The name the client asked for (RFC 6066 section 3).
    pub sni: Option<Box<str>>,
    /// Whether ALPN chose HTTP/2.
    pub alpn_h2: bool,
    /// What ALPN chose; None if the client offered nothing, or something else.
    pub alpn: Option<&'static str>,
    /// `1.2` or `1.3`; None in a rehearsal.
    pub version: Option<&'static str>,
    /// Who the client is, if it showed a certificate.
    pub client: Option<Box<ClientIdentity>>,
    /// The certificate that the client was shown, where requests for hosts that it does not cover
    /// are refused.
    pub shown: Option<Arc<Served>>,
}

impl ConnInfo {
    /// Of a connection that was just accepted.
    pub fn new(
        listener: Arc<ListenerSettings>,
        ends: Ends,
        socket_peer: SocketAddr,
        tls: Option<TlsInfo>,
        place: Place,
    ) -> Self {
        let peer_text = forwarded::text_of(ends.peer);
        Self {
            listener,
            ends,
            socket_peer,
            tls,
            peer_text,
            place,
        }
    }

    /// Who the client is by its certificate.
    pub fn identity(&self) -> Option<&ClientIdentity> {
        self.tls.as_ref()?.client.as_deref()
    }

    /// Whether a request for `host` came to the wrong door: the certificate that was shown for the
    /// name the client asked for does not cover it.
    pub fn is_misdirected(&self, host: &str) -> bool {
        let Some(TlsInfo {
            sni: Some(asked),
            shown: Some(shown),
            ..
        }) = &self.tls
        else {
            return false;
        };
        !asked.eq_ignore_ascii_case(host) && !shown.covers(host)
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
