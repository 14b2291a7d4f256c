//! Serves the operator's doors.
//!
//! One request a connection, all of it within a deadline: a probe asks every few seconds, and a
//! visitor that is slow, silent or does not read its answer is gone soon.

use super::{AdminListeners, AdminState, routes};
use crate::net::Ends;
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// Connections of one door at a time; more wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 64;

/// From the connection to the last byte of the request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// From the connection to the last byte of the answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Head of a request, in bytes. A browser's is a few thousand.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// After a failed `accept`: EMFILE passes, and a busy loop would not help it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long answers may take after the end has been told, so that `POST /drain` gets its own.
const CLOSING_GRACE: Duration = Duration::from_millis(500);

/// Serves until `cancel`. The doors stay open while requests drain, so that `/ready` can tell.
pub async fn serve(listeners: AdminListeners, state: AdminState, cancel: CancellationToken) {
    let probes = routes::probes(state.clone());
    let admin = routes::admin(state);
    tokio::join!(
        door(listeners.admin, admin, &cancel),
        door(listeners.probes, probes, &cancel)
    );
}

async fn door(listener: Option<TcpListener>, router: Router, cancel: &CancellationToken) {
    let Some(listener) = listener else { return };
    let connections = TaskTracker::new();
    cancel
        .run_until_cancelled(accept_loop(&listener, &router, &connections))
        .await;
    drop(listener);
    connections.close();
    if timeout(CLOSING_GRACE, connections.wait()).await.is_err() {
        debug!(
            open = connections.len(),
            "admin connections cut off at the end"
        );
    }
}

async fn accept_loop(listener: &TcpListener, router: &Router, connections: &TaskTracker) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match accept(listener).await {
            Ok((stream, ends)) => {
                let router = router.clone();
                connections.spawn(async move {
                    connection(stream, ends, router).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "admin: accept failed"
                );
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, Ends)> {
    let (stream, peer): (TcpStream, SocketAddr) = listener.accept().await?;
    // A client that is gone already has no address any more: the listener's will do.
    let local = stream.local_addr().or_else(|_| listener.local_addr())?;
    Ok((stream, Ends { peer, local }))
}

async fn connection(stream: TcpStream, ends: Ends, router: Router) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ends);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new()) // without a timer hyper's header deadline does not run
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        // Visitors come and go; none of it is a fault of ours.
        Ok(Err(error)) => debug!(
            error = &error as &dyn std::error::Error,
            peer = %ends.peer,
            "admin connection failed"
        ),
        Err(_elapsed) => debug!(peer = %ends.peer, "admin connection took too long"),
    }
}
