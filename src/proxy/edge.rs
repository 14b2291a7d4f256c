//! What a trusted edge before us says of a request: an id to root its trace in, and Cloudflare's
//! own words.

use super::snapshot::Snapshot;
use crate::listener::ConnInfo;
use crate::message::cloudflare;
use crate::trace::context::Inbound;
use crate::trace::span::OpenSpan;
use http::{HeaderMap, HeaderName};
use opentelemetry::trace::TraceId;

/// The id of the trace that begins with this request, and the header it was made of. None: the
/// request comes with a trace, or nobody who is trusted gave it an id. Who is not trusted could
/// choose the trace of others.
pub(super) fn root_of<'s>(
    live: &'s Snapshot,
    conn: &ConnInfo,
    headers: &HeaderMap,
    inbound: Option<&Inbound>,
) -> Option<(TraceId, &'s HeaderName)> {
    if live.root_from.is_empty() || inbound.is_some_and(|inbound| inbound.parent().is_some()) {
        return None;
    }
    let trusted = conn.listener.trusted_proxies.trusts(conn.ends.peer.ip());
    let from = trusted.then_some(&live.root_from)?;
    from.find(headers)
}

/// Writes where the trace id comes from, and what Cloudflare said.
pub(super) fn write(
    span: &mut OpenSpan,
    root: Option<(TraceId, &HeaderName)>,
    conn: &ConnInfo,
    headers: &HeaderMap,
) {
    if let Some((_, name)) = root {
        span.str("edgespan.trace.root_from", name.as_str());
    }
    if conn.listener.cloudflare.is_none() {
        return;
    }
    let facts = cloudflare::facts(headers);
    for (key, value) in [
        ("cloudflare.ray_id", facts.ray_id),
        ("cloudflare.colo", facts.colo),
        ("geo.country.iso_code", facts.country),
    ] {
        if let Some(value) = value {
            span.str(key, value);
        }
    }
}
