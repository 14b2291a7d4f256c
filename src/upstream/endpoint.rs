//! One endpoint: it is asked, and it answers or does not.

use super::asking::{Answered, AskError, Asking, Unanswered, is_refused, is_reset_stream};
use super::body::{Alone, AnswerBody, AnswerDeadlines, Carrier};
use super::connect::ConnectError;
use super::dialect;
use super::http2;
use super::link::{Link, Sent};
use super::obtain::{AnyLink, Wanted};
use super::patience::HeadPatience;
use super::pool::Pool;
use super::reach::Reach;
use super::retry::is_idempotent;
use super::upgrade::{Held, Switched, Way};
use super::{EndpointAddress, EndpointProtocol, EndpointTarget, Standing, UpstreamTimeouts};
use crate::clock;
use crate::message::request_body::RequestBody;
use crate::telemetry::metrics::Metrics;
use crate::tls::Connector;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// One endpoint of an upstream.
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// The host and port to ask for when the host is rewritten to the endpoint's own.
    pub authority: HeaderValue,
    /// `server.address` of CLIENT spans: the host, or the path of a Unix socket.
    pub server_address: Box<str>,
    /// `server.port` of CLIENT spans; None for a Unix socket.
    pub server_port: Option<u16>,
    /// How it stands at this moment.
    pub standing: Arc<Standing>,
    pub(super) pool: Pool,
    pub(super) upstream: Arc<str>,
    pub(super) reach: Reach,
    /// The name that its certificate has to have.
    pub(super) tls_name: Arc<str>,
    pub(super) tls: Option<Connector>,
    /// The same without HTTP/2, on which no connection can be upgraded.
    pub(super) tls_http1: Option<Connector>,
    /// Whether it is known to speak HTTP/2, so that one connection is made for many requests.
    pub(super) shares: AtomicBool,
    /// Whether it is known not to take a WebSocket on HTTP/2.
    pub(super) refuses_connect: AtomicBool,
    pub(super) connecting: tokio::sync::Mutex<()>,
    pub(super) metrics: Arc<Metrics>,
}

impl Endpoint {
    pub(super) fn new(
        address: EndpointAddress,
        (tls_name, reach): (Arc<str>, Reach),
        upstream: Arc<str>,
        pool: Pool,
        tls: Option<Connector>,
        metrics: Arc<Metrics>,
        standing: Arc<Standing>,
    ) -> Self {
        let authority = HeaderValue::from_str(&address.authority())
            .unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        let (server_address, server_port) = match &address.target {
            // Port 0 stands for one that an SRV record has yet to name.
            EndpointTarget::Tcp { host, port } => {
                ((&**host).into(), Some(*port).filter(|port| *port > 0))
            }
            EndpointTarget::Unix(path) => (path.to_string_lossy().into(), None),
        };
        let shares = AtomicBool::new(address.protocol == EndpointProtocol::H2c);
        let connecting = tokio::sync::Mutex::new(());
        let tls_http1 = tls.as_ref().map(Connector::http1_only);
        Self {
            address,
            authority,
            server_address,
            server_port,
            standing,
            pool,
            upstream,
            reach,
            tls_name,
            tls,
            tls_http1,
            shares,
            refuses_connect: AtomicBool::new(false),
            connecting,
            metrics,
        }
    }

    /// Whether it stands for a name that has no address: asking it fails.
    pub const fn is_unresolved(&self) -> bool {
        matches!(self.reach, Reach::Unresolved(_))
    }

    /// Whether it stands for a name that nobody has said anything about yet.
    pub fn awaits_an_answer(&self) -> bool {
        matches!(&self.reach, Reach::Unresolved(absent) if absent.is_open())
    }

    /// The address that it is known by. None for a Unix socket and for a name without one.
    pub const fn resolved(&self) -> Option<SocketAddr> {
        match &self.reach {
            Reach::At(addresses) => Some(addresses.first),
            Reach::Unix | Reach::Memory(_) | Reach::Unresolved(_) => None,
        }
    }

    /// Asks once. A pooled connection that turns out to be closed before anything was sent is
    /// replaced by another without a word.
    ///
    /// # Errors
    /// The request comes back if nothing of it was sent, and as [`Asking::again`] says.
    pub async fn ask(
        self: &Arc<Self>,
        mut asking: Box<Asking>,
        timeouts: &UpstreamTimeouts,
    ) -> Result<Answered, Unanswered> {
        let (first_byte, sending) = (timeouts.first_byte, asking.progress.clone());
        loop {
            let now = clock::instant();
            let exchange_due = asking.due.map(|due| due.at);
            let due = [exchange_due, asking.head_due].into_iter().flatten().min();
            let left = due.map_or(Duration::MAX, |due| due.saturating_duration_since(now));
            let limit = timeouts.connect.min(left);
            let fresh = asking.fresh;
            let upgrade = false;
            let found = match asking.upgrade.as_deref() {
                None => self.link(now, limit, Wanted { upgrade, fresh }).await,
                Some(asked) => Box::pin(self.link_for_upgrade(now, limit, fresh, asked)).await,
            };
            let (link, fresh) = match found {
                Ok(found) => found,
                Err(error) => return Err(self.unsent(error, asking)),
            };
            let from = if fresh { clock::instant() } else { now };
            let first_byte = asking.head_due.map_or(first_byte, |due| {
                first_byte.min(due.saturating_duration_since(from))
            });
            let patience = &mut HeadPatience::new(from, first_byte, sending.clone(), exchange_due);
            let mut way = Way::Http1;
            let (sent, peer, mut carrier) = match link {
                AnyLink::Own(link) => self.send_h1(link, fresh, &mut asking, patience).await,
                AnyLink::Shared(link) => {
                    way = http2::way(&link, &asking);
                    // Large, and boxed by hyper anyway: not for the future of every request.
                    let protocol = self.address.protocol;
                    Box::pin(http2::send(link, way, protocol, &mut asking, patience)).await
                }
            };
            match sent {
                Ok(Some(mut response)) => {
                    let read = read_answer(&mut response, way, &mut asking, &mut carrier);
                    let switched = match read {
                        Ok(switched) => switched,
                        Err(reason) => {
                            let endpoint = self.address.to_string();
                            return Err((AskError::BadAnswer { endpoint, reason }, None));
                        }
                    };
                    let mut answered = self.answered(response, peer, carrier, asking, timeouts);
                    answered.switched = switched;
                    return Ok(answered);
                }
                Ok(None) => {
                    return Err((self.late(&carrier, &asking, timeouts.connect), None));
                }
                // What comes back has no connection any more, and no place of one.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => asking.request = unsent,
                    unsent => {
                        let source = error.into_error();
                        return Err(self.broken(source, unsent, carrier, asking));
                    }
                },
            }
        }
    }

    /// There was no connection to send the request over.
    fn unsent(&self, error: AskError, asking: Box<Asking>) -> Unanswered {
        let late = matches!(&error, AskError::Connect(ConnectError::Timeout { .. }));
        if late && asking.is_out_of_its_own_time() {
            let endpoint = self.address.to_string();
            return (AskError::OutOfTime { endpoint }, None);
        }
        (error, Some(asking))
    }

    /// No answer came in time. Whether the request or the connection is stuck cannot be told, so
    /// nobody else is sent over it. In a client's own time, which may be none at all, this is so
    /// only if nobody has heard anything of the connection for as long as making one may take.
    fn late(&self, carrier: &Carrier, asking: &Asking, connect: Duration) -> AskError {
        let endpoint = self.address.to_string();
        if asking.is_out_of_its_own_time() {
            self.pool.doubt(carrier, connect);
            return AskError::OutOfTime { endpoint };
        }
        self.pool.forget(carrier);
        AskError::FirstByte { endpoint }
    }

    /// A connection broke before it answered. The request comes back if it may be sent again.
    fn broken(
        &self,
        source: hyper::Error,
        unsent: Option<Request<RequestBody>>,
        carrier: Carrier,
        mut asking: Box<Asking>,
    ) -> Unanswered {
        let refused = unsent.is_some() || is_refused(&source);
        // Whoever resets a stream is there, and means this request.
        let lost = source.is_closed() || !is_reset_stream(&source);
        if lost {
            self.pool.forget(&carrier);
        }
        let restored = unsent.or_else(|| match carrier {
            Carrier::Own(mut link) => link.kept.restore(),
            Carrier::Shared { .. } | Carrier::Alone(_) => asking.kept.as_mut()?.restore(),
        });
        let again = std::mem::take(&mut asking.again);
        let restored = restored.filter(|request| {
            let stale = lost && !source.is_parse();
            again && (refused || (stale && is_idempotent(request.method())))
        });
        let endpoint = self.address.to_string();
        let error = if refused {
            AskError::Refused { endpoint, source }
        } else {
            AskError::Reset { endpoint, source }
        };
        let asking = restored.map(|request| {
            asking.request = request;
            asking.fresh = true;
            asking
        });
        (error, asking)
    }

    async fn send_h1(
        &self,
        mut link: Box<Link>,
        fresh: bool,
        asking: &mut Asking,
        patience: &mut HeadPatience,
    ) -> (Sent, Option<SocketAddr>, Carrier) {
        let mut request = std::mem::take(&mut asking.request);
        // A connection that waited in the pool may be closed by the other side at this moment.
        if !fresh && asking.keeps(&request) && is_idempotent(request.method()) {
            link.kept.keep(&request);
        }
        if let Some(upgrade) = &asking.upgrade {
            upgrade.ask_http1(&mut request);
        }
        dialect::for_http1(&mut request, &asking.host);
        let peer = link.peer;
        if asking.upgrade.is_some() {
            let mut alone = Box::<Alone>::default();
            alone.place = link.place.take();
            let sent = Box::pin(link.send_upgrade(request, patience)).await;
            return (sent, peer, Carrier::Alone(alone));
        }
        let sent = link.send(request, patience).await;
        if sent.is_ok() {
            link.kept.forget();
        }
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
            due: asking.due.map(|due| due.at),
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
        Answered {
            response,
            peer,
            switched: None,
        }
    }
}

/// Reads the head of an answer; takes the stream if it grants the upgrade that was asked for.
fn read_answer(
    response: &mut Response<Incoming>,
    way: Way,
    asking: &mut Asking,
    carrier: &mut Carrier,
) -> Result<Option<Box<Switched>>, &'static str> {
    dialect::read_framing(response, asking.upgrade.is_some() && way == Way::Http1)?;
    let Some(upgrade) = asking.upgrade.take() else {
        return Ok(None);
    };
    if !upgrade.granted(response, way)? {
        // The answer is an ordinary one, and holds what it takes up until it ends.
        return Ok(None);
    }
    let held = match carrier {
        Carrier::Shared { place, .. } => Held::stream(place.take()),
        Carrier::Alone(alone) => Held::connection(alone.place.take()),
        Carrier::Own(_) => Held::default(),
    };
    Ok(Some(Box::new(upgrade.take(response, way, held))))
}
