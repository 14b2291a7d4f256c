//! A data listener at work: its socket, what new connections get, and those that are open.

use super::build::{self, Door, StartError};
use super::connections::{Connections, Terms};
use super::inherited::Inherited;
use crate::listener::{ListenerSettings, TakeConnection, accept_loop, bind};
use crate::proxy::{Live, Pipeline};
use crate::server::Drain;
use crate::telemetry::metrics::Metrics;
use crate::tls::{Keeper, Tickets};
use arc_swap::ArcSwap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What all listeners of a process share.
#[derive(Clone)]
pub(super) struct Behind {
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tls: TlsShared,
}

/// What TLS keeps over reloads: ticket keys, and an eye on every file.
#[derive(Clone)]
pub(super) struct TlsShared {
    pub(super) tickets: Arc<Tickets>,
    pub(super) keeper: Arc<Keeper>,
}

/// A data listener that is bound and does not serve yet.
pub(super) struct Bound {
    terms: Terms,
    socket: TcpListener,
    /// The same, for the accept loop.
    accepting: tokio::net::TcpListener,
    address: SocketAddr,
}

/// A data listener at work.
pub(super) struct Doorway {
    pub(super) name: Arc<str>,
    /// Where it really listens.
    pub(super) address: SocketAddr,
    /// Connections and requests that came in here.
    pub(super) drain: Drain,
    terms: Arc<ArcSwap<Terms>>,
    /// The same socket as the accept loop's, to be handed on. None once it is shut.
    socket: Option<Arc<TcpListener>>,
    permits: Arc<Semaphore>,
    shut: CancellationToken,
    taker: Connections,
}

/// A data listener as a reload finds it.
pub(super) struct Known {
    name: Arc<str>,
    terms: Arc<Terms>,
    socket: Option<Arc<TcpListener>>,
}

/// What becomes of one listener of a new plan.
pub(super) enum Change {
    /// The one at this place goes on, on new terms or on the old ones.
    Keep { at: usize, terms: Option<Terms> },
    /// One more.
    Open(Box<Bound>),
}

impl Bound {
    /// Binds a listener, or takes the socket that somebody has left for it, and reads what its TLS
    /// needs.
    pub(super) fn new(
        settings: &ListenerSettings,
        inherited: &mut Inherited,
        tls: &TlsShared,
    ) -> Result<Self, StartError> {
        let socket = match inherited.take(&settings.name, settings.address) {
            Some(socket) => Ok(socket),
            None => bind(settings.address),
        };
        Self::on(settings, socket, tls)
    }

    fn on(
        settings: &ListenerSettings,
        socket: io::Result<TcpListener>,
        tls: &TlsShared,
    ) -> Result<Self, StartError> {
        let twice = socket.and_then(|socket| {
            let again = tokio::net::TcpListener::from_std(socket.try_clone()?)?;
            Ok((socket, again))
        });
        let (socket, accepting) = twice.map_err(|source| StartError::Listen {
            door: Door::Listener(Arc::clone(&settings.name)),
            address: settings.address,
            source,
        })?;
        Ok(Self {
            terms: terms(settings, None, tls)?,
            address: socket.local_addr().unwrap_or(settings.address),
            socket,
            accepting,
        })
    }

    /// Serves from here on.
    pub(super) fn open(self, behind: &Behind) -> Doorway {
        let settings = Arc::clone(&self.terms.listener);
        let drain = Drain::new();
        let terms = Arc::new(ArcSwap::from_pointee(self.terms));
        let taker = Connections {
            terms: Arc::clone(&terms),
            pipeline: Pipeline::new(Arc::clone(&behind.live), drain.clone()),
            drain: drain.clone(),
            metrics: Arc::clone(&behind.metrics),
        };
        let doorway = Doorway {
            name: Arc::clone(&settings.name),
            address: self.address,
            drain,
            terms,
            socket: Some(Arc::new(self.socket)),
            permits: Arc::new(Semaphore::new(settings.limits.connections_max)),
            shut: CancellationToken::new(),
            taker,
        };
        doorway.serve(self.accepting);
        doorway
    }
}

impl Doorway {
    fn serve(&self, socket: tokio::net::TcpListener) {
        let (name, permits) = (Arc::clone(&self.name), Arc::clone(&self.permits));
        let (taker, shut) = (self.taker.clone(), self.shut.clone());
        tokio::spawn(async move {
            let metrics = Arc::clone(&taker.metrics);
            tokio::select! {
                () = accept_loop(&socket, &name, permits, &metrics, taker) => {}
                () = shut.cancelled() => {}
            }
        });
    }

    /// The settings that new connections get.
    pub(super) fn settings(&self) -> Arc<ListenerSettings> {
        Arc::clone(&self.terms.load().listener)
    }

    /// The listening socket once more.
    pub(super) fn socket(&self) -> io::Result<TcpListener> {
        again(self.socket.as_deref())
    }

    /// What a reload needs to know of it.
    pub(super) fn known(&self) -> Known {
        Known {
            name: Arc::clone(&self.name),
            terms: self.terms.load_full(),
            socket: self.socket.clone(),
        }
    }

    /// New terms for connections that come from now on.
    pub(super) fn change(&mut self, terms: Terms) {
        let before = self.settings().limits.connections_max;
        let now = terms.listener.limits.connections_max;
        self.terms.store(Arc::new(terms));
        if now >= before {
            self.permits.add_permits(now - before);
            return;
        }
        // Places that are taken are withdrawn when they come back, before anybody else gets one.
        let (permits, fewer) = (Arc::clone(&self.permits), before - now);
        tokio::spawn(async move {
            let fewer = u32::try_from(fewer).unwrap_or(u32::MAX);
            if let Ok(withdrawn) = permits.acquire_many_owned(fewer).await {
                withdrawn.forget();
            }
        });
    }

    /// Takes no new connections. Those that the system has accepted already are still served,
    /// unless a successor has the socket and will find them.
    pub(super) fn shut(&mut self, is_handed_over: bool) {
        self.shut.cancel();
        let Some(socket) = self.socket.take() else {
            return;
        };
        while !is_handed_over && let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            // The socket does not wait: an error is the end of the queue.
            let Ok((stream, peer)) = socket.accept() else {
                return;
            };
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| tokio::net::TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.taker.take(stream, peer, permit);
            }
        }
    }

    /// Closes a listener that the configuration no longer has: what is open may finish.
    pub(super) fn leave(mut self, linger: Duration, limit: Duration) -> Drain {
        self.shut(false);
        let drain = self.drain.clone();
        drop(self);
        let leaving = drain.clone();
        tokio::spawn(linger_and_finish(leaving, linger, limit));
        drain
    }
}

/// Says goodbye, and closes what is idle only after a while: until then each client has the
/// chance of a last answer that tells it to go elsewhere. True if nothing was cut off.
pub(super) async fn linger_and_finish(drain: Drain, linger: Duration, limit: Duration) -> bool {
    if !linger.is_zero() {
        drain.leave();
        drop(tokio::time::timeout(linger, drain.emptied()).await);
    }
    drain.begin();
    drain.finished(limit.saturating_sub(linger)).await
}

/// What is to be done for the listeners of a plan. Opens sockets, and changes nothing yet.
pub(super) fn changes(
    settings: &[ListenerSettings],
    open: &[Known],
    tls: &TlsShared,
) -> Result<Vec<Change>, StartError> {
    let change = |settings: &ListenerSettings| {
        let same_address = |one: &&Known| one.terms.listener.address == settings.address;
        let same = |one: &Known| same_address(&one) && one.name == settings.name;
        if let Some(at) = open.iter().position(same)
            && let Some(known) = open.get(at)
        {
            let is_same = *known.terms.listener == *settings;
            let terms = (!is_same).then(|| terms(settings, Some(&known.terms), tls));
            let terms = terms.transpose()?;
            return Ok(Change::Keep { at, terms });
        }
        // Another name on the same socket; a port that the system chose is no such thing.
        let renamed = open.iter().find(same_address);
        let bound = match renamed.filter(|_| settings.address.port() != 0) {
            Some(known) => Bound::on(settings, again(known.socket.as_deref()), tls)?,
            None => Bound::new(settings, &mut Inherited::default(), tls)?,
        };
        Ok(Change::Open(Box::new(bound)))
    };
    settings.iter().map(change).collect()
}

/// A listening socket once more, unless it is shut.
fn again(socket: Option<&TcpListener>) -> io::Result<TcpListener> {
    let closed = || io::Error::from(io::ErrorKind::NotConnected);
    socket.ok_or_else(closed)?.try_clone()
}

/// The terms of these settings. TLS that is the same goes on with the certificates it has, which
/// the keeper renews.
fn terms(
    settings: &ListenerSettings,
    before: Option<&Terms>,
    tls: &TlsShared,
) -> Result<Terms, StartError> {
    let same = before.filter(|before| {
        before.listener.tls == settings.tls && before.listener.name == settings.name
    });
    let acceptor = match same {
        Some(before) => before.acceptor.clone(),
        None => build::acceptor(settings, &tls.tickets, &tls.keeper)?,
    };
    Ok(Terms {
        acceptor,
        listener: Arc::new(settings.clone()),
    })
}
