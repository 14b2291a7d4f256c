//! What is known of a connection before its first request.

use super::ListenerSettings;
use crate::message::forwarded;
use crate::net::Ends;
use http::HeaderValue;
use std::sync::Arc;

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
    pub fn new(listener: Arc<ListenerSettings>, ends: Ends, tls: Option<TlsInfo>) -> Self {
        let peer_text = forwarded::text_of(ends.peer);
        Self {
            listener,
            ends,
            tls,
            peer_text,
        }
    }

    /// `https` under TLS, else `http`.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}
