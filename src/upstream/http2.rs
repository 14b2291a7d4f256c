//! HTTP/2 connections to an endpoint: how one begins, who drives it, and how a stream is asked for.

use super::EndpointProtocol;
use super::asking::Asking;
use super::body::Carrier;
use super::connect::Stream;
use super::dialect;
use super::link::Sent;
use super::patience::HeadPatience;
use super::pool::SharedLink;
use super::socket::Socket;
use super::upgrade::Way;
use crate::clock::LazyTimer;
use crate::telemetry::metrics::UpstreamConnectionGuard;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::time::Duration;

/// Largest header list that an HTTP/2 upstream may answer with, in bytes.
const H2_HEADER_BYTES_MAX: u32 = 256 * 1024;

/// Begins HTTP/2 on a stream. The connection has a task of its own.
pub(super) async fn begin(
    stream: Stream,
    peer: Option<SocketAddr>,
    open: UpstreamConnectionGuard,
) -> Result<SharedLink, hyper::Error> {
    let (socket, takes_connect, heard) = Socket::http2(stream, open);
    // No PINGs: gRPC servers close connections that send them more often than every five minutes.
    // A peer that is gone is found out by the deadlines of those who ask it, see `Endpoint::late`.
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(H2_HEADER_BYTES_MAX)
        .handshake(TokioIo::new(socket))
        .await?;
    tokio::spawn(async move {
        // How it ends is seen by the streams it carries.
        drop(connection.await);
    });
    Ok(SharedLink::new(sender, peer, takes_connect, heard))
}

/// Waits for the peer's SETTINGS, at most `limit`, and tells whether it takes extended CONNECT.
/// None if it has not said so far.
pub(super) async fn takes_connect(link: &SharedLink, limit: Duration) -> Option<bool> {
    let mut told = link.takes_connect.clone();
    let told = tokio::time::timeout(limit, told.wait_for(Option::is_some)).await;
    *told.ok()?.ok()?
}

/// How a request that asks for an upgrade can ask on this connection.
pub(super) fn way(link: &SharedLink, asking: &Asking) -> Way {
    let fits = asking
        .upgrade
        .as_ref()
        .is_some_and(|upgrade| upgrade.fits_http2());
    if fits && *link.takes_connect.borrow() == Some(true) {
        Way::Connect
    } else {
        Way::Plain
    }
}

/// Sends a request on a stream of its own and waits for the head of its answer.
pub(super) async fn send(
    link: SharedLink,
    way: Way,
    protocol: EndpointProtocol,
    asking: &mut Asking,
    patience: &mut HeadPatience,
) -> (Sent, Option<SocketAddr>, Carrier) {
    let mut request = std::mem::take(&mut asking.request);
    if asking.keeps(&request) {
        asking.kept.get_or_insert_default().keep(&request);
    }
    if let Some(upgrade) = &asking.upgrade {
        upgrade.ask_http2(&mut request, way);
    }
    dialect::for_http2(&mut request, protocol, &asking.host);
    if let Some(progress) = &asking.progress {
        // hyper's HTTP/2 client does not report 1xx: nobody would open the gate.
        progress.open_gate();
    }
    let place = link.enter();
    let mut sender = link.sender;
    let sending = async {
        // Closed since it was looked at? Then hyper hands the request back.
        drop(sender.ready().await);
        sender.try_send_request(request).await
    };
    let sent = patience.bound(sending).await.transpose();
    let carrier = Carrier::Shared {
        timer: LazyTimer::default(),
        place: Some(place),
    };
    (sent, link.peer, carrier)
}
