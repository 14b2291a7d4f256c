//! An address at which services leave their spans: the server of the data path, without a route.

use super::answer::{AnswerBody, WholeAnswer};
use super::messages::Intake;
use super::{grpc, http as over_http};
use crate::listener::{
    ConnInfo, ListenerLimits, ListenerSettings, ListenerTimeouts, PathPolicy, Place,
    TakeConnection, accept_loop, bind,
};
use crate::net::{self, Ends, TrustedPeers};
use crate::server::{Drain, Handle, InFlight, serve};
use crate::telemetry::metrics::Metrics;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Connections at a time; more wait in the kernel's backlog. A service keeps one or a few.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's head.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// From first to last byte of a head, and of a TLS-less connection's first bytes.
const HEADER_MAX: Duration = Duration::from_secs(5);
/// Longest silence of a connection. Exporters send every few seconds, or connect anew.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// How long calls that are being answered have when the door closes.
const CLOSING_MAX: Duration = Duration::from_secs(2);

/// A door that is bound and does not serve yet.
pub struct BoundDoor {
    name: Arc<str>,
    asked: SocketAddr,
    socket: TcpListener,
    /// The same, for the accept loop.
    accepting: tokio::net::TcpListener,
}

/// A door at work. Dropping it closes it.
pub struct OtlpDoor {
    /// What metrics and logs call it.
    pub name: Arc<str>,
    /// Where the settings want it.
    pub asked: SocketAddr,
    /// Where it really is.
    pub address: SocketAddr,
    socket: TcpListener,
    drain: Drain,
    shut: CancellationToken,
}

impl BoundDoor {
    /// Binds, or takes a socket that somebody has left for it.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn new(name: &str, asked: SocketAddr, left: Option<TcpListener>) -> io::Result<Self> {
        let socket = left.map_or_else(|| bind(asked), Ok)?;
        let accepting = tokio::net::TcpListener::from_std(socket.try_clone()?)?;
        Ok(Self {
            name: name.into(),
            asked,
            socket,
            accepting,
        })
    }

    /// Serves from here on.
    pub fn open(self, intake: &Intake, metrics: &Arc<Metrics>) -> OtlpDoor {
        let (drain, shut) = (Drain::new(), CancellationToken::new());
        let taker = Taker {
            settings: Arc::new(settings(&self.name, self.asked)),
            intake: intake.clone(),
            drain: drain.clone(),
            metrics: Arc::clone(metrics),
        };
        let name = Arc::clone(&self.name);
        let (accepting, over) = (self.accepting, shut.clone());
        tokio::spawn(over.run_until_cancelled_owned(async move {
            let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
            let metrics = Arc::clone(&taker.metrics);
            accept_loop(&accepting, &name, permits, &metrics, taker).await;
        }));
        OtlpDoor {
            address: self.socket.local_addr().unwrap_or(self.asked),
            name: self.name,
            asked: self.asked,
            socket: self.socket,
            drain,
            shut,
        }
    }
}

impl OtlpDoor {
    /// The listening socket once more, for a successor.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn socket(&self) -> io::Result<TcpListener> {
        self.socket.try_clone()
    }
}

impl Drop for OtlpDoor {
    fn drop(&mut self) {
        self.shut.cancel();
        let drain = self.drain.clone();
        // Without a runtime there are no connections either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                drain.begin();
                drain.finished(CLOSING_MAX).await;
            });
        }
    }
}

fn settings(name: &Arc<str>, address: SocketAddr) -> ListenerSettings {
    ListenerSettings {
        name: Arc::clone(name),
        address,
        decision: None,
        proxy_protocol: None,
        tls: None,
        trusted_proxies: TrustedPeers::default(),
        client_address_header: None,
        cloudflare: None,
        timeouts: ListenerTimeouts {
            header: HEADER_MAX,
            idle: IDLE_MAX,
            ..ListenerTimeouts::default()
        },
        limits: ListenerLimits {
            connections_max: CONNECTIONS_MAX,
            header_bytes_max: HEADER_BYTES_MAX,
            ..ListenerLimits::default()
        },
        paths: PathPolicy::default(),
        rate_limits: Vec::new(),
    }
}

/// Takes the connections of a door.
#[derive(Clone)]
struct Taker {
    settings: Arc<ListenerSettings>,
    intake: Intake,
    drain: Drain,
    metrics: Arc<Metrics>,
}

impl TakeConnection for Taker {
    fn take(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let taker = self.clone();
        self.drain.spawn(async move {
            let Ok(local) = stream.local_addr() else {
                return;
            };
            if net::tune(&stream).is_err() {
                return; // The other side has left already.
            }
            let open = taker.metrics.connection(&taker.settings.name);
            let place = Place { permit, open };
            let ends = Ends { peer, local };
            let settings = Arc::clone(&taker.settings);
            let conn = Arc::new(ConnInfo::new(settings, ends, peer, None, place));
            let ended = serve(stream, conn, Calls(taker.intake), &taker.drain).await;
            debug!(listener = %taker.settings.name, %peer, ?ended, "connection ended");
        });
    }
}

/// Answers what comes on a door's connections.
#[derive(Clone)]
struct Calls(Intake);

impl Handle for Calls {
    type Body = AnswerBody;

    async fn handle(
        &self,
        _conn: Arc<ConnInfo>,
        place: InFlight,
        request: Request<Incoming>,
    ) -> Response<AnswerBody> {
        let headers = request.headers();
        let answer = if headers.contains_key(ORIGIN) {
            // A web page, by way of its visitor's browser. Services send no Origin.
            told(
                StatusCode::FORBIDDEN,
                "Web pages may not send spans here.\n",
            )
        } else if grpc::is_grpc(headers) {
            grpc::serve(&self.0, request).await
        } else if request.uri().path() == "/v1/traces" {
            WholeAnswer::plain(over_http::serve(&self.0, request).await)
        } else {
            let text = "OTLP is taken here: gRPC, or POST /v1/traces.\n";
            told(StatusCode::NOT_FOUND, text)
        };
        answer.holding(place)
    }
}

fn told(status: StatusCode, text: &'static str) -> WholeAnswer {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    WholeAnswer::plain(response)
}
