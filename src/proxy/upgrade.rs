//! A connection that changed its protocol: two streams spliced, one pair of spans until close.

use super::body::Body;
use super::context::{Outcome, RequestContext};
use crate::server::Drain;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tracing::debug;

/// How long an upstream may go on sending after its client has closed its half.
const LINGER_MAX: Duration = Duration::from_secs(60);

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
    let mut context = context;
    context.has_own_task = true;
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
    let bytes = splice_until_closed(downstream, upstream).await;
    context.add_response_bytes(bytes.to_client);
    // However it was closed: a closed connection is how such a protocol ends.
    context.end(Outcome::Complete);
}

/// What went each way.
#[derive(Default)]
struct Spliced {
    to_upstream: u64,
    to_client: u64,
}

/// Copies both ways until the upstream has closed, or the client has and the upstream has sent
/// what it still had.
async fn splice_until_closed(downstream: Upgraded, upstream: Upgraded) -> Spliced {
    let (mut from_client, mut to_client) = split(TokioIo::new(downstream));
    let (mut from_upstream, mut to_upstream) = split(TokioIo::new(upstream));
    let mut spliced = Spliced::default();
    let Spliced {
        to_upstream: bytes_up,
        to_client: bytes_down,
    } = &mut spliced;
    let up = pass(&mut from_client, &mut to_upstream, bytes_up);
    let down = pass(&mut from_upstream, &mut to_client, bytes_down);
    both(up, down).await;
    spliced
}

/// Until `down` has ended. Once `up` has, who never closes the other half is not waited for long.
async fn both(up: impl Future<Output = ()>, down: impl Future<Output = ()>) {
    let (mut up, mut down) = (pin!(up), pin!(down));
    tokio::select! {
        () = &mut down => {}
        () = &mut up => drop(tokio::time::timeout(LINGER_MAX, &mut down).await),
    }
}

/// Copies one way, then says that no more comes. An error is an end.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &mut u64,
) {
    match tokio::io::copy(from, to).await {
        Ok(copied) => *bytes = copied,
        Err(error) => debug!(%error, "upgraded connection broke off"),
    }
    drop(to.shutdown().await);
}
