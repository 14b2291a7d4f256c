//! A connection that changed its protocol: two streams spliced, one pair of spans until close.

use super::body::Body;
use super::context::{Outcome, RequestContext};
use crate::server::Drain;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

/// Both ends of a connection that is about to be spliced. Travels with the `101`.
#[derive(Clone)]
struct Splice {
    downstream: OnUpgrade,
    upstream: OnUpgrade,
}

/// Puts back what names the protocol: `hop_by_hop` took it off.
pub(super) fn name_protocol(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// Notes at the answer that its connection is to be spliced.
pub(super) fn prepare(response: &mut Response<Body>, downstream: OnUpgrade, upstream: OnUpgrade) {
    *response.body_mut() = Body::Empty;
    response.extensions_mut().insert(Splice {
        downstream,
        upstream,
    });
}

/// If the answer is a `101`, its context goes to the splice, which ends it; else it comes back.
pub(super) fn begin(
    response: &mut Response<Body>,
    context: Box<RequestContext>,
    drain: &Drain,
) -> Option<Box<RequestContext>> {
    let Some(splice) = response.extensions_mut().remove::<Splice>() else {
        return Some(context);
    };
    drain.spawn(run(splice, context));
    None
}

async fn run(splice: Splice, mut context: Box<RequestContext>) {
    let (downstream, upstream) = match tokio::try_join!(splice.downstream, splice.upstream) {
        Ok(both) => both,
        Err(error) => {
            debug!(%error, "upgrade came to nothing");
            context.end(Outcome::Canceled);
            return;
        }
    };
    let outcome = match copy(downstream, upstream).await {
        Ok((_to_upstream, to_client)) => {
            context.add_response_bytes(to_client);
            Outcome::Complete
        }
        Err(error) => {
            debug!(%error, "upgraded connection broke off");
            Outcome::Complete
        }
    };
    context.end(outcome);
}

async fn copy(downstream: Upgraded, upstream: Upgraded) -> std::io::Result<(u64, u64)> {
    let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
    copy_bidirectional(&mut downstream, &mut upstream).await
}
