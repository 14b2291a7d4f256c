//! New tokens for a session, asked for once: by one request of this process, and by one process of
//! all that share the store. Whoever waits gets the same.
//!
//! Providers that give a new refresh token with each use take a second use of the old one for
//! theft, and end the session. So what came of a refresh is kept for a while under what it was asked
//! with: requests of the same page still bring the old cookie.

use super::kept::Kept;
use super::{Session, SessionTokens, Sessions, Store};
use crate::auth::keyed::{Digest, Keyed};
use crate::auth::provider::{ProviderError, Tokens};
use crate::auth::random;
use crate::clock;
use crate::secret::Secret;
use crate::shared::Write;
use crate::telemetry::metrics::{LoginBound, LoginCounts};
use http::{HeaderMap, HeaderValue};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long requests with the old cookie get what came of its refresh.
const GRACE: Duration = Duration::from_secs(60);
/// How long a provider that failed is not asked again for the same session.
const PAUSE: Duration = Duration::from_secs(5);
/// Refreshes that run or are remembered. One more is refused as if the provider were away.
const FLIGHTS_MAX: usize = 4_096;
/// Longest wait for somebody else's refresh.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// How long one may take, a wait for other replicas included. Nobody waits as long, but what comes
/// of it is kept.
const LEAD_MAX: Duration = Duration::from_mins(1);
/// First pause between two looks at whether another process is done; doubles up to the next.
const LOOK_MIN: Duration = Duration::from_millis(20);
/// Longest pause between two looks.
const LOOK_MAX: Duration = Duration::from_millis(250);
/// How often a session that was refreshed is tried to be kept: its old token may be of no use.
const KEEP_TRIES: usize = 3;

/// What comes of a refresh.
type Outcome = Result<Arc<Session>, ProviderError>;

/// Refreshes of this process.
pub(super) struct Flights {
    /// None: the machine gave no random bytes, and nothing is refreshed.
    keyed: Option<Keyed>,
    held: Mutex<HashMap<Digest, Flight>>,
    counts: Arc<LoginCounts>,
}

enum Flight {
    /// Somebody asks. The channel closes when that ends, with or without an outcome.
    Running(watch::Receiver<()>),
    /// This came of it.
    Done { outcome: Outcome, until: Instant },
}

/// Whoever asks. Dropped without an outcome, the next one asks.
struct Leader {
    flights: Arc<Flights>,
    key: Digest,
    _wakes: watch::Sender<()>,
    is_done: bool,
}

enum Place {
    /// The right and duty to ask, and what is waited for then.
    Leads(Leader, watch::Receiver<()>),
    Waits(watch::Receiver<()>),
    Knows(Outcome),
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.is_done {
            self.flights.all().remove(&self.key);
        }
    }
}

impl Leader {
    /// Asks, whoever is still there to hear of it.
    async fn lead(mut self, ask: impl Future<Output = Outcome>) {
        let late = || Err(unavailable("a refresh takes too long"));
        let asked = timeout(LEAD_MAX, ask).await;
        let outcome = asked.unwrap_or_else(|_| late());
        self.is_done = true;
        let kept = if outcome.is_ok() { GRACE } else { PAUSE };
        let until = clock::instant() + kept;
        let done = Flight::Done { outcome, until };
        self.flights.all().insert(self.key, done);
    }
}

impl Flights {
    pub(super) fn new(counts: &Arc<LoginCounts>) -> Arc<Self> {
        Arc::new(Self {
            keyed: Keyed::new(),
            held: Mutex::default(),
            counts: Arc::clone(counts),
        })
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Flight>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a refresh is asked with: two requests with equal keys bring the same session with the
    /// same tokens.
    fn key(&self, session: &Session) -> Option<Digest> {
        fn of(token: Option<&Secret>) -> &[u8] {
            token.map_or("", Secret::expose).as_bytes()
        }
        let tokens = &session.tokens;
        self.keyed.as_ref()?.parts(&[
            session.id.as_bytes(),
            of(tokens.refresh.as_ref()),
            of(tokens.access.as_ref()),
            format!("{:?}", tokens.access_until).as_bytes(),
        ])
    }

    fn place(self: &Arc<Self>, key: Digest) -> Place {
        let now = clock::instant();
        let mut all = self.all();
        match all.get(&key) {
            Some(Flight::Running(running)) => return Place::Waits(running.clone()),
            Some(Flight::Done { outcome, until }) if now < *until => {
                return Place::Knows(outcome.clone());
            }
            Some(Flight::Done { .. }) | None => {}
        }
        if all.len() >= FLIGHTS_MAX {
            all.retain(|_, flight| match flight {
                Flight::Running(_) => true,
                Flight::Done { until, .. } => now < *until,
            });
        }
        if all.len() >= FLIGHTS_MAX {
            self.counts.reached(LoginBound::Refresh, 1);
            return Place::Knows(Err(unavailable("too many refreshes")));
        }
        let (wakes, running) = watch::channel(());
        all.insert(key, Flight::Running(running.clone()));
        self.counts.holds(LoginBound::Refresh, all.len());
        let leader = Leader {
            flights: Arc::clone(self),
            key,
            _wakes: wakes,
            is_done: false,
        };
        Place::Leads(leader, running)
    }

    /// Asks, or waits for whoever does. Who asks does it in a task of its own: a client that leaves
    /// meanwhile would otherwise take the answer along, and a refresh token that counts once.
    async fn once(
        self: &Arc<Self>,
        key: Digest,
        ask: impl Future<Output = Outcome> + Send + 'static,
    ) -> Outcome {
        let due = clock::instant() + WAIT_MAX;
        let mut ask = Some(ask);
        loop {
            let mut running = match self.place(key) {
                Place::Knows(outcome) => return outcome,
                Place::Waits(running) => running,
                Place::Leads(leader, running) => {
                    let Some(ask) = ask.take() else {
                        return Err(unavailable("a refresh came to nothing"));
                    };
                    tokio::spawn(leader.lead(ask));
                    running
                }
            };
            // It closes, and nothing is ever sent: that is no error here.
            if timeout_at(due, running.changed()).await.is_err() {
                return Err(unavailable("a refresh takes too long"));
            }
        }
    }
}

impl Sessions {
    /// Renews a session's tokens: `ask` is called by one alone, in this process and among all that
    /// share the store; whoever waits gets the same. The session as it is from then on, and the
    /// `Set-Cookie` values that say so. Whoever stops waiting stops nothing.
    ///
    /// A provider that failed is not asked again for the same session within five seconds.
    ///
    /// # Errors
    /// What `ask` came to. [`ProviderError::Refused`] also for a session that has ended meanwhile.
    pub async fn refresh<A, F>(
        &self,
        session: &Arc<Session>,
        headers: &HeaderMap,
        secure: bool,
        ask: A,
    ) -> Result<(Arc<Session>, Vec<HeaderValue>), ProviderError>
    where
        A: FnOnce(Secret) -> F + Send + 'static,
        F: Future<Output = Result<Tokens, ProviderError>> + Send + 'static,
    {
        let policy = Arc::clone(&session.policy);
        let cookies = self.cookies(&policy, secure);
        let brought = cookies.read(headers);
        let none = || unavailable("there is no store of sessions");
        let key = self.flights.key(session).ok_or_else(none)?;
        let own = Arc::clone(session);
        let renewed = match &self.store {
            Store::Cookie { .. } => self.flights.once(key, self::ask(own, ask)).await?,
            Store::Redis(kept) => {
                let kept = Arc::clone(kept.as_ref().ok_or_else(none)?);
                let handle = brought.text.as_deref().ok_or_else(none)?.to_owned();
                let asked = ask_among_all(kept, handle, own, ask);
                self.flights.once(key, asked).await?
            }
        };
        let written = self.written(&cookies, &renewed, &brought, clock::wall());
        let written =
            written.map_err(|error| ProviderError::BadAnswer(error.to_string().into()))?;
        Ok((renewed, written))
    }
}

fn unavailable(why: &str) -> ProviderError {
    ProviderError::Unavailable(why.into())
}

impl SessionTokens {
    /// What they are after a refresh: what was not given anew stays as it was (RFC 6749, section 6;
    /// OpenID Connect Core 1.0, section 12.2). `now` is in Unix seconds.
    #[must_use]
    pub fn renewed(&self, given: Tokens, now: u64) -> Self {
        let until = |life: Duration| now.saturating_add(life.as_secs());
        Self {
            access: Some(given.access),
            access_until: given.expires_in.map(until),
            id: given.id.or_else(|| self.id.clone()),
            refresh: given.refresh.or_else(|| self.refresh.clone()),
        }
    }
}

/// Asks for new tokens, alone.
async fn ask<A, F>(session: Arc<Session>, ask: A) -> Outcome
where
    A: FnOnce(Secret) -> F + Send + 'static,
    F: Future<Output = Result<Tokens, ProviderError>> + Send + 'static,
{
    let Some(token) = session.tokens.refresh.clone() else {
        return Err(ProviderError::NoEndpoint("refresh token"));
    };
    let mut given = ask(token).await?;
    let now = Sessions::seconds(clock::wall());
    let mut renewed = Session::clone(&session);
    // Somebody may have lost a group: what is told is all that is known from now on.
    if !given.claims.is_empty() {
        renewed.claims = std::mem::take(&mut given.claims);
    }
    renewed.tokens = session.tokens.renewed(given, now);
    renewed.seen = now;
    Ok(Arc::new(renewed))
}

/// The same among all processes that share the store.
async fn ask_among_all<A, F>(
    kept: Arc<Kept>,
    handle: String,
    session: Arc<Session>,
    ask: A,
) -> Outcome
where
    A: FnOnce(Secret) -> F + Send + 'static,
    F: Future<Output = Result<Tokens, ProviderError>> + Send + 'static,
{
    let due = clock::instant() + WAIT_MAX;
    let mut pause = LOOK_MIN;
    let lock = loop {
        let owner = random::text::<16>().ok_or_else(|| unavailable("no randomness"))?;
        let taken = kept.locking.try_take(kept.lock_key(&handle), owner).await;
        let lock = taken.map_err(|_| away())?;
        // It may have been done while the lock was somebody else's.
        if let Some(done) = done_by_others(&kept, &handle, &session).await? {
            return Ok(done);
        }
        if let Some(lock) = lock {
            break lock;
        }
        if clock::instant() + pause >= due {
            return Err(unavailable("a refresh elsewhere takes too long"));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LOOK_MAX);
    };
    lock.hold(async {
        let renewed = self::ask(session, ask).await?;
        keep(&kept, &handle, &renewed).await?;
        Ok(renewed)
    })
    .await
}

/// The session as it is now, if its tokens are other ones.
async fn done_by_others(
    kept: &Kept,
    handle: &str,
    session: &Session,
) -> Result<Option<Arc<Session>>, ProviderError> {
    let found = kept.find(handle, clock::wall()).await.map_err(|_| away())?;
    let (now, _) = found.ok_or_else(ended)?;
    Ok((now.tokens != session.tokens).then_some(now))
}

/// Keeps what came of it, unless the session has ended meanwhile. If Redis is away, this request
/// goes on; the next one cannot ask for its session anyway.
async fn keep(kept: &Kept, handle: &str, renewed: &Session) -> Result<(), ProviderError> {
    for _ in 0..KEEP_TRIES {
        let put = kept.put(handle, renewed, Write::IfThere, clock::wall());
        match put.await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(ended()),
            Err(_) => sleep(LOOK_MAX).await,
        }
    }
    Ok(())
}

/// The session ended while its refresh ran: as good as a refresh token that is not valid.
const fn ended() -> ProviderError {
    ProviderError::Refused("other")
}

fn away() -> ProviderError {
    unavailable("the store of sessions cannot be asked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_refresh_too_many_is_turned_away_and_counted() {
        let counts = Arc::default();
        let flights = Flights::new(&counts);
        let key = |number: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            Digest::of_bytes(key)
        };
        let mut leaders = Vec::new();
        for number in 0..FLIGHTS_MAX {
            let Place::Leads(leader, _) = flights.place(key(number)) else {
                panic!("the bound is {FLIGHTS_MAX}, and not {number}")
            };
            leaders.push(leader);
        }

        let over = flights.place(key(FLIGHTS_MAX));

        assert!(matches!(over, Place::Knows(Err(_))));
        assert_eq!(counts.all_reached(LoginBound::Refresh), 1);
        drop(leaders);
        assert!(matches!(flights.place(key(0)), Place::Leads(..)));
    }
}
