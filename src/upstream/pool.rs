//! Connections that wait for the next request, for each endpoint.

use super::body::Carrier;
use super::breaker::Gate;
use super::link::Link;
use super::settings::UpstreamLimits;
use super::socket::TakesConnect;
use crate::clock;
use crate::message::request_body::RequestBody;
use hyper::client::conn::http2;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Streams that one HTTP/2 connection carries at a time before another one is opened.
const H2_STREAMS_MAX: usize = 100;

/// Idle HTTP/1.1 connections, the last one used first, and open HTTP/2 connections.
pub(super) struct Pool {
    idle: Mutex<VecDeque<Box<Link>>>,
    idle_max: usize,
    idle_life: Duration,
    shared: Mutex<Vec<SharedLink>>,
    /// HTTP/1.1 connections that may be in use, if there is a bound.
    places: Option<Arc<Semaphore>>,
    /// Requests that wait for one.
    pending: Arc<Gate>,
}

/// Too many requests wait for a connection already.
pub(super) struct TooManyPending;

/// One HTTP/2 connection, shared by its streams. hyper's own task drives it.
#[derive(Clone)]
pub(super) struct SharedLink {
    pub(super) sender: http2::SendRequest<RequestBody>,
    pub(super) peer: Option<std::net::SocketAddr>,
    pub(super) takes_connect: TakesConnect,
    streams: Arc<AtomicUsize>,
    /// When it was last seen in use.
    used: Instant,
    /// How often something was read of it.
    heard: Arc<AtomicUsize>,
    /// How much was heard, and when, when a request last had reason to doubt it.
    doubted: Option<(usize, Instant)>,
}

/// One stream's place on its connection. Dropping it gives the place back.
#[derive(Debug)]
pub(super) struct StreamPlace(Arc<AtomicUsize>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SharedLink {
    pub(super) fn new(
        sender: http2::SendRequest<RequestBody>,
        peer: Option<std::net::SocketAddr>,
        takes_connect: TakesConnect,
        heard: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            sender,
            peer,
            takes_connect,
            heard,
            doubted: None,
            streams: Arc::new(AtomicUsize::new(0)),
            used: clock::instant(),
        }
    }

    /// For how long nothing has been heard, counted from the first doubt.
    fn doubted_for(&mut self) -> Duration {
        let (heard, now) = (self.heard.load(Ordering::Relaxed), clock::instant());
        match self.doubted {
            Some((before, since)) if before == heard => now.saturating_duration_since(since),
            _ => {
                self.doubted = Some((heard, now));
                Duration::ZERO
            }
        }
    }

    pub(super) fn enter(&self) -> StreamPlace {
        self.streams.fetch_add(1, Ordering::Relaxed);
        StreamPlace(Arc::clone(&self.streams))
    }
}

impl Pool {
    pub(super) fn new(limits: &UpstreamLimits, idle_life: Duration, pending: Arc<Gate>) -> Self {
        Self {
            idle: Mutex::new(VecDeque::new()),
            idle_max: limits.idle_connections_max,
            idle_life,
            shared: Mutex::new(Vec::new()),
            places: limits
                .connections_max
                .map(|max| Arc::new(Semaphore::new(max))),
            pending,
        }
    }

    /// Whether connections are bounded.
    pub(super) const fn is_bounded(&self) -> bool {
        self.places.is_some()
    }

    /// A place for one more connection in use, waited for if need be, first come first served.
    /// None if there is no bound. The caller holds the deadline.
    pub(super) async fn place(&self) -> Result<Option<OwnedSemaphorePermit>, TooManyPending> {
        let Some(places) = &self.places else {
            return Ok(None);
        };
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(Some(place));
        }
        let _waiting = self.pending.enter().ok_or(TooManyPending)?;
        // Nobody closes the semaphore.
        Ok(Arc::clone(places).acquire_owned().await.ok())
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Box<Link>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> MutexGuard<'_, Vec<SharedLink>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An HTTP/1.1 connection that was open a moment ago. The other side may close it yet.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Link>> {
        loop {
            let mut link = self.idle().pop_back()?;
            let idle = now.saturating_duration_since(link.idle_since);
            // Looked at outside the lock: this reads from the socket.
            if idle < self.idle_life && link.is_usable() {
                return Some(link);
            }
        }
    }

    /// Keeps a connection for the next request, if there is room. Whether it can serve one is
    /// seen when it is taken, or by the reaper.
    pub(super) fn give_back(&self, mut link: Box<Link>) {
        if link.is_over() {
            return;
        }
        link.rest();
        link.idle_since = clock::instant();
        // Given back last, so that whoever waits for it finds the connection.
        let place = link.place.take();
        let mut idle = self.idle();
        if idle.len() < self.idle_max {
            idle.push_back(link);
        }
        drop(idle);
        drop(place);
    }

    /// An HTTP/2 connection with a free stream.
    pub(super) fn share(&self) -> Option<SharedLink> {
        let mut shared = self.shared();
        shared.retain(|link| !link.sender.is_closed());
        let free = shared
            .iter_mut()
            .find(|link| link.streams.load(Ordering::Relaxed) < H2_STREAMS_MAX)?;
        free.used = clock::instant();
        Some(free.clone())
    }

    /// Gives the connection behind `carrier` to nobody else; its other streams go on.
    pub(super) fn forget(&self, carrier: &Carrier) {
        if let Carrier::Shared {
            place: Some(StreamPlace(streams)),
            ..
        } = carrier
        {
            self.shared()
                .retain(|link| !Arc::ptr_eq(&link.streams, streams));
        }
    }

    /// The same if nothing was heard of that connection for `limit`, since this was asked first.
    pub(super) fn doubt(&self, carrier: &Carrier, limit: Duration) {
        if let Carrier::Shared {
            place: Some(StreamPlace(streams)),
            ..
        } = carrier
        {
            self.shared().retain_mut(|link| {
                !Arc::ptr_eq(&link.streams, streams) || link.doubted_for() < limit
            });
        }
    }

    /// Keeps an HTTP/2 connection for others.
    pub(super) fn keep_shared(&self, link: SharedLink) {
        self.shared().push(link);
    }

    /// Lets go of connections that were idle too long or that the other side has closed.
    pub(super) fn reap(&self) {
        let waiting = std::mem::take(&mut *self.idle());
        let alive: Vec<Box<Link>> = waiting
            .into_iter()
            .filter_map(|mut link| {
                let alive = link.idle_since.elapsed() < self.idle_life && link.is_usable();
                alive.then_some(link)
            })
            .collect();
        let mut idle = self.idle();
        for link in alive.into_iter().rev() {
            idle.push_front(link);
        }
        drop(idle);
        // Dropping the pool's sender closes the connection after its last stream.
        self.shared().retain_mut(|link| {
            if link.streams.load(Ordering::Relaxed) > 0 {
                link.used = clock::instant();
            }
            !link.sender.is_closed() && link.used.elapsed() < self.idle_life
        });
    }
}
