//! One endpoint: it is asked, and it answers or does not.

use super::body::{AnswerBody, AnswerDeadlines, Carrier};
use super::connect::{ConnectError, Connected, Stream, connect, rehearse};
use super::dialect;
use super::link::{Link, Sent};
use super::patience::HeadPatience;
use super::pool::{Pool, SharedLink};
use super::{
    EndpointAddress, EndpointProtocol, EndpointTarget, Rehearsal, Standing, UpstreamTimeouts,
};
use crate::clock::{self, LazyTimer};
use crate::message::request_body::{BodyProgress, RequestBody};
use crate::telemetry::metrics::Metrics;
use crate::tls::Connector;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Largest header list that an HTTP/2 upstream may answer with, in bytes.
const H2_HEADER_BYTES_MAX: u32 = 256 * 1024;

/// One endpoint of an upstream.
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// The host and port to ask for when the host is rewritten to the endpoint's own.
    pub authority: HeaderValue,
    /// `server.address` of CLIENT spans: the host, or the path of a Unix socket.
    pub server_address: Box<str>,
    /// How it stands at this moment.
    pub standing: Arc<Standing>,
    pub(super) pool: Pool,
    pub(super) upstream: Arc<str>,
    tls: Option<Connector>,
    /// The same without HTTP/2, on which no connection can be upgraded.
    tls_http1: Option<Connector>,
    /// Whether it is known to speak HTTP/2, so that one connection is made for many requests.
    shares: AtomicBool,
    connecting: tokio::sync::Mutex<()>,
    metrics: Arc<Metrics>,
    rehearsal: Option<Rehearsal>,
}

/// One request for an endpoint. The URI carries path and query alone.
pub struct Asking {
    /// What is sent.
    pub request: Request<RequestBody>,
    /// What the endpoint shall see as host.
    pub host: HeaderValue,
    /// The client's body, if it has one.
    pub progress: Option<Arc<BodyProgress>>,
    /// Whether it asks for an upgrade of the connection (RFC 9110 section 7.8).
    pub upgrade: bool,
    /// When the whole exchange has to be over.
    pub due: Option<Instant>,
}

/// An endpoint's answer.
pub struct Answered {
    /// Head and body.
    pub response: Response<AnswerBody>,
    /// Who answered; None for a Unix socket.
    pub peer: Option<SocketAddr>,
}

/// Why an endpoint gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection; the request was not sent and can go elsewhere.
    #[error(transparent)]
    Connect(ConnectError),
    /// The connection broke before an answer.
    #[error("{endpoint} closed the connection before it answered")]
    Reset {
        /// Who.
        endpoint: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The answer is none that a gateway can pass on.
    #[error("{endpoint} sent a bad answer: {reason}")]
    BadAnswer {
        /// Who.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No head of an answer in time.
    #[error("{endpoint} did not answer in time")]
    FirstByte {
        /// Who.
        endpoint: String,
    },
}

impl Endpoint {
    pub(super) fn new(
        address: EndpointAddress,
        upstream: Arc<str>,
        pool: Pool,
        tls: Option<Connector>,
        metrics: Arc<Metrics>,
        rehearsal: Option<Rehearsal>,
    ) -> Self {
        let authority = HeaderValue::from_str(&address.authority())
            .unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        let server_address = match &address.target {
            EndpointTarget::Tcp { host, .. } => (&**host).into(),
            EndpointTarget::Unix(path) => path.to_string_lossy().into(),
        };
        let shares = AtomicBool::new(address.protocol == EndpointProtocol::H2c);
        let connecting = tokio::sync::Mutex::new(());
        let tls_http1 = tls.as_ref().map(Connector::http1_only);
        Self {
            address,
            authority,
            server_address,
            standing: Standing::new(),
            pool,
            upstream,
            tls,
            tls_http1,
            shares,
            connecting,
            metrics,
            rehearsal,
        }
    }

    /// Asks once. A pooled connection that turns out to be closed before anything was sent is
    /// replaced by another without a word.
    ///
    /// # Errors
    /// With [`AskError::Connect`] the request comes back: nothing of it was sent.
    pub async fn ask(
        self: &Arc<Self>,
        mut asking: Box<Asking>,
        timeouts: &UpstreamTimeouts,
    ) -> Result<Answered, (AskError, Option<Box<Asking>>)> {
        // A request that finds HTTP/2 here goes without its upgrade.
        let upgrade = asking.upgrade && self.address.protocol != EndpointProtocol::H2c;
        let (first_byte, sending) = (timeouts.first_byte, asking.progress.clone());
        loop {
            let now = clock::instant();
            let left = asking
                .due
                .map_or(Duration::MAX, |due| due.saturating_duration_since(now));
            let limit = timeouts.connect.min(left);
            let (link, fresh) = match self.link(now, limit, upgrade).await {
                Ok(found) => found,
                Err(error) => return Err((AskError::Connect(error), Some(asking))),
            };
            let from = if fresh { clock::instant() } else { now };
            let patience = &mut HeadPatience::new(from, first_byte, sending.clone(), asking.due);
            let (sent, peer, carrier) = match link {
                AnyLink::Own(link) => self.send_h1(link, &mut asking, patience).await,
                AnyLink::Shared(link) => {
                    // Large, and boxed by hyper anyway: not for the future of every request.
                    let protocol = self.address.protocol;
                    Box::pin(send_h2(link, protocol, &mut asking, patience)).await
                }
            };
            match sent {
                Ok(Some(mut response)) => {
                    if let Err(reason) = dialect::read_framing(&mut response, upgrade) {
                        let endpoint = self.address.to_string();
                        return Err((AskError::BadAnswer { endpoint, reason }, None));
                    }
                    return Ok(self.answered(response, peer, carrier, asking, timeouts));
                }
                Ok(None) => {
                    // Whether this request or the connection is stuck cannot be told, so nobody
                    // else is sent over it.
                    self.pool.forget(&carrier);
                    let endpoint = self.address.to_string();
                    return Err((AskError::FirstByte { endpoint }, None));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => asking.request = unsent,
                    _ => {
                        let endpoint = self.address.to_string();
                        let source = error.into_error();
                        return Err((AskError::Reset { endpoint, source }, None));
                    }
                },
            }
        }
    }

    /// An open connection, and whether it was just made.
    async fn link(
        &self,
        now: Instant,
        limit: Duration,
        upgrade: bool,
    ) -> Result<(AnyLink, bool), ConnectError> {
        match self.pooled(now, upgrade) {
            Some(link) => Ok((link, false)),
            // Seldom, and large: kept out of the future that every request carries.
            None => Box::pin(self.open_within(limit, upgrade)).await,
        }
    }

    async fn open_within(
        &self,
        limit: Duration,
        upgrade: bool,
    ) -> Result<(AnyLink, bool), ConnectError> {
        // Waiting for another request's attempt is waiting for a connection, too.
        let opened = tokio::time::timeout(limit, self.open(upgrade)).await;
        let opened = opened.unwrap_or_else(|_| {
            let endpoint = self.address.to_string();
            Err(ConnectError::Timeout { endpoint })
        });
        if opened.is_err() {
            self.metrics.upstream_connect_failed(&self.upstream);
        }
        opened
    }

    /// Makes a connection, or shares the one that another request has made meanwhile.
    async fn open(&self, upgrade: bool) -> Result<(AnyLink, bool), ConnectError> {
        let tls = if upgrade { &self.tls_http1 } else { &self.tls };
        let _connecting = if self.shares.load(Ordering::Relaxed) && !upgrade {
            // Many requests at once shall not make one HTTP/2 connection each.
            let connecting = self.connecting.lock().await;
            if let Some(link) = self.pooled(clock::instant(), upgrade) {
                return Ok((link, false));
            }
            Some(connecting)
        } else {
            None
        };
        let connected = match &self.rehearsal {
            None => connect(&self.address, tls.as_ref()).await?,
            Some(rehearsal) => rehearse(&self.address, rehearsal),
        };
        Ok((self.begin(connected).await?, true))
    }

    fn pooled(&self, now: Instant, upgrade: bool) -> Option<AnyLink> {
        let shares = self.shares.load(Ordering::Relaxed);
        let shared = if upgrade || !shares {
            None
        } else {
            self.pool.share().map(AnyLink::Shared)
        };
        let pooled = shared.or_else(|| self.pool.take(now).map(AnyLink::Own));
        if pooled.is_some() {
            self.metrics.upstream_connection_reused(&self.upstream);
        }
        pooled
    }

    async fn begin(&self, connected: Connected) -> Result<AnyLink, ConnectError> {
        let Connected { stream, peer, h2 } = connected;
        let failed = |source| ConnectError::Handshake {
            endpoint: self.address.to_string(),
            source,
        };
        let open = self.metrics.upstream_connection(&self.upstream);
        if !h2 {
            let link = Link::open(stream, peer, open).await.map_err(failed)?;
            return Ok(AnyLink::Own(Box::new(link)));
        }
        self.shares.store(true, Ordering::Relaxed);
        let (sender, connection) = begin_h2(stream).await.map_err(failed)?;
        tokio::spawn(async move {
            // How it ends is seen by the streams it carries.
            drop(connection.await);
            drop(open);
        });
        let link = SharedLink::new(sender, peer);
        self.pool.keep_shared(link.clone());
        Ok(AnyLink::Shared(link))
    }

    async fn send_h1(
        &self,
        mut link: Box<Link>,
        asking: &mut Asking,
        patience: &mut HeadPatience,
    ) -> (Sent, Option<SocketAddr>, Carrier) {
        let mut request = std::mem::take(&mut asking.request);
        dialect::for_http1(&mut request, &asking.host);
        let peer = link.peer;
        if asking.upgrade {
            let sent = Box::pin(link.send_upgrade(request, patience)).await;
            return (
                sent,
                peer,
                Carrier::Shared {
                    timer: LazyTimer::default(),
                    place: None,
                },
            );
        }
        let sent = link.send(request, patience).await;
        (sent, peer, Carrier::Own(link))
    }

    fn answered(
        self: &Arc<Self>,
        response: Response<Incoming>,
        peer: Option<SocketAddr>,
        carrier: Carrier,
        asking: Box<Asking>,
        timeouts: &UpstreamTimeouts,
    ) -> Answered {
        let deadlines = AnswerDeadlines {
            idle: timeouts.idle,
            due: asking.due,
        };
        let response = response.map(|incoming| {
            AnswerBody::new(
                incoming,
                carrier,
                Arc::clone(self),
                asking.progress,
                deadlines,
            )
        });
        Answered { response, peer }
    }
}

enum AnyLink {
    Own(Box<Link>),
    Shared(SharedLink),
}

type H2Connection = http2::Connection<TokioIo<Stream>, RequestBody, TokioExecutor>;

async fn begin_h2(
    stream: Stream,
) -> Result<(http2::SendRequest<RequestBody>, H2Connection), hyper::Error> {
    // No PINGs: gRPC servers close connections that send them more often than every five minutes.
    // A peer that is gone is found out by the deadlines of those who ask it, see `Pool::forget`.
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(H2_HEADER_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
}

async fn send_h2(
    link: SharedLink,
    protocol: EndpointProtocol,
    asking: &mut Asking,
    patience: &mut HeadPatience,
) -> (Sent, Option<SocketAddr>, Carrier) {
    let mut request = std::mem::take(&mut asking.request);
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
    (
        sent,
        link.peer,
        Carrier::Shared {
            timer: LazyTimer::default(),
            place: Some(place),
        },
    )
}
