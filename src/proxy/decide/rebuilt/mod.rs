//! The request asked about, rebuilt from what its host told: the same as if its client had sent it
//! here.

use super::told::Told;
use crate::listener::ListenerSettings;
use crate::message::authority::Authority;
use crate::message::forwarded::{self, ForwardedPolicy};
use crate::message::normalize::{NormalizePolicy, Normalized, normalize};
use crate::message::refusal::Refusal;
use crate::net::TrustedPeers;
use crate::proxy::gate;
use http::header::{CONTENT_LENGTH, FORWARDED, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Uri};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How a listener reads what it is told.
pub(super) struct Reading<'a> {
    trusted: &'a TrustedPeers,
    client_address_header: Option<&'a HeaderName>,
    /// In which upstreams are told of a client's certificate.
    certificate_header: Option<HeaderName>,
    policy: NormalizePolicy,
}

/// The request, and how it was read.
#[derive(Debug)]
pub(super) struct Rebuilt {
    pub(super) parts: Parts,
    /// None: it has no reading, or more than one.
    pub(super) normalized: Result<Normalized, Refusal>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(listener: &'a ListenerSettings) -> Self {
        Self {
            trusted: &listener.trusted_proxies,
            client_address_header: listener.client_address_header.as_ref(),
            certificate_header: listener.identity_header(),
            policy: gate::normalize_policy(listener),
        }
    }

    /// Where the client is, by the word of the host. The host itself never stands in for it, since
    /// it is one of those who are trusted: without a word the client is nowhere, `0.0.0.0`.
    pub(super) fn client_of(&self, headers: &HeaderMap) -> IpAddr {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        forwarded::client_of(headers, nowhere, &self.forwarded(self.trusted))
    }

    /// Rebuilds it. `headers` are those that the host handed on, without what was meant for its
    /// connection.
    pub(super) fn rebuild(
        &self,
        mut headers: HeaderMap,
        told: &Told,
        client: SocketAddr,
    ) -> Rebuilt {
        headers.remove(FORWARDED);
        // These frame what the host sent, not what its client did.
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        headers.insert(HOST, told.host.clone());
        let mut request = Request::new(());
        *request.method_mut() = told.method.clone();
        *request.uri_mut() = Uri::from(told.target.clone());
        *request.headers_mut() = headers;
        let normalized = normalize(&mut request, &self.policy);
        let (mut parts, ()) = request.into_parts();
        self.speak_for(&mut parts.headers, client, told, normalized.as_ref().ok());
        Rebuilt { parts, normalized }
    }

    /// What the host told is taken off, and what the client said beside it; what is left says what
    /// we know, as of a client that came by itself.
    fn speak_for(
        &self,
        headers: &mut HeaderMap,
        client: SocketAddr,
        told: &Told,
        normalized: Option<&Normalized>,
    ) {
        let host = normalized
            .and_then(Normalized::authority)
            .map(Authority::header);
        let nobody = TrustedPeers::default();
        let policy = self.forwarded(&nobody);
        let view = forwarded::apply_request(headers, client, told.scheme, host, &policy);
        debug_assert_eq!(view.client, client.ip(), "nobody speaks for it any more");
        if let Some(header) = &self.certificate_header {
            // A certificate on this connection is the host's.
            forwarded::assert_field(headers, header, None);
        }
    }

    const fn forwarded<'p>(&'p self, trusted: &'p TrustedPeers) -> ForwardedPolicy<'p> {
        ForwardedPolicy {
            trusted,
            client_address_header: self.client_address_header,
            cloudflare: None,
            peer_text: None,
        }
    }
}

#[cfg(test)]
mod tests;
