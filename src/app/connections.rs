//! What happens to an accepted connection: TLS, HTTP, and an account of how it ended.

use crate::listener::{ConnInfo, ListenerSettings, Place, TakeConnection, TlsInfo};
use crate::net::{self, Ends};
use crate::proxy::Pipeline;
use crate::server::{Drain, Ended, serve};
use crate::telemetry::metrics::Metrics;
use crate::tls::{Acceptor, HandshakeError};
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, info};

/// What a listener is at this moment. A connection keeps what it began with.
pub(super) struct Terms {
    pub(super) listener: Arc<ListenerSettings>,
    pub(super) acceptor: Option<Acceptor>,
}

/// Takes the connections of one listener.
#[derive(Clone)]
pub(super) struct Connections {
    /// What the next connection gets.
    pub(super) terms: Arc<ArcSwap<Terms>>,
    pub(super) pipeline: Pipeline,
    pub(super) drain: Drain,
    pub(super) metrics: Arc<Metrics>,
}

impl TakeConnection for Connections {
    fn take(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let arrived = Arrived {
            terms: self.terms.load_full(),
            pipeline: self.pipeline.clone(),
            drain: self.drain.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        self.drain.spawn(async move {
            let _watch = PanicWatch(Arc::clone(&arrived.metrics));
            let open = arrived.metrics.connection(&arrived.terms.listener.name);
            arrived
                .connection(stream, peer, Place { permit, open })
                .await;
        });
    }
}

/// Counts a panic of the task that holds it.
struct PanicWatch(Arc<Metrics>);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked();
        }
    }
}

/// One connection, with everything it needs until its end.
struct Arrived {
    terms: Arc<Terms>,
    pipeline: Pipeline,
    drain: Drain,
    metrics: Arc<Metrics>,
}

impl Arrived {
    async fn connection(&self, stream: TcpStream, peer: SocketAddr, place: Place) {
        let Ok(local) = stream.local_addr() else {
            return;
        };
        if net::tune(&stream).is_err() {
            return; // The other side has left already.
        }
        let ends = Ends { peer, local };
        let Some(acceptor) = &self.terms.acceptor else {
            let conn = self.conn_info(ends, None, place);
            let ended = serve(stream, conn, self.pipeline.clone(), &self.drain).await;
            self.account(&ended, peer);
            return;
        };
        let handshake = acceptor.accept(stream, self.terms.listener.timeouts.header);
        let shaken = tokio::select! {
            biased;
            shaken = handshake => shaken,
            // Who has asked for nothing yet is not waited for.
            () = self.drain.begun() => return,
        };
        match shaken {
            Ok(stream) => {
                let session = stream.get_ref().1;
                let tls = TlsInfo {
                    sni: session.server_name().map(Into::into),
                    alpn_h2: session.alpn_protocol() == Some(b"h2"),
                };
                let conn = self.conn_info(ends, Some(tls), place);
                let ended = serve(stream, conn, self.pipeline.clone(), &self.drain).await;
                self.account(&ended, peer);
            }
            Err(error) => self.refused(&error, peer),
        }
    }

    fn conn_info(&self, ends: Ends, tls: Option<TlsInfo>, place: Place) -> Arc<ConnInfo> {
        Arc::new(ConnInfo::new(
            Arc::clone(&self.terms.listener),
            ends,
            tls,
            place,
        ))
    }

    fn refused(&self, error: &HandshakeError, peer: SocketAddr) {
        self.metrics.tls_error(&self.terms.listener.name);
        let cause: &(dyn std::error::Error + 'static) = error;
        debug!(listener = %self.terms.listener.name, %peer, error = cause, "no TLS");
    }

    /// What the HTTP parser refuses has no span: it is counted and logged here.
    fn account(&self, ended: &Ended, peer: SocketAddr) {
        let listener = &self.terms.listener.name;
        match ended {
            Ended::Clean => {}
            Ended::ParseError(error) => {
                self.metrics.parse_error(listener);
                let error: &(dyn std::error::Error + 'static) = error;
                info!(%listener, %peer, error, "parse_error: no request could be read");
            }
            Ended::Overdue(overdue) => debug!(%listener, %peer, ?overdue, "connection closed"),
            Ended::Broken(error) => debug!(%listener, %peer, %error, "connection broke"),
        }
    }
}
