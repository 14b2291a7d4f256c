//! A connection for one request: out of the pool, shared, waited for, or made.

use super::EndpointProtocol;
use super::asking::AskError;
use super::connect::{ConnectError, Connected, Way, connect};
use super::endpoint::Endpoint;
use super::http2;
use super::link::Link;
use super::pool::{SharedLink, TooManyPending};
use super::upgrade::Upgrade;
use crate::clock;
use crate::tls::Connector;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// What kind of connection a request needs.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// One that can change its protocol: HTTP/1.1.
    pub(super) upgrade: bool,
    /// None that waited in the pool, if it is HTTP/1.1.
    pub(super) fresh: bool,
}

pub(super) enum AnyLink {
    Own(Box<Link>),
    Shared(SharedLink),
}

impl Endpoint {
    /// An open connection, and whether it was just made.
    pub(super) async fn link(
        &self,
        now: Instant,
        limit: Duration,
        wanted: Wanted,
    ) -> Result<(AnyLink, bool), AskError> {
        if self.pool.is_bounded() {
            return Box::pin(self.link_in_turn(limit, wanted)).await;
        }
        match self.pooled(now, wanted) {
            Some(link) => Ok((link, false)),
            // Seldom, and large: kept out of the future that every request carries.
            None => Box::pin(self.open_within(limit, wanted))
                .await
                .map_err(AskError::Connect),
        }
    }

    /// The same for a request that asks for an upgrade: a stream of HTTP/2 where it fits and the
    /// peer takes it, else an HTTP/1.1 connection of its own. Over `h2c://` there is only HTTP/2:
    /// what it does not take is asked without its upgrade.
    pub(super) async fn link_for_upgrade(
        &self,
        now: Instant,
        limit: Duration,
        fresh: bool,
        asked: &Upgrade,
    ) -> Result<(AnyLink, bool), AskError> {
        let wanted = |upgrade| Wanted { upgrade, fresh };
        let only_http2 = self.address.protocol == EndpointProtocol::H2c;
        let fits = asked.fits_http2() && !self.refuses_connect.load(Ordering::Relaxed);
        if self.address.protocol == EndpointProtocol::Http1 || !(only_http2 || fits) {
            return self.link(now, limit, wanted(true)).await;
        }
        match self.link(now, limit, wanted(false)).await? {
            (AnyLink::Shared(link), fresh) => {
                // Half of the time is left for a connection that does not depend on its word.
                let left = limit.saturating_sub(now.elapsed()) / 2;
                let takes = if fits {
                    http2::takes_connect(&link, left).await
                } else {
                    Some(false)
                };
                if takes == Some(true) || only_http2 {
                    return Ok((AnyLink::Shared(link), fresh));
                }
                if takes == Some(false) {
                    self.refuses_connect.store(true, Ordering::Relaxed);
                }
                let left = limit.saturating_sub(now.elapsed());
                self.link(now, left, wanted(true)).await
            }
            own => Ok(own),
        }
    }

    /// The same where connections are bounded: requests wait for each other.
    async fn link_in_turn(
        &self,
        limit: Duration,
        wanted: Wanted,
    ) -> Result<(AnyLink, bool), AskError> {
        let began = clock::instant();
        let endpoint = || self.address.to_string();
        let place = match tokio::time::timeout(limit, self.pool.place()).await {
            Ok(Ok(place)) => place,
            Ok(Err(TooManyPending)) => {
                let endpoint = endpoint();
                return Err(AskError::Pending { endpoint });
            }
            Err(_) => {
                let endpoint = endpoint();
                return Err(AskError::Connect(ConnectError::Timeout { endpoint }));
            }
        };
        let now = clock::instant();
        if wanted.fresh {
            // A new one takes the place of one that is open.
            drop(self.pool.take(now));
        }
        let (mut link, fresh) = match self.pooled(now, wanted) {
            Some(link) => (link, false),
            None => {
                let left = limit.saturating_sub(now.saturating_duration_since(began));
                let opened = self.open_within(left, wanted).await;
                opened.map_err(AskError::Connect)?
            }
        };
        if let AnyLink::Own(link) = &mut link {
            link.place = place;
        }
        Ok((link, fresh))
    }

    async fn open_within(
        &self,
        limit: Duration,
        wanted: Wanted,
    ) -> Result<(AnyLink, bool), ConnectError> {
        // Waiting for another request's attempt is waiting for a connection, too.
        let opened = tokio::time::timeout(limit, self.open(wanted)).await;
        let opened = opened.unwrap_or_else(|_| {
            let endpoint = self.address.to_string();
            Err(ConnectError::Timeout { endpoint })
        });
        if opened.is_err() {
            self.metrics.upstream_connect_failed(&self.upstream);
        }
        opened
    }

    /// A new connection that the pool knows nothing of, for health checks. The caller holds the
    /// deadline.
    pub(super) async fn dial(&self) -> Result<Connected, ConnectError> {
        connect(&self.way(self.tls.as_ref())).await
    }

    fn way<'a>(&'a self, tls: Option<&'a Connector>) -> Way<'a> {
        Way {
            address: &self.address,
            reach: &self.reach,
            tls_name: &self.tls_name,
            tls,
        }
    }

    /// Makes a connection, or shares the one that another request has made meanwhile.
    async fn open(&self, wanted: Wanted) -> Result<(AnyLink, bool), ConnectError> {
        let upgrade = wanted.upgrade;
        let tls = if upgrade { &self.tls_http1 } else { &self.tls };
        let _connecting = if self.shares.load(Ordering::Relaxed) && !upgrade {
            // Many requests at once shall not make one HTTP/2 connection each.
            let connecting = self.connecting.lock().await;
            if let Some(link) = self.pooled(clock::instant(), wanted) {
                return Ok((link, false));
            }
            Some(connecting)
        } else {
            None
        };
        let connected = connect(&self.way(tls.as_ref())).await?;
        if !upgrade {
            self.note_version(connected.h2);
        }
        Ok((self.begin(connected).await?, true))
    }

    /// A new connection that could have been either tells what the endpoint speaks now: it may have
    /// been replaced by another server.
    fn note_version(&self, h2: bool) {
        if self.shares.load(Ordering::Relaxed) != h2 {
            self.shares.store(h2, Ordering::Relaxed);
        }
        if h2 && self.refuses_connect.load(Ordering::Relaxed) {
            self.refuses_connect.store(false, Ordering::Relaxed);
        }
    }

    fn pooled(&self, now: Instant, wanted: Wanted) -> Option<AnyLink> {
        let Wanted { upgrade, fresh } = wanted;
        let shares = self.shares.load(Ordering::Relaxed);
        let shared = if upgrade || !shares {
            None
        } else {
            self.pool.share().map(AnyLink::Shared)
        };
        let pooled = match shared {
            None if fresh => None,
            None => self.pool.take(now).map(AnyLink::Own),
            shared => shared,
        };
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
        let link = http2::begin(stream, peer, open).await.map_err(failed)?;
        self.pool.keep_shared(link.clone());
        Ok(AnyLink::Shared(link))
    }
}
