//! What a request asks for, read before it is let in: for what has to be known of it by then. The
//! gate reads it again in the same way, and goes by that.

use super::context::RequestContext;
use super::gate;
use crate::listener::ConnInfo;
use crate::message::authority::Authority;
use crate::message::forwarded::{self, ForwardedPolicy};
use crate::message::normalize::{Normalized, normalize};
use http::Request;

/// Whom of those that speak for a client a connection's listener believes.
pub(super) fn forwarded_policy(conn: &ConnInfo) -> ForwardedPolicy<'_> {
    let listener = &conn.listener;
    ForwardedPolicy {
        trusted: &listener.trusted_proxies,
        client_address_header: listener.client_address_header.as_ref(),
        cloudflare: listener.cloudflare.as_ref(),
        peer_text: conn.peer_text.as_ref(),
    }
}

/// The address that a browser asked for, absolute; None if it has no one reading.
pub(super) fn address(context: &RequestContext, mut head: Request<()>) -> Option<String> {
    let conn = &context.conn;
    let policy = gate::normalize_policy(&conn.listener);
    let normalized = normalize(&mut head, &policy).ok()?;
    let own = normalized.authority();
    let host = own.map(Authority::header);
    let (peer, scheme) = (conn.ends.peer, conn.scheme());
    let forwarded = forwarded_policy(conn);
    let view = forwarded::apply_request(head.headers_mut(), peer, scheme, host, &forwarded);
    let asked = view.host.as_ref().or(own)?;
    written(view.scheme, asked, head.uri().path_and_query()?.as_str())
}

/// The same of a request that a host told of.
pub(super) fn address_told(scheme: &str, normalized: &Normalized, target: &str) -> Option<String> {
    written(scheme, normalized.authority()?, target)
}

fn written(scheme: &str, authority: &Authority, target: &str) -> Option<String> {
    let authority = authority.header().to_str().ok()?;
    Some(format!("{scheme}://{authority}{target}"))
}
