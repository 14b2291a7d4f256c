//! What happens to an accepted connection: TLS, HTTP, and an account of how it ended.

use crate::listener::{
    ConnInfo, ListenerSettings, Place, ProxyProtocol, ProxyProtocolError, TakeConnection, TlsInfo,
    Told, read_proxy_header,
};
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
    async fn connection(&self, mut stream: TcpStream, peer: SocketAddr, place: Place) {
        let Ok(local) = stream.local_addr() else {
            return;
        };
        if net::tune(&stream).is_err() {
            return; // The other side has left already.
        }
        let mut ends = Ends { peer, local };
        if let Some(settings) = &self.terms.listener.proxy_protocol {
            match Box::pin(self.proxied(&mut stream, peer, settings)).await {
                Some(Ok(Some(told))) => {
                    ends = Ends {
                        peer: told.source,
                        local: told.destination,
                    };
                }
                Some(Ok(None)) => {}
                Some(Err(error)) => return self.no_proxy_header(&error, peer),
                None => return,
            }
        }
        let Some(acceptor) = &self.terms.acceptor else {
            let conn = self.conn_info(ends, peer, None, place);
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
            Ok(accepted) => {
                let session = accepted.stream.get_ref().1;
                let tls = TlsInfo {
                    sni: session.server_name().map(Into::into),
                    alpn_h2: session.alpn_protocol() == Some(b"h2"),
                    alpn: accepted.alpn,
                    version: accepted.version,
                    client: accepted.client.map(Box::new),
                    shown: accepted.shown,
                };
                let conn = self.conn_info(ends, peer, Some(tls), place);
                let served = serve(accepted.stream, conn, self.pipeline.clone(), &self.drain);
                self.account(&served.await, peer);
            }
            Err(error) => self.no_tls(&error, peer),
        }
    }

    /// Reads the PROXY header; None when the drain begins first.
    async fn proxied(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
        settings: &ProxyProtocol,
    ) -> Option<Result<Option<Told>, ProxyProtocolError>> {
        let deadline = self.terms.listener.timeouts.header;
        tokio::select! {
            biased;
            read = read_proxy_header(stream, peer.ip(), settings, deadline) => Some(read),
            () = self.drain.begun() => None,
        }
    }

    fn conn_info(
        &self,
        ends: Ends,
        socket_peer: SocketAddr,
        tls: Option<TlsInfo>,
        place: Place,
    ) -> Arc<ConnInfo> {
        let listener = Arc::clone(&self.terms.listener);
        Arc::new(ConnInfo::new(listener, ends, socket_peer, tls, place))
    }

    fn no_tls(&self, error: &HandshakeError, peer: SocketAddr) {
        self.metrics.tls_error(&self.terms.listener.name);
        let cause: &(dyn std::error::Error + 'static) = error;
        debug!(listener = %self.terms.listener.name, %peer, error = cause, "no TLS");
    }

    fn no_proxy_header(&self, error: &ProxyProtocolError, peer: SocketAddr) {
        let listener = &self.terms.listener.name;
        let reason = match error {
            ProxyProtocolError::Untrusted => "proxy_protocol_untrusted",
            ProxyProtocolError::Missing | ProxyProtocolError::Malformed(_) => {
                "proxy_protocol_invalid"
            }
            ProxyProtocolError::Timeout => "proxy_protocol_timeout",
            ProxyProtocolError::Broken(_) => return, // a port check
        };
        self.metrics.connection_cut(listener, reason);
        let cause: &(dyn std::error::Error + 'static) = error;
        info!(%listener, %peer, error = cause, "connection closed");
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
            Ended::Overdue(overdue) => {
                self.metrics.connection_cut(listener, overdue.name());
                debug!(%listener, %peer, ?overdue, "connection closed");
            }
            Ended::Flood(flood) => {
                self.metrics.connection_cut(listener, flood.name());
                info!(%listener, %peer, flood = flood.name(), "connection cut");
            }
            Ended::Calmed(error) => {
                self.metrics.connection_cut(listener, "http2_misbehaved");
                info!(%listener, %peer, %error, "connection cut");
            }
            Ended::Broken(error) => debug!(%listener, %peer, %error, "connection broke"),
        }
    }
}
