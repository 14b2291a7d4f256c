//! Who is logged in, between two requests.
//!
//! A session lies sealed in a cookie of its browser, or in Redis under a handle that the cookie
//! holds. One session for each policy and browser.

mod codec;
mod cookie;
mod held;
mod kept;
mod left_behind;
mod opened;
mod refresh;
mod revoked;
mod settings;

#[cfg(test)]
mod tests;

pub use held::{Proves, Session, SessionTokens};
pub use settings::{CookieSettings, RefreshFailure, RefreshRules, SessionSettings, SessionStore};

use super::oidc::cookies;
use super::seal::{Purpose, Sealer};
use crate::clock::{self, Timestamp};
use crate::shared::{Line, Write};
use crate::telemetry::metrics::{LoginCounts, StoreFault};
use cookie::{Brought, Cookies};
use http::{HeaderMap, HeaderValue};
use kept::Kept;
use left_behind::LeftBehind;
use opened::Opened;
use refresh::Flights;
use revoked::{Mark, Of, Revoked};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tracing::warn;

/// Into how many parts the idle time is cut: a session that is in use is written once a part.
const RENEWALS: u32 = 10;

/// What a request brings of a session.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing, or nothing that is valid; `clear` are `Set-Cookie` values that take away what is
    /// of no use.
    Nothing {
        /// `Set-Cookie` values.
        clear: Vec<HeaderValue>,
    },
    /// A session; `renew` are `Set-Cookie` values that prolong it.
    Live {
        /// The session.
        session: Arc<Session>,
        /// `Set-Cookie` values.
        renew: Vec<HeaderValue>,
    },
    /// Nobody knows: the store cannot be asked. Never leave to pass.
    Unavailable,
}

/// Why a session could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The store cannot be asked.
    #[error("the store of sessions cannot be asked")]
    Unavailable,
    /// It is larger than cookies hold.
    #[error(
        "the session takes {0} bytes, more than cookies hold; `login.session.store: redis` has room"
    )]
    TooLarge(usize),
}

/// The sessions of a file's logins.
pub struct Sessions {
    settings: SessionSettings,
    sealer: Arc<Sealer>,
    redis: Option<Arc<Line>>,
    counts: Arc<LoginCounts>,
    store: Store,
    flights: Arc<Flights>,
    left_behind: LeftBehind,
}

/// Where sessions are.
enum Store {
    /// In the browser: what was opened a moment ago, what is over, and who learns of more of that.
    Cookie {
        opened: Opened,
        revoked: Arc<Revoked>,
        learns: Option<AbortHandle>,
    },
    /// In Redis. None if there is no Redis, which the configuration refuses.
    Redis(Option<Arc<Kept>>),
}

/// What a text that a browser brought turned out to be.
enum Looked {
    /// A session, and whether its cookie is to be written anew.
    Live(Arc<Session>, bool),
    /// Nothing that anybody could still use.
    Dead,
    /// A session that another one took the place of, or that was logged out here. Its browser was
    /// told so then: who told it once more could take the new one away.
    LeftBehind,
}

impl Drop for Sessions {
    fn drop(&mut self) {
        if let Store::Cookie {
            learns: Some(learns),
            ..
        } = &self.store
        {
            learns.abort();
        }
    }
}

impl Sessions {
    /// Makes it. What `before` knows to be over stays over. Has to run inside the runtime.
    pub fn new(
        settings: SessionSettings,
        sealer: Arc<Sealer>,
        redis: Option<&Arc<Line>>,
        counts: Arc<LoginCounts>,
        before: Option<&Self>,
    ) -> Self {
        let store = match settings.store {
            SessionStore::Redis => {
                Store::Redis(redis.map(|line| Kept::new(line, &sealer, &settings, &counts).into()))
            }
            SessionStore::Cookie => {
                let revoked = match before.map(|before| &before.store) {
                    Some(Store::Cookie { revoked, .. }) => Arc::clone(revoked),
                    Some(Store::Redis(_)) | None => Arc::new(Revoked::new(&counts)),
                };
                revoked.count_for(settings.absolute);
                let learns = redis.map(|line| {
                    let learning = revoked::learn(Arc::clone(&revoked), Arc::clone(line));
                    tokio::spawn(learning).abort_handle()
                });
                Store::Cookie {
                    opened: Opened::new(&counts),
                    revoked,
                    learns,
                }
            }
        };
        Self {
            settings,
            sealer,
            redis: redis.map(Arc::clone),
            store,
            flights: Flights::new(&counts),
            left_behind: LeftBehind::default(),
            counts,
        }
    }

    /// The Redis that replicas share, where the file has one.
    pub const fn redis(&self) -> Option<&Arc<Line>> {
        self.redis.as_ref()
    }

    /// The header fields of a request without cookies of logins, for others that are asked about
    /// it; None if there are none of them.
    pub fn hidden(&self, headers: &HeaderMap) -> Option<HeaderMap> {
        cookies::without(headers, &self.settings.cookie)
    }

    /// What is counted of it.
    pub const fn counts(&self) -> &Arc<LoginCounts> {
        &self.counts
    }

    /// What it was made of.
    pub const fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// What seals.
    pub const fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    const fn cookies<'a>(&'a self, policy: &'a str, secure: bool) -> Cookies<'a> {
        Cookies {
            settings: &self.settings.cookie,
            policy,
            secure,
        }
    }

    /// The session of a policy that a request brings, within its idle and absolute lifetime, and
    /// not ended at the provider. `secure` is whether cookies are those of `https`.
    pub async fn find(
        &self,
        headers: &HeaderMap,
        policy: &str,
        secure: bool,
        now: Timestamp,
    ) -> Found {
        let cookies = self.cookies(policy, secure);
        let brought = cookies.read(headers);
        if brought.is_nothing() {
            return Found::Nothing { clear: Vec::new() };
        }
        let nothing = || Found::Nothing {
            clear: cookies.clear(&brought),
        };
        let Some(text) = brought.text.as_deref() else {
            return nothing();
        };
        let looked = match &self.store {
            Store::Cookie {
                opened, revoked, ..
            } => Ok(self.in_cookie(opened, revoked, &cookies, text, now)),
            Store::Redis(Some(kept)) => self.in_redis(kept, policy, text, now).await,
            Store::Redis(None) => Err(StoreFault::Down),
        };
        match looked {
            Ok(Looked::Live(session, is_due)) => {
                let renew = is_due
                    .then(|| self.written(&cookies, &session, &brought, now).ok())
                    .flatten();
                Found::Live {
                    session,
                    renew: renew.unwrap_or_default(),
                }
            }
            Ok(Looked::Dead) => nothing(),
            Ok(Looked::LeftBehind) => Found::Nothing { clear: Vec::new() },
            Err(_) => Found::Unavailable,
        }
    }

    /// `Set-Cookie` values that take from the browser what a request brings of a policy.
    pub fn clear(&self, headers: &HeaderMap, policy: &str, secure: bool) -> Vec<HeaderValue> {
        let cookies = self.cookies(policy, secure);
        cookies.clear(&cookies.read(headers))
    }

    /// The session that a cookie holds, and whether it is to be written anew.
    fn in_cookie(
        &self,
        opened: &Opened,
        revoked: &Revoked,
        cookies: &Cookies<'_>,
        text: &str,
        now: Timestamp,
    ) -> Looked {
        let policy = cookies.policy;
        let texts = [policy.as_bytes(), text.as_bytes()];
        let session = opened.get_or_open(&texts, now, || self.opened(policy, text));
        let Some(session) = session else {
            return Looked::Dead;
        };
        let unused = Self::seconds(now).saturating_sub(session.seen);
        let unused = Duration::from_secs(unused);
        let is_alive = unused < self.settings.idle
            && !left(&session, self.settings.absolute, now).is_zero()
            && *session.policy == *policy
            && !revoked.is_dead(&session);
        let is_due = unused >= self.settings.idle / RENEWALS;
        if is_alive {
            Looked::Live(session, is_due)
        } else if revoked.was_left(&session) {
            Looked::LeftBehind
        } else {
            Looked::Dead
        }
    }

    fn opened(&self, policy: &str, text: &str) -> Option<Session> {
        let plain = self.sealer.open(Purpose::Session, policy, text.as_bytes());
        codec::decode(&plain?)
    }

    /// The session that a handle stands for, and whether its cookie is to be written anew.
    async fn in_redis(
        &self,
        kept: &Kept,
        policy: &str,
        handle: &str,
        now: Timestamp,
    ) -> Result<Looked, StoreFault> {
        let Some((session, ttl)) = kept.find(handle, now).await? else {
            return Ok(if self.left_behind.holds(handle) {
                Looked::LeftBehind
            } else {
                Looked::Dead
            });
        };
        let lasts = kept.ttl(&session, now);
        if lasts.is_zero() || *session.policy != *policy {
            return Ok(Looked::Dead);
        }
        let is_due = lasts.saturating_sub(ttl) >= self.settings.idle / RENEWALS;
        if is_due && !kept.prolong(handle, &session, now).await? {
            return Ok(Looked::Dead);
        }
        Ok(Looked::Live(session, is_due))
    }

    /// The `Set-Cookie` values of a session: itself, used now, or the handle that was brought.
    fn written(
        &self,
        cookies: &Cookies<'_>,
        session: &Session,
        brought: &Brought<'_>,
        now: Timestamp,
    ) -> Result<Vec<HeaderValue>, SessionError> {
        let lasts = self.settings.idle;
        let max_age = lasts.min(left(session, self.settings.absolute, now));
        match &self.store {
            Store::Redis(_) => {
                let handle = brought.text.as_deref().ok_or(SessionError::Unavailable)?;
                cookies.write(handle, max_age, brought)
            }
            Store::Cookie { .. } => {
                let mut session = session.clone();
                session.seen = Self::seconds(now);
                let plain = codec::encode(&session);
                let text = self.sealer.seal(Purpose::Session, cookies.policy, &plain);
                if text.is_empty() {
                    return Err(SessionError::TooLarge(plain.len()));
                }
                cookies.write(&text, max_age, brought)
            }
        }
    }

    /// Keeps a session that begins: the `Set-Cookie` values that say so. What the browser had for
    /// this policy ends.
    ///
    /// # Errors
    /// [`SessionError`]
    pub async fn begin(
        &self,
        mut session: Session,
        headers: &HeaderMap,
        secure: bool,
    ) -> Result<Vec<HeaderValue>, SessionError> {
        let now = clock::wall();
        let policy = Arc::clone(&session.policy);
        let cookies = self.cookies(&policy, secure);
        let brought = cookies.read(headers);
        let old = brought.text.as_deref();
        match &self.store {
            Store::Cookie { revoked, .. } => {
                let old = old.and_then(|text| self.opened(&policy, text));
                if let Some(old) = old.filter(|old| old.id != session.id) {
                    self.revoke_one(revoked, &old, now).await;
                }
                // Who logs in again in the second in which he was logged out is not logged out.
                if let Some(at) = revoked.latest(&session) {
                    session.began = session.began.max(at.saturating_add(1));
                }
                self.written(&cookies, &session, &brought, now)
            }
            Store::Redis(kept) => {
                let kept = kept.as_ref().ok_or(SessionError::Unavailable)?;
                let handle = Kept::handle().ok_or(SessionError::Unavailable)?;
                let put = kept.put(&handle, &session, Write::Always, now).await;
                put.map_err(|_| SessionError::Unavailable)?;
                if let Some(old) = old {
                    self.left_behind.put(old);
                    let forgot = kept.forget(old, now).await;
                    forgot.map_err(|_| SessionError::Unavailable)?;
                }
                cookies.write(&handle, kept.ttl(&session, now), &brought)
            }
        }
    }

    /// Ends the session of a policy that a request brings: what it was, and the `Set-Cookie`
    /// values that take it from the browser.
    pub async fn end(
        &self,
        headers: &HeaderMap,
        policy: &str,
        secure: bool,
    ) -> (Option<Arc<Session>>, Vec<HeaderValue>) {
        let now = clock::wall();
        let cookies = self.cookies(policy, secure);
        let brought = cookies.read(headers);
        let clear = cookies.clear(&brought);
        let Some(text) = brought.text.as_deref() else {
            return (None, clear);
        };
        let ended = match &self.store {
            Store::Cookie { revoked, .. } => {
                let session = self.opened(policy, text).map(Arc::new);
                if let Some(session) = &session {
                    self.revoke_one(revoked, session, now).await;
                }
                session
            }
            Store::Redis(Some(kept)) => {
                self.left_behind.put(text);
                kept.forget(text, now).await.unwrap_or_else(|fault| {
                    // The browser forgets its handle in any case; nobody else has it.
                    warn!(
                        reason = fault.name(),
                        "a session could not be removed from Redis"
                    );
                    None
                })
            }
            Store::Redis(None) => None,
        };
        (ended.filter(|session| *session.policy == *policy), clear)
    }

    /// A session in a cookie ends here, and as soon as they hear of it, elsewhere.
    async fn revoke_one(&self, revoked: &Revoked, session: &Session, now: Timestamp) {
        let mark = Mark::new(&session.issuer, Of::Id(&session.id));
        // One whose beginning was put off by a second is meant, too.
        let at = Self::seconds(now).max(session.began);
        revoked.revoke(mark, at);
        if let Some(line) = &self.redis
            && !revoked.tell(line, &[mark], at).await
        {
            warn!("a session that ended could not be told to the other replicas");
        }
    }

    /// Ends sessions at the word of their provider: the one of a `sid`, and without one all of a
    /// subject. Requests that come from now on find nothing.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`]: not everybody could be told.
    pub async fn revoke(
        &self,
        issuer: &str,
        subject: Option<&str>,
        sid: Option<&str>,
    ) -> Result<(), SessionError> {
        self.revoke_marks(&Mark::of_word(issuer, subject, sid))
            .await
    }

    /// The same for the session of a `sid`, at a word that nobody has signed. So that whoever makes
    /// such words up does not crowd out what providers have signed, or end the sessions of others,
    /// they are taken only while there is plenty of room.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`]: not everybody could be told, or there is no room.
    pub async fn revoke_unsigned(&self, issuer: &str, sid: &str) -> Result<(), SessionError> {
        let now = Self::seconds(clock::wall());
        if let Store::Cookie { revoked, .. } = &self.store
            && !revoked.has_plenty_of_room(now)
        {
            return Err(SessionError::Unavailable);
        }
        self.revoke_marks(&Mark::of_word(issuer, None, Some(sid)))
            .await
    }

    async fn revoke_marks(&self, marks: &[Mark]) -> Result<(), SessionError> {
        let told = match &self.store {
            Store::Cookie { revoked, .. } => {
                let at = Self::seconds(clock::wall());
                for mark in marks {
                    revoked.revoke(*mark, at);
                }
                match &self.redis {
                    Some(line) => revoked.tell(line, marks, at).await,
                    None => true,
                }
            }
            Store::Redis(Some(kept)) => kept.revoke(marks).await.is_ok(),
            Store::Redis(None) => false,
        };
        if told {
            Ok(())
        } else {
            Err(SessionError::Unavailable)
        }
    }

    /// Unix seconds.
    const fn seconds(now: Timestamp) -> u64 {
        now.as_unix_nanos() / 1_000_000_000
    }
}

/// How long a session lasts at most from now on.
fn left(session: &Session, absolute: Duration, now: Timestamp) -> Duration {
    let end = session.began.saturating_add(absolute.as_secs());
    Duration::from_secs(end.saturating_sub(Sessions::seconds(now)))
}
