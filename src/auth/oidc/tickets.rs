//! Tickets on their way: given to a browser at the end of a login, taken back with the request that
//! it repeats.
//!
//! A ticket lies sealed in a cookie of its own or, where there is Redis, under a handle in one. The
//! cookie's name says for which target it is, keyed, so that other requests leave it alone: each of
//! them brings it, because a `__Host-` cookie has no path.

use super::ticket::{
    COOKIE_CARRIED_BYTES_MAX, Mark, TICKET_TTL, Ticket, session_mark, target_mark,
};
use super::{Logins, Site, cookies};
use crate::auth::random;
use crate::auth::seal::Purpose;
use crate::auth::session::Found;
use crate::clock::Timestamp;
use crate::shared::{Line, Write};
use crate::telemetry::metrics::LoginBound;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;

/// What the names of their cookies go on with.
const COOKIE_REST: &str = "ticket-";
/// Tickets in cookies that a browser may have at a time. One under a handle takes so little room
/// that its minute is bound enough.
const COOKIES_MAX: usize = 8;
/// Tickets for one target that are tried: tabs of one page.
const TRIED_MAX: usize = 4;
/// Bytes of a handle.
const HANDLE_BYTES: usize = 16;
/// Characters of one. Nothing that is sealed is as short.
const HANDLE_CHARS: usize = 22;
/// The kind of their keys in Redis.
const KIND: &str = "ticket";

/// Finds whether a request brings a ticket.
#[derive(Debug)]
pub(super) struct TicketSearch(memmem::Finder<'static>);

impl TicketSearch {
    pub(super) fn new(cookie: &str) -> Self {
        let name = format!("{cookie}-{COOKIE_REST}");
        Self(memmem::Finder::new(name.as_bytes()).into_owned())
    }
}

/// A request that brought a ticket for its target.
#[derive(Debug)]
pub struct Redeemed {
    /// The ticket, or why it is of no use.
    pub ticket: Result<Ticket, Unusable>,
    /// `Set-Cookie` that takes it from the browser.
    pub clear: Option<HeaderValue>,
}

/// Why a ticket is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It was sealed by nobody of ours, or changed; or Redis does not have it.
    Unknown,
    /// Its minute is over.
    Expired,
    /// Somebody else is logged in, or nobody.
    OtherSession,
    /// It was used before.
    Used,
}

impl Unusable {
    /// As `edgespan.login.trace` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::OtherSession => "other_session",
            Self::Used => "used",
        }
    }
}

impl Logins {
    /// Whether a request may bring a ticket: one look at its cookies.
    pub fn brings_ticket(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(COOKIE).iter();
        lines.any(|line| self.tickets.0.find(line.as_bytes()).is_some())
    }

    /// `Set-Cookie` values that give a browser a ticket, and whether the carried context found room
    /// whole. Where Redis cannot be asked it lies in the cookie.
    pub async fn give_ticket(
        &self,
        mut ticket: Ticket,
        site: &Site,
        headers: &HeaderMap,
    ) -> (Vec<HeaderValue>, bool) {
        let Some(salt) = random::text::<4>() else {
            return (Vec::new(), false);
        };
        let rest = format!("{}{salt}", of_target(&ticket.target));
        let mut is_whole = true;
        let handle = match self.sessions.redis() {
            Some(line) => self.leave(&ticket, line).await,
            None => None,
        };
        let in_redis = handle.is_some();
        let value = handle.unwrap_or_else(|| {
            (ticket.carried, is_whole) = ticket.carried.within(COOKIE_CARRIED_BYTES_MAX);
            let plain = ticket.to_bytes();
            self.sealer.seal(Purpose::Ticket, &rest, &plain)
        });
        let (settings, secure) = (&self.settings.session.cookie, site.is_secure());
        let own = cookies::set(settings, secure, &rest, &value, TICKET_TTL);
        let mut set: Vec<HeaderValue> = own.into_iter().collect();
        if !in_redis {
            let others = cookies::all(headers, settings, secure, COOKIE_REST);
            // Browsers send the older ones first (RFC 6265, section 5.4).
            let too_many = (others.len() + 1).saturating_sub(COOKIES_MAX);
            let too_many = too_many.min(cookies::TAKEN_AWAY_MAX);
            let counts = self.sessions.counts();
            counts.reached(LoginBound::Ticket, too_many);
            let gone = others.iter().take(too_many);
            set.extend(gone.filter_map(|(id, _)| {
                cookies::clear(settings, secure, &format!("{COOKIE_REST}{id}"))
            }));
        }
        (set, is_whole)
    }

    /// Leaves it in Redis: the handle by which it is found.
    async fn leave(&self, ticket: &Ticket, line: &Line) -> Option<String> {
        let handle = random::text::<HANDLE_BYTES>()?;
        let sealed = self
            .sealer
            .seal_under(handle.as_bytes(), Purpose::Ticket, &ticket.to_bytes());
        let key = line.key(KIND, &name_of(&handle));
        let put = line.put(&key, sealed.as_bytes(), TICKET_TTL, Write::IfNew);
        let was_put = !sealed.is_empty() && put.await.unwrap_or(false);
        was_put.then_some(handle)
    }

    /// Takes back the ticket that a request brings for this target. None: it brings none.
    pub async fn take_ticket(
        &self,
        headers: &HeaderMap,
        target: &str,
        secure: bool,
        now: Timestamp,
    ) -> Option<Redeemed> {
        let target = target_mark(&self.sealer, target)?;
        let settings = &self.settings.session.cookie;
        let rest = of_target(&target);
        let mut redeemed = None;
        let brought = cookies::all(headers, settings, secure, &rest);
        for (salt, value) in brought.into_iter().take(TRIED_MAX) {
            let rest = format!("{rest}{salt}");
            let ticket = self.open_ticket(&rest, value, &target, (headers, secure), now);
            let ticket = ticket.await;
            let is_usable = ticket.is_ok();
            let clear = cookies::clear(settings, secure, &rest);
            redeemed = Some(Redeemed { ticket, clear });
            if is_usable {
                break;
            }
        }
        redeemed
    }

    async fn open_ticket(
        &self,
        rest: &str,
        value: &str,
        target: &Mark,
        (headers, secure): (&HeaderMap, bool),
        now: Timestamp,
    ) -> Result<Ticket, Unusable> {
        let lies_in_redis = value.len() == HANDLE_CHARS;
        let plain = match self.sessions.redis() {
            Some(line) if lies_in_redis => self.fetch(value, line).await,
            Some(_) | None => self.sealer.open(Purpose::Ticket, rest, value.as_bytes()),
        };
        let ticket = plain.and_then(|plain| Ticket::from_bytes(&plain));
        let ticket = ticket.filter(|ticket| ticket.target == *target);
        let ticket = ticket.ok_or(Unusable::Unknown)?;
        if !ticket.is_current(now) {
            return Err(Unusable::Expired);
        }
        let found = self.sessions.find(headers, &ticket.policy, secure, now);
        let Found::Live { session, .. } = found.await else {
            return Err(Unusable::OtherSession);
        };
        if session_mark(&self.sealer, &session) != ticket.session {
            return Err(Unusable::OtherSession);
        }
        if !lies_in_redis {
            let until = ticket.made.saturating_add(2 * TICKET_TTL.as_secs());
            let now = now.as_unix_nanos() / 1_000_000_000;
            let name = URL_SAFE_NO_PAD.encode(ticket.id);
            if !self.used.take(&format!("ticket {name}"), until, now) {
                return Err(Unusable::Used);
            }
        }
        Ok(ticket)
    }

    /// For the last time: whoever else has the handle finds nothing.
    async fn fetch(&self, handle: &str, line: &Line) -> Option<Vec<u8>> {
        let key = line.key(KIND, &name_of(handle));
        let sealed = line.take(&key).await.ok()??;
        self.sealer
            .open_under(handle.as_bytes(), Purpose::Ticket, &sealed)
    }
}

/// What the name of a cookie goes on with that is for this target.
fn of_target(target: &Mark) -> String {
    let some = target.first_chunk::<6>().copied().unwrap_or_default();
    format!("{COOKIE_REST}{}", URL_SAFE_NO_PAD.encode(some))
}

/// Under what a handle's ticket lies: whoever reads Redis learns no handle.
fn name_of(handle: &str) -> String {
    let sum = digest(&SHA256, handle.as_bytes());
    URL_SAFE_NO_PAD.encode(sum.as_ref().get(..HANDLE_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{browser, logins, session, site};
    use super::super::ticket::new_id;
    use super::*;
    use crate::auth::session::Session;
    use crate::clock;
    use crate::shared::fake::FakeRedis;
    use crate::trace::carried::Carried;
    use crate::trace::context::TraceState;
    use opentelemetry::trace::{SpanId, TraceId};
    use std::sync::Arc;
    use std::time::Duration;

    const TARGET: &str = "https://app.example.com/a?b=c";

    /// A browser with somebody's session and a ticket of that one.
    async fn given(logins: &Logins, whose: &Arc<Session>) -> HeaderMap {
        let own = Session::clone(whose);
        let set = logins.sessions.begin(own, &HeaderMap::new(), true).await;
        let headers = browser(&HeaderMap::new(), &set.unwrap());
        let ticket = Ticket {
            id: new_id().unwrap(),
            made: clock::wall().as_unix_nanos() / 1_000_000_000,
            target: target_mark(&logins.sealer, TARGET).unwrap(),
            session: session_mark(&logins.sealer, whose),
            policy: whose.policy.as_ref().into(),
            callback: None,
            carried: Carried {
                trace_id: TraceId::from(7),
                span_id: SpanId::from(8),
                flags: 1,
                debug: false,
                state: TraceState::EMPTY,
                baggage: vec![b"a=1".to_vec()],
                rum_session: None,
            },
        };
        let (set, is_whole) = logins.give_ticket(ticket, &site(), &headers).await;
        assert!(is_whole && set.len() == 1);
        browser(&headers, &set)
    }

    async fn take(logins: &Logins, headers: &HeaderMap, target: &str) -> Option<Redeemed> {
        let now = clock::wall();
        logins.take_ticket(headers, target, true, now).await
    }

    fn word(redeemed: Option<Redeemed>) -> &'static str {
        match redeemed.map(|redeemed| redeemed.ticket) {
            None => "none",
            Some(Ok(_)) => "good",
            Some(Err(why)) => why.name(),
        }
    }

    #[tokio::test]
    async fn of_replicas_that_are_brought_one_ticket_at_the_same_moment_one_alone_takes_it() {
        let redis = FakeRedis::start("").await;
        let mut replicas = Vec::new();
        for _ in 0..6 {
            replicas.push(logins(Some(&redis)).await);
        }
        let headers = given(&replicas[0], &session("ada")).await;

        let taken = replicas
            .iter()
            .map(|replica| take(replica, &headers, TARGET));
        let taken = futures_util::future::join_all(taken).await;

        let words: Vec<_> = taken.into_iter().map(word).collect();
        let good = words.iter().filter(|word| **word == "good");
        assert_eq!(good.count(), 1, "{words:?}");
        let gone = words.iter().filter(|word| **word == "unknown");
        assert_eq!(gone.count(), 5, "{words:?}");
    }

    #[tokio::test]
    async fn a_ticket_in_redis_is_for_its_target_its_person_and_its_minute() {
        let redis = FakeRedis::start("").await;
        let replica = logins(Some(&redis)).await;
        let (ada, bob) = (session("ada"), session("bob"));

        let hers = given(&replica, &ada).await;
        let elsewhere = take(&replica, &hers, "https://app.example.com/a?b=d").await;
        assert_eq!(word(elsewhere), "none", "it stays where it is");
        let cleared = take(&replica, &hers, TARGET).await.unwrap();
        assert_eq!(cleared.ticket.unwrap().carried.baggage, [b"a=1"]);
        assert!(
            cleared
                .clear
                .unwrap()
                .to_str()
                .unwrap()
                .contains("Max-Age=0")
        );
        assert_eq!(word(take(&replica, &hers, TARGET).await), "unknown", "once");

        let hers = given(&replica, &ada).await;
        let set = Session::clone(&bob);
        let set = replica.sessions.begin(set, &HeaderMap::new(), true).await;
        let his = browser(&hers, &set.unwrap());
        assert_eq!(word(take(&replica, &his, TARGET).await), "other_session");

        let late = given(&replica, &ada).await;
        redis.pass(TICKET_TTL + Duration::from_secs(1));
        assert_eq!(word(take(&replica, &late, TARGET).await), "unknown");
    }

    #[tokio::test]
    async fn who_reads_redis_has_no_ticket_and_one_that_is_lost_is_nothing() {
        let redis = FakeRedis::start("").await;
        let replica = logins(Some(&redis)).await;
        let headers = given(&replica, &session("ada")).await;
        let line = headers[COOKIE].to_str().unwrap();
        let handle = line.rsplit_once('=').unwrap().1;
        assert_eq!(handle.len(), HANDLE_CHARS);
        let kept = format!("{:?}", redis.dump());
        assert!(!kept.contains(handle), "{kept}");

        for (name, _) in redis.dump() {
            let made_up = name.rsplit_once(':').unwrap().1;
            let other = line.replace(handle, made_up);
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, other.parse().unwrap());
            assert_ne!(word(take(&replica, &headers, TARGET).await), "good");
        }
        redis.empty();

        assert_eq!(word(take(&replica, &headers, TARGET).await), "unknown");
    }

    #[tokio::test]
    async fn where_redis_is_gone_a_ticket_lies_in_its_cookie_and_is_used_once_here() {
        let redis = FakeRedis::start("").await;
        let replica = logins(Some(&redis)).await;
        drop(redis);

        let headers = given(&replica, &session("ada")).await;

        assert_eq!(word(take(&replica, &headers, TARGET).await), "good");
        assert_eq!(word(take(&replica, &headers, TARGET).await), "used");
    }
}
