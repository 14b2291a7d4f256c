//! A login that began: everything about it, sealed, in a cookie of its browser.
//!
//! `state` is a random handle that names the cookie. The provider sees nothing but the handle, the
//! browser nothing but the seal, and neither can change what lies under it.

use super::Logins;
use super::cookies;
use super::random;
use super::site::Site;
use crate::auth::LoginOffer;
use crate::auth::seal::Purpose;
use crate::trace::carried::Carried;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of randomness in a handle.
const HANDLE_BYTES: usize = 24;
/// Characters of a handle that name its cookie.
const ID_CHARS: usize = 8;
/// What the cookie's name goes on with.
const COOKIE: &str = "flow-";
/// Longest value of the cookie; browsers hold 4 KiB of name, value and attributes.
const COOKIE_BYTES_MAX: usize = 3_800;
/// What `state` begins with after a restart.
const RESTARTED: &str = "r.";
/// Most policies that a login may be chosen of.
pub const OFFERS_MAX: usize = 16;

/// A login that began.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Names it: `state`.
    pub handle: String,
    /// By which policies it may go on; one, once that is chosen. Never empty.
    pub offers: Vec<LoginOffer>,
    /// Where it leads back to, absolute.
    pub target: String,
    /// `nonce` of its ID token.
    pub nonce: String,
    /// `code_verifier` (RFC 7636).
    pub verifier: String,
    /// `redirect_uri`, the same when the code is redeemed.
    pub redirect_uri: String,
    /// `prompt` in place of the policy's own.
    pub prompt: Option<String>,
    /// When it began, as Unix seconds.
    pub began: u64,
    /// The how manieth in a row it is, from 1.
    pub attempt: u32,
    /// Whether it was begun in place of one that had come to nothing.
    pub restarted: bool,
    /// The context of the request that was refused.
    pub carried: Option<Carried>,
}

/// What lies under the seal. Short names: a cookie is small.
#[derive(Serialize, Deserialize)]
struct Written {
    h: String,
    o: Vec<WrittenOffer>,
    t: String,
    n: String,
    v: String,
    u: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<String>,
    b: u64,
    a: u32,
    #[serde(default)]
    r: bool,
}

#[derive(Serialize, Deserialize)]
struct WrittenOffer {
    p: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    a: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    m: Option<u64>,
}

impl Flow {
    /// One that begins now; None without randomness or without anything to choose.
    pub fn begin(offers: Vec<LoginOffer>, target: String, now: u64) -> Option<Self> {
        if offers.is_empty() || offers.len() > OFFERS_MAX {
            return None;
        }
        Some(Self {
            handle: random::text::<HANDLE_BYTES>()?,
            offers,
            target,
            nonce: random::text::<16>()?,
            verifier: random::text::<32>()?,
            redirect_uri: String::new(),
            prompt: None,
            began: now,
            attempt: 1,
            restarted: false,
            carried: None,
        })
    }

    /// `state`, as the provider gets it. It says if the login was begun in place of another one: a
    /// browser that keeps no cookies would begin again and again.
    pub fn state(&self) -> String {
        let mark = if self.restarted { RESTARTED } else { "" };
        format!("{mark}{}", self.handle)
    }

    /// What names its cookie.
    fn id(&self) -> &str {
        id_of(&self.handle).unwrap_or_default()
    }

    /// Leaves out what a login can do without: baggage, then everything of the trace but its ids,
    /// then those. False: there is nothing left to leave out.
    fn leave_out(&mut self) -> bool {
        let Some(carried) = self.carried.take() else {
            return false;
        };
        let size = carried.byte_len();
        let (less, _) = carried.within(size.saturating_sub(1));
        self.carried = (less.byte_len() < size).then_some(less);
        true
    }

    /// JSON, and behind a zero byte, which JSON has none of, the trace as it is.
    fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = self.to_json()?;
        if let Some(carried) = &self.carried {
            bytes.push(0);
            bytes.extend(carried.to_bytes());
        }
        Some(bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.splitn(2, |byte| *byte == 0);
        let mut flow = Self::from_json(parts.next()?)?;
        if let Some(carried) = parts.next() {
            flow.carried = Some(Carried::from_bytes(carried)?);
        }
        Some(flow)
    }

    fn to_json(&self) -> Option<Vec<u8>> {
        let offers = self.offers.iter().map(|offer| WrittenOffer {
            p: offer.policy.to_string(),
            a: offer.acr_values.iter().map(|one| one.to_string()).collect(),
            m: offer.age_max.map(|age| age.as_secs()),
        });
        serde_json::to_vec(&Written {
            h: self.handle.clone(),
            o: offers.collect(),
            t: self.target.clone(),
            n: self.nonce.clone(),
            v: self.verifier.clone(),
            u: self.redirect_uri.clone(),
            p: self.prompt.clone(),
            b: self.began,
            a: self.attempt,
            r: self.restarted,
        })
        .ok()
    }

    fn from_json(json: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(json).ok()?;
        let offers = written.o.into_iter().map(|offer| LoginOffer {
            policy: Arc::from(offer.p),
            acr_values: offer.a.into_iter().map(Arc::from).collect(),
            age_max: offer.m.map(Duration::from_secs),
        });
        let flow = Self {
            handle: written.h,
            offers: offers.collect(),
            target: written.t,
            nonce: written.n,
            verifier: written.v,
            redirect_uri: written.u,
            prompt: written.p,
            began: written.b,
            attempt: written.a,
            restarted: written.r,
            carried: None,
        };
        (!flow.offers.is_empty()).then_some(flow)
    }
}

/// Whether a `state` is of a login that was begun in place of another one.
pub fn is_restarted(state: &str) -> bool {
    state.starts_with(RESTARTED)
}

/// The part of a handle that names its cookie; None if it is no handle.
fn id_of(handle: &str) -> Option<&str> {
    let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if handle.len() != HANDLE_BYTES.div_ceil(3) * 4 || !handle.bytes().all(is_ours) {
        return None;
    }
    handle.get(..ID_CHARS)
}

impl Logins {
    /// `Set-Cookie` values of a login that begins; the oldest ones of the browser give way to it.
    /// What does not fit into a cookie is left out: first of the trace, then of the target's query.
    pub fn keep(&self, flow: &mut Flow, site: &Site, headers: &HeaderMap) -> Vec<HeaderValue> {
        let Some(sealed) = self.seal(flow) else {
            return Vec::new();
        };
        let settings = &self.settings.session.cookie;
        let rest = format!("{COOKIE}{}", flow.id());
        let ttl = self.settings.flow_ttl;
        let own = cookies::set(settings, site.is_secure(), &rest, &sealed, ttl);
        let mut kept: Vec<HeaderValue> = own.into_iter().collect();
        let mut others = self.begun(site, headers);
        others.retain(|(id, _)| *id != flow.id());
        others.sort_by_key(|(_, began)| *began);
        let too_many = (others.len() + 1).saturating_sub(self.settings.flows_max.max(1));
        let gone = others.iter().take(too_many);
        kept.extend(gone.filter_map(|(id, _)| self.forget_id(id, site)));
        kept
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

    /// The logins that a browser has begun: what names their cookies, and when. One that does not
    /// open is as old as can be.
    fn begun<'h>(&self, site: &Site, headers: &'h HeaderMap) -> Vec<(&'h str, u64)> {
        let settings = &self.settings.session.cookie;
        let found = cookies::all(headers, settings, site.is_secure(), COOKIE);
        let began = found.into_iter().map(|(id, sealed)| {
            let flow = self.open_sealed(id, sealed);
            (id, flow.map_or(0, |flow| flow.began))
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
    pub fn flow(&self, state: &str, secure: bool, headers: &HeaderMap) -> Option<Flow> {
        let handle = state.strip_prefix(RESTARTED).unwrap_or(state);
        let id = id_of(handle)?;
        let settings = &self.settings.session.cookie;
        let sealed = cookies::value(headers, settings, secure, &format!("{COOKIE}{id}"))?;
        let flow = self.open_sealed(id, sealed)?;
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

    /// Takes a login for its one use, of all replicas where they share a Redis. False: somebody has
    /// taken it before.
    pub async fn take(&self, flow: &Flow, now: u64) -> bool {
        let until = flow.began.saturating_add(self.settings.flow_ttl.as_secs());
        let line = self.sessions.redis().map(|line| &**line);
        self.used.take_of_all(&flow.handle, until, now, line).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flow() -> Flow {
        let offers = vec![LoginOffer::of("staff".into())];
        Flow::begin(offers, "https://a.example/b".to_owned(), 1000).unwrap()
    }

    #[test]
    fn a_login_is_read_as_it_was_written() {
        let mut written = flow();
        written.prompt = Some("login".to_owned());
        written.offers.push(LoginOffer {
            policy: "other".into(),
            acr_values: vec!["mfa".into()],
            age_max: Some(Duration::from_secs(60)),
        });

        let read = Flow::from_bytes(&written.to_bytes().unwrap());

        assert_eq!(read, Some(written));
    }

    #[test]
    fn a_handle_is_random_and_names_its_cookie() {
        let (one, other) = (flow(), flow());

        assert_eq!(one.handle.len(), 32);
        assert_ne!(one.handle, other.handle);
        assert_ne!(one.nonce, other.nonce);
        assert_eq!(one.verifier.len(), 43, "RFC 7636 asks for 43 to 128");
        assert_eq!(one.id().len(), ID_CHARS);
        assert_eq!(id_of("short"), None);
        assert_eq!(id_of(&"=".repeat(32)), None);
        assert_eq!(id_of(&"ä".repeat(16)), None);
    }

    #[test]
    fn a_login_without_a_policy_is_none() {
        assert_eq!(Flow::begin(Vec::new(), String::new(), 0), None);
        let many = vec![LoginOffer::of("a".into()); OFFERS_MAX + 1];
        assert_eq!(Flow::begin(many, String::new(), 0), None);
    }

    proptest! {
        #[test]
        fn whatever_is_under_the_seal_is_read_without_a_panic(json in ".{0,200}") {
            drop(Flow::from_bytes(json.as_bytes()));
        }

        #[test]
        fn every_target_survives(target in ".{0,200}", began in 0_u64..u64::MAX) {
            let mut flow = flow();
            flow.target = target;
            flow.began = began;
            prop_assert_eq!(Flow::from_bytes(&flow.to_bytes().unwrap()), Some(flow));
        }
    }
}
