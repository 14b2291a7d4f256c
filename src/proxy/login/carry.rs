//! The trace through a login: what of a refused request's context goes along, and how it comes
//! back.

use crate::auth::oidc::{Flow, Logins, Site};
use crate::auth::session::Session;
use crate::proxy::context::RequestContext;
use crate::trace::carried::Carried;
use crate::trace::context::Inbound;
use http::{HeaderMap, HeaderValue};

/// The context of a request that is refused for now, to be kept with the login that begins.
pub(super) const fn taken(_context: &RequestContext, _headers: &HeaderMap) -> Option<Carried> {
    None
}

/// The context that the SERVER span of a request goes on from: its own, or that of the login that
/// it completes.
pub(in crate::proxy) fn joined(
    _context: &RequestContext,
    inbound: Option<Inbound>,
) -> Option<Inbound> {
    inbound
}

/// `Set-Cookie` values that bring the context back with the request that is repeated.
pub(super) const fn ticket(
    _context: &RequestContext,
    _logins: &Logins,
    _site: &Site,
    _flow: &Flow,
    _session: &Session,
) -> Vec<HeaderValue> {
    Vec::new()
}
