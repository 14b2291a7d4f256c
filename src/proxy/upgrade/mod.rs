//! A connection that changed its protocol: a WebSocket, on either HTTP version, or whatever else
//! an `Upgrade` names. Two streams are joined, under one pair of spans until both are closed.

mod lane;
mod session;
mod told;

use super::body::Body;
use super::context::RequestContext;
use super::outcome::Outcome;
use crate::message::websocket::handshake::WEBSOCKET;
use crate::server::Drain;
use crate::upstream::{Switched, Upgrade};
use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use session::Session;
use std::time::Duration;
use tracing::debug;

/// Bounds of an upgraded connection, and what its spans say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPlan {
    /// Whether each message of a WebSocket is an event of the SERVER span.
    pub message_events: bool,
    /// Longest silence, both ways; None: no bound.
    pub idle: Option<Duration>,
    /// Longest life; None: no bound.
    pub lifetime: Option<Duration>,
}

impl Default for SessionPlan {
    fn default() -> Self {
        Self {
            message_events: false,
            idle: Some(Duration::from_secs(3600)),
            lifetime: None,
        }
    }
}

/// What becomes of a connection that is about to change its protocol.
pub(super) enum Splice {
    /// Both ends of it are joined.
    Joined {
        /// The client's.
        downstream: OnUpgrade,
        /// The upstream's.
        upstream: Box<Switched>,
    },
    /// We say something and close it.
    Told {
        /// The client's.
        downstream: OnUpgrade,
        /// What is said.
        message: String,
    },
}

/// Takes the client's stream from a request that asks for `protocol`, to be had once the answer
/// grants it. A WebSocket is asked for by GET (RFC 6455 section 4.1); with another method the
/// request is an ordinary one, as for any server that ignores an `Upgrade` (RFC 9110 section 7.8).
pub(super) fn ask(
    request: &mut Parts,
    protocol: Option<HeaderValue>,
    by_connect: bool,
) -> Option<(OnUpgrade, Box<Upgrade>)> {
    let upgrade = Upgrade::new(protocol?, &request.headers, by_connect);
    if upgrade.is_websocket() && request.method != Method::GET {
        return None;
    }
    let downstream = request.extensions.remove::<OnUpgrade>()?;
    Some((downstream, Box::new(upgrade)))
}

/// Makes an answer that grants an upgrade one of the client's HTTP version, and notes that the two
/// streams are to be joined. `protocol` is what an HTTP/1.1 upstream switches to.
pub(super) fn grant(
    context: &mut RequestContext,
    response: &mut Response<Body>,
    upstream: Box<Switched>,
    downstream: OnUpgrade,
    protocol: Option<HeaderValue>,
) {
    *response.body_mut() = Body::Empty;
    let headers = response.headers_mut();
    // Neither a 101 (RFC 9110 section 8.6) nor a tunnel has a length.
    headers.remove(CONTENT_LENGTH);
    if context.by_connect {
        headers.remove(SEC_WEBSOCKET_ACCEPT);
        *response.status_mut() = StatusCode::OK;
    } else {
        if upstream.on_http2 {
            headers.extend(
                upstream
                    .upgrade
                    .accept()
                    .map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)),
            );
        }
        let asked = upstream.upgrade.protocol();
        name_protocol(headers, protocol.as_ref().unwrap_or(asked));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }
    context.splice = Some(Box::new(Splice::Joined {
        downstream,
        upstream,
    }));
}

/// Grants a WebSocket of our own, on which `message` is said.
pub(super) fn tell(
    context: &mut RequestContext,
    response: &mut Response<Body>,
    downstream: OnUpgrade,
    upgrade: &Upgrade,
    message: String,
) {
    if context.by_connect {
        *response.status_mut() = StatusCode::OK;
    } else {
        let headers = response.headers_mut();
        let accept = upgrade.accept();
        headers.extend(accept.map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)));
        name_protocol(headers, upgrade.protocol());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }
    context.splice = Some(Box::new(Splice::Told {
        downstream,
        message,
    }));
}

/// Puts back what names the protocol: `hop_by_hop` took it off.
fn name_protocol(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// What asks for a WebSocket where a CONNECT has asked for one.
pub(super) const fn websocket() -> HeaderValue {
    HeaderValue::from_static(WEBSOCKET)
}

/// Whether a client that asked by CONNECT would take this answer for a WebSocket that it is not.
pub(super) fn misleads(context: &RequestContext, response: &Response<Body>) -> bool {
    context.by_connect && context.splice.is_none() && response.status().is_success()
}

/// If the answer grants an upgrade, its context goes to the session, which ends it; else it comes
/// back.
pub(super) fn begin(
    mut context: Box<RequestContext>,
    drain: &Drain,
) -> Option<Box<RequestContext>> {
    let Some(splice) = context.splice.take() else {
        return Some(context);
    };
    context.has_own_task = true;
    let leaving = drain.clone();
    drain.spawn(run(splice, context, leaving));
    None
}

async fn run(splice: Box<Splice>, mut context: Box<RequestContext>, drain: Drain) {
    let (downstream, upstream) = match *splice {
        Splice::Joined {
            downstream,
            upstream,
        } => (downstream, upstream),
        Splice::Told {
            downstream,
            message,
        } => return told::run(downstream, message, context).await,
    };
    let Switched {
        upgrade,
        stream,
        held,
        ..
    } = *upstream;
    match tokio::try_join!(downstream, stream) {
        Ok((client, upstream)) => {
            let session = Session::new(client, upstream, upgrade.is_websocket(), context, &drain);
            session.await;
        }
        Err(error) => {
            debug!(%error, "upgrade came to nothing");
            context.end(Outcome::Canceled);
        }
    }
    drop(held);
}
