//! Logins that have begun, with their browsers: each lies sealed in a cookie of its own or, where
//! there is Redis, there, under its handle and under a secret that the cookie has. Cookies of the
//! latter kind are small, so that a browser may have many: as many as it has tabs.

use super::Logins;
use super::cookies;
use super::flow::{Flow, RESTARTED, id_of};
use super::site::Site;
use crate::auth::random;
use crate::auth::seal::Purpose;
use crate::shared::{Line, Write};
use crate::telemetry::metrics::LoginBound;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};

/// What the cookie's name goes on with.
const COOKIE: &str = "flow-";
/// Longest value of the cookie; browsers hold 4 KiB of name, value and attributes.
const COOKIE_BYTES_MAX: usize = 3_800;
/// Bytes of the secret by which a browser proves that it began what lies in Redis.
const SECRET_BYTES: usize = 16;
/// Characters of one. Nothing that is sealed is as short.
const SECRET_CHARS: usize = 22;
/// Most logins in Redis that a browser may have begun at a time: 6 KB of cookies. Browsers keep 180
/// cookies of a site.
const IN_REDIS_MAX: usize = 120;
/// The kind of their keys in Redis, and of the handles that were used.
const KIND: &str = "flow";
const KIND_USED: &str = "flow-used";

impl Logins {
    /// `Set-Cookie` values of a login that begins; the oldest ones of the browser give way to it.
    /// What does not fit into a cookie is left out: first of the trace, then of the target's query.
    pub async fn keep(
        &self,
        flow: &mut Flow,
        site: &Site,
        headers: &HeaderMap,
    ) -> Vec<HeaderValue> {
        let secret = match self.sessions.redis() {
            Some(line) => self.leave_flow(flow, line).await,
            None => None,
        };
        let in_redis = secret.is_some();
        let Some(value) = secret.or_else(|| self.seal(flow)) else {
            return Vec::new();
        };
        let settings = &self.settings.session.cookie;
        let rest = format!("{COOKIE}{}", flow.id());
        let ttl = self.settings.flow_ttl;
        let own = cookies::set(settings, site.is_secure(), &rest, &value, ttl);
        let mut kept: Vec<HeaderValue> = own.into_iter().collect();
        let mut others = self.begun(site, headers);
        others.retain(|begun| begun.id != flow.id());
        // Browsers send the older ones first (RFC 6265, section 5.4).
        let (small, mut large): (Vec<Begun<'_>>, Vec<Begun<'_>>) =
            others.into_iter().partition(|begun| begun.in_redis);
        large.sort_by_key(|begun| begun.began);
        let most = self.settings.flows_max.max(1);
        let (own_small, own_large) = if in_redis { (1, 0) } else { (0, 1) };
        let too_small = (small.len() + own_small).saturating_sub(IN_REDIS_MAX.max(most));
        let too_large = (large.len() + own_large).saturating_sub(most);
        let gone = small.iter().take(too_small);
        let gone = gone.chain(large.iter().take(too_large));
        let gone: Vec<&Begun<'_>> = gone.take(cookies::TAKEN_AWAY_MAX).collect();
        let counts = self.sessions.counts();
        // Of more than that, the rest gives way another time, and counts then.
        counts.reached(LoginBound::Flow, gone.len());
        let gone = gone.into_iter();
        kept.extend(gone.filter_map(|begun| self.forget_id(begun.id, site)));
        kept
    }

    /// Leaves it in Redis: the secret that opens it. None where it cannot be left.
    async fn leave_flow(&self, flow: &Flow, line: &Line) -> Option<String> {
        let secret = random::text::<SECRET_BYTES>()?;
        let plain = flow.to_bytes()?;
        let under = under(&flow.handle, &secret);
        let sealed = self
            .sealer
            .seal_under(under.as_bytes(), Purpose::Flow, &plain);
        let (key, ttl) = (key(line, KIND, &flow.handle), self.settings.flow_ttl);
        // Anew once one of several providers is chosen.
        let put = line.put(&key, sealed.as_bytes(), ttl, Write::Always);
        let was_put = !sealed.is_empty() && put.await.unwrap_or(false);
        was_put.then_some(secret)
    }

    fn seal(&self, flow: &mut Flow) -> Option<String> {
        for _ in 0..6 {
            let plain = flow.to_bytes()?;
            let sealed = self.sealer.seal(Purpose::Flow, flow.id(), &plain);
            if !sealed.is_empty() && sealed.len() <= COOKIE_BYTES_MAX {
                return Some(sealed);
            }
            if !flow.leave_out() {
                let path = flow.target.split(['?', '#']).next();
                flow.target = path.unwrap_or_default().to_owned();
            }
        }
        None
    }

    /// The logins that a browser has begun. One that does not open is as old as can be.
    fn begun<'h>(&self, site: &Site, headers: &'h HeaderMap) -> Vec<Begun<'h>> {
        let settings = &self.settings.session.cookie;
        let found = cookies::all(headers, settings, site.is_secure(), COOKIE);
        let began = found.into_iter().map(|(id, value)| {
            let in_redis = value.len() == SECRET_CHARS;
            let flow = (!in_redis).then(|| self.open_sealed(id, value)).flatten();
            let began = flow.map_or(0, |flow| flow.began);
            Begun {
                id,
                began,
                in_redis,
            }
        });
        began.collect()
    }

    fn open_sealed(&self, id: &str, sealed: &str) -> Option<Flow> {
        if sealed.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let plain = self.sealer.open(Purpose::Flow, id, sealed.as_bytes())?;
        Flow::from_bytes(&plain)
    }

    /// The login that a `state` names, if this browser began it. Whether it is still in time, and
    /// was not used before, is another question: [`Self::is_in_time`], [`Self::take`].
    pub async fn flow(&self, state: &str, secure: bool, headers: &HeaderMap) -> Option<Flow> {
        let handle = state.strip_prefix(RESTARTED).unwrap_or(state);
        let id = id_of(handle)?;
        let settings = &self.settings.session.cookie;
        let value = cookies::value(headers, settings, secure, &format!("{COOKIE}{id}"))?;
        let flow = match self.sessions.redis() {
            Some(line) if value.len() == SECRET_CHARS => {
                let sealed = line.get(&key(line, KIND, handle)).await.ok()??;
                let under = under(handle, value);
                let plain = self
                    .sealer
                    .open_under(under.as_bytes(), Purpose::Flow, &sealed)?;
                Flow::from_bytes(&plain)?
            }
            Some(_) | None => self.open_sealed(id, value)?,
        };
        // Under a seal of ours, so that nobody learns anything by how long this takes.
        (flow.handle == handle).then_some(flow)
    }

    /// Whether a login has not taken too long.
    pub fn is_in_time(&self, flow: &Flow, now: u64) -> bool {
        now.saturating_sub(flow.began) <= self.settings.flow_ttl.as_secs()
    }

    /// Whether a login could still come to something: in time, and not used yet.
    pub fn is_fresh(&self, flow: &Flow, now: u64) -> bool {
        self.is_in_time(flow, now) && !self.used.holds(&flow.handle)
    }

    /// Takes a login for its one use, among all replicas where there is Redis. False: somebody has
    /// taken it before.
    pub async fn take(&self, flow: &Flow, now: u64) -> bool {
        let ttl = self.settings.flow_ttl;
        let until = flow.began.saturating_add(ttl.as_secs());
        if !self.used.take(&flow.handle, until, now) {
            return false;
        }
        let Some(line) = self.sessions.redis() else {
            return true;
        };
        let used = key(line, KIND_USED, &flow.handle);
        match line.put(&used, b"1", ttl, Write::IfNew).await {
            Ok(is_first) => {
                let left = [key(line, KIND, &flow.handle)];
                // What stays there if this fails is of no use, and expires.
                line.remove(&left).await.unwrap_or_default();
                is_first
            }
            // The provider's code, which is used once everywhere, stands behind it.
            Err(_) => true,
        }
    }

    /// `Set-Cookie` that takes a login from its browser.
    pub fn forget(&self, flow: &Flow, site: &Site) -> Option<HeaderValue> {
        self.forget_id(flow.id(), site)
    }

    fn forget_id(&self, id: &str, site: &Site) -> Option<HeaderValue> {
        let settings = &self.settings.session.cookie;
        cookies::clear(settings, site.is_secure(), &format!("{COOKIE}{id}"))
    }
}

/// A login of a browser, by its cookie.
struct Begun<'h> {
    /// What names the cookie.
    id: &'h str,
    /// As Unix seconds.
    began: u64,
    in_redis: bool,
}

/// Under what a login in Redis is sealed: `state`, which went by the provider, and the secret, which
/// never left the browser.
fn under(handle: &str, secret: &str) -> String {
    format!("{handle}.{secret}")
}

/// Where something of a handle lies: whoever reads Redis learns no handle.
fn key(line: &Line, kind: &str, handle: &str) -> String {
    let sum = digest(&SHA256, handle.as_bytes());
    line.key(kind, &URL_SAFE_NO_PAD.encode(sum.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{browser, logins as replica, site};
    use super::*;
    use crate::auth::LoginOffer;
    use crate::shared::fake::FakeRedis;
    use http::header::COOKIE as COOKIES;

    fn flow(number: usize) -> Flow {
        let offers = vec![LoginOffer::of("staff".into())];
        Flow::begin(offers, format!("https://app.example.com/{number}"), 1000).unwrap()
    }

    async fn begin(logins: &Logins, count: usize) -> (Vec<Flow>, HeaderMap) {
        let (mut flows, mut headers) = (Vec::new(), HeaderMap::new());
        for number in 0..count {
            let mut flow = flow(number);
            let set = logins.keep(&mut flow, &site(), &headers).await;
            headers = browser(&headers, &set);
            flows.push(flow);
        }
        (flows, headers)
    }

    async fn alive(logins: &Logins, flows: &[Flow], headers: &HeaderMap) -> usize {
        let mut alive = 0;
        for flow in flows {
            let found = logins.flow(&flow.handle, true, headers).await;
            alive += usize::from(found.as_ref() == Some(flow));
        }
        alive
    }

    #[tokio::test]
    async fn without_redis_a_browser_has_as_many_logins_as_the_file_says() {
        let logins = replica(None).await;

        let (flows, headers) = begin(&logins, 9).await;

        assert_eq!(alive(&logins, &flows, &headers).await, 7);
        assert!(
            logins
                .flow(&flows[0].handle, true, &headers)
                .await
                .is_none()
        );
        assert!(
            logins
                .flow(&flows[8].handle, false, &headers)
                .await
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_browser_with_too_many_cookies_loses_some_with_each_answer() {
        let logins = replica(None).await;
        let many: String = (0..170)
            .map(|at| format!("__Host-edgespan-flow-{at:08}=A; "))
            .collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIES, many.parse().unwrap());

        let set = logins.keep(&mut flow(0), &site(), &headers).await;

        assert_eq!(set.len(), 1 + cookies::TAKEN_AWAY_MAX);
        let counted = logins.sessions.counts().all_reached(LoginBound::Flow);
        assert_eq!(counted, cookies::TAKEN_AWAY_MAX as u64, "what gave way");
    }

    #[tokio::test]
    async fn with_redis_a_browser_has_a_login_for_each_of_a_hundred_tabs() {
        let redis = FakeRedis::start("").await;
        let (one, two) = (replica(Some(&redis)).await, replica(Some(&redis)).await);

        let (flows, headers) = begin(&one, IN_REDIS_MAX + 2).await;

        assert!(headers[COOKIES].len() < 8_000, "{}", headers[COOKIES].len());
        assert_eq!(alive(&two, &flows, &headers).await, IN_REDIS_MAX);
        let oldest = two.flow(&flows[0].handle, true, &headers).await;
        assert_eq!(oldest, None);
    }

    #[tokio::test]
    async fn a_login_in_redis_is_used_once_among_all_replicas() {
        let redis = FakeRedis::start("").await;
        let (one, two) = (replica(Some(&redis)).await, replica(Some(&redis)).await);
        let (flows, headers) = begin(&one, 1).await;
        let found = two.flow(&flows[0].handle, true, &headers).await.unwrap();

        assert!(one.take(&flows[0], 1001).await);
        assert!(!one.take(&flows[0], 1001).await);
        assert!(!two.take(&found, 1001).await);
        assert_eq!(two.flow(&found.handle, true, &headers).await, None);
    }

    /// Between the look and the use of a handle there is no time in which another replica could
    /// look: Redis does both at once.
    #[tokio::test]
    async fn of_replicas_that_use_a_login_at_the_same_moment_one_alone_has_it() {
        let redis = FakeRedis::start("").await;
        let mut replicas = Vec::new();
        for _ in 0..6 {
            replicas.push(replica(Some(&redis)).await);
        }
        let (flows, headers) = begin(&replicas[0], 5).await;
        for flow in &flows {
            // All of them have found it before any of them uses it.
            for replica in &replicas {
                let found = replica.flow(&flow.handle, true, &headers).await;
                assert_eq!(found.as_ref(), Some(flow));
            }

            let uses = replicas.iter().map(|replica| replica.take(flow, 1001));
            let taken = futures_util::future::join_all(uses).await;

            let first = taken.iter().filter(|is_first| **is_first);
            assert_eq!(first.count(), 1, "{taken:?}");
        }
        let used = redis.commands("SET");
        let used = used
            .iter()
            .filter(|command| command[1].contains("flow-used"));
        assert!(used.clone().count() == 30 && used.clone().all(|one| one[5] == "NX"));
    }

    #[tokio::test]
    async fn who_has_the_state_or_reads_redis_has_no_login_without_the_browsers_cookie() {
        let redis = FakeRedis::start("").await;
        let logins = replica(Some(&redis)).await;
        let (flows, headers) = begin(&logins, 1).await;
        let handle = &flows[0].handle;
        let name = format!("__Host-edgespan-flow-{}", flows[0].id());
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIES, format!("{name}={value}").parse().unwrap());
            headers
        };

        let values: [&str; 5] = ["", "A", &"A".repeat(SECRET_CHARS), handle, &"A".repeat(400)];
        for value in values {
            let found = logins.flow(handle, true, &with(value)).await;
            assert_eq!(found, None, "{value}");
        }
        assert!(logins.flow(handle, true, &headers).await.is_some());
        let dump = format!("{:?}", redis.dump().keys());
        assert!(!dump.contains(handle.as_str()), "{dump}");
        redis.empty();
        assert_eq!(logins.flow(handle, true, &headers).await, None);
    }

    /// CVE-2026-50285: what came back was unpacked before it was known to be ours.
    #[tokio::test]
    async fn a_login_larger_than_any_of_ours_is_not_opened_even_under_our_seal() {
        let logins = replica(None).await;
        for (length, expected) in [(0, true), (1_000, true), (10_000, false)] {
            let mut large = flow(0);
            large.target.push_str(&"a".repeat(length));
            let plain = large.to_bytes().unwrap();
            let sealed = logins.sealer.seal(Purpose::Flow, large.id(), &plain);
            let pair = format!("__Host-edgespan-flow-{}={sealed}", large.id());
            let mut headers = HeaderMap::new();
            headers.insert(COOKIES, pair.parse().unwrap());

            let found = logins.flow(&large.handle, true, &headers).await;

            assert_eq!(found.is_some(), expected, "{length}");
        }
    }

    #[tokio::test]
    async fn where_redis_is_gone_a_login_lies_in_its_cookie() {
        let redis = FakeRedis::start("").await;
        let logins = replica(Some(&redis)).await;
        drop(redis);

        let (flows, headers) = begin(&logins, 1).await;

        assert_eq!(alive(&logins, &flows, &headers).await, 1);
        assert!(logins.take(&flows[0], 1001).await);
    }
}
