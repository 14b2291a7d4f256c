//! A login that began: everything about it, as it lies under a seal.
//!
//! `state` is a random handle that names the cookie. The provider sees nothing but the handle, the
//! browser nothing but the seal, and neither can change what lies under it.

use crate::auth::{LoginOffer, random};
use crate::trace::carried::Carried;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of randomness in a handle.
const HANDLE_BYTES: usize = 24;
/// Characters of a handle that name its cookie.
const ID_CHARS: usize = 8;
/// What `state` begins with after a restart.
pub(super) const RESTARTED: &str = "r.";
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

    /// Whether the answer that its provider was asked for comes to this path. One that comes to
    /// another is an answer of another provider, whatever it says (RFC 9700, section 4.4.2.2).
    pub fn comes_back_to(&self, path: &str) -> bool {
        let asked = url::Url::parse(&self.redirect_uri);
        asked.is_ok_and(|asked| asked.path() == path)
    }

    /// What names its cookie.
    pub(super) fn id(&self) -> &str {
        id_of(&self.handle).unwrap_or_default()
    }

    /// Leaves out what a login can do without: baggage, then everything of the trace but its ids,
    /// then those. False: there is nothing left to leave out.
    pub(super) fn leave_out(&mut self) -> bool {
        let Some(carried) = self.carried.take() else {
            return false;
        };
        let size = carried.byte_len();
        let (less, _) = carried.within(size.saturating_sub(1));
        self.carried = (less.byte_len() < size).then_some(less);
        true
    }

    /// JSON, and behind a zero byte, which JSON has none of, the trace as it is.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = self.to_json()?;
        if let Some(carried) = &self.carried {
            bytes.push(0);
            bytes.extend(carried.to_bytes());
        }
        Some(bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
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
pub(super) fn id_of(handle: &str) -> Option<&str> {
    let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if handle.len() != HANDLE_BYTES.div_ceil(3) * 4 || !handle.bytes().all(is_ours) {
        return None;
    }
    handle.get(..ID_CHARS)
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
    fn a_login_comes_back_to_where_its_provider_was_told_to_lead_and_nowhere_else() {
        let mut flow = flow();
        assert!(!flow.comes_back_to("/oauth2/callback"), "nobody was asked");

        flow.redirect_uri = "https://a.example/oauth2/callback".to_owned();

        assert!(flow.comes_back_to("/oauth2/callback"));
        for other in ["/oauth2/callback/guests", "/callback", "", "/"] {
            assert!(!flow.comes_back_to(other), "{other}");
        }
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
