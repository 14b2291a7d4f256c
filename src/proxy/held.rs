//! What is read of a request's body before it is decided whether the request may pass.

use super::context::RequestContext;
use super::error::ProxyError;
use super::gate::{Gated, Onward};
use super::{call, forward};
use crate::auth::BodyRule;
use crate::message::held::HeldBody;
use crate::message::request_body::{BodyLimits, BodyProgress, RequestBody};
use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::Body as _;
use hyper::body::Incoming;
use std::sync::Arc;

/// A client's body that has not left.
#[derive(Debug)]
pub(super) enum ClientBody {
    /// Nothing of it was read.
    Unread(Incoming),
    /// Its first bytes were.
    Begun(RequestBody, Option<Arc<BodyProgress>>),
}

impl ClientBody {
    /// The body on its way; the messages of a gRPC call are counted.
    pub(super) fn streamed(
        self,
        context: &RequestContext,
        limits: BodyLimits,
    ) -> (RequestBody, Option<Arc<BodyProgress>>) {
        let (mut body, progress) = match self {
            Self::Unread(incoming) => RequestBody::streamed(incoming, limits),
            Self::Begun(body, progress) => (body, progress),
        };
        call::count(context, &mut body);
        (body, progress)
    }
}

/// Reads the whole body of a request that is answered here, up to this many bytes.
pub(super) async fn whole(
    context: &mut RequestContext,
    headers: &HeaderMap,
    body: Incoming,
    bytes_max: usize,
) -> Result<Bytes, ProxyError> {
    let limit = bytes_max as u64;
    let limits = BodyLimits {
        gated: false,
        ..forward::body_limits(context, headers, limit)
    };
    let (mut body, progress) = RequestBody::streamed(body, limits);
    context.request_body = progress;
    let held = body.hold(bytes_max).await;
    let held = held.map_err(|fault| ProxyError::of_body(fault, limit))?;
    let (data, is_cut) = held.first(bytes_max);
    if is_cut {
        return Err(ProxyError::BodyTooLarge { limit });
    }
    Ok(data)
}

/// Reads as much as the policies of the route want to see. None: nothing is wanted, or there is no
/// body that could be had: an upgrade's bytes are not the request's.
pub(super) async fn hold(
    context: &mut RequestContext,
    gated: &mut Gated,
) -> Result<Option<HeldBody>, ProxyError> {
    let Gated::Forward(onward) = gated else {
        return Ok(None);
    };
    match wanted(context, onward) {
        // In a box: hardly anybody wants to see a body, and all would carry the room for it.
        Some(wanted) => Box::pin(hold_wanted(context, onward, wanted)).await,
        None => Ok(None),
    }
}

async fn hold_wanted(
    context: &mut RequestContext,
    onward: &mut Onward,
    wanted: BodyRule,
) -> Result<Option<HeldBody>, ProxyError> {
    let ClientBody::Unread(incoming) = &onward.body else {
        return Ok(None);
    };
    let told = incoming.size_hint().lower();
    if wanted.refuses_larger && told > wanted.bytes_max as u64 {
        return Ok(Some(HeldBody::new(Bytes::new(), false)));
    }
    let limits = BodyLimits {
        gated: false,
        ..forward::body_limits(context, &onward.parts.headers, onward.body_bytes_max)
    };
    let unread = std::mem::replace(
        &mut onward.body,
        ClientBody::Begun(RequestBody::Empty, None),
    );
    let (mut body, progress) = match unread {
        ClientBody::Unread(incoming) => RequestBody::streamed(incoming, limits),
        ClientBody::Begun(body, progress) => (body, progress),
    };
    // What a client waits for with `Expect` has been said as soon as its body is read.
    onward.parts.headers.remove(EXPECT);
    context.request_body = progress.clone();
    context.hand_over(context.watch.elapsed());
    let held = body.hold(wanted.bytes_max).await;
    context.take_back(context.watch.elapsed());
    onward.body = ClientBody::Begun(body, progress);
    held.map(Some)
        .map_err(|fault| ProxyError::of_body(fault, onward.body_bytes_max))
}

fn wanted(context: &RequestContext, onward: &Onward) -> Option<BodyRule> {
    let route = context.route.as_ref()?;
    let requirement = route.auth.as_ref()?;
    let wanted = requirement.body_wanted(&route.plan.name)?;
    if onward.upgrade.is_some() {
        return None;
    }
    (!context.is_preflight || !requirement.passes_preflights()).then_some(wanted)
}
