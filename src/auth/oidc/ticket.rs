//! Tickets: what lets the request that a browser repeats after its login go on with the trace of
//! the one that was refused.
//!
//! A ticket is bound to whoever is logged in and to the one target that the login leads back to,
//! lasts a minute, and is used once. It lies sealed in a cookie of its own. What it can do for
//! whoever steals it is to join a trace; it is nobody's leave to pass.

use crate::auth::seal::Sealer;
use crate::auth::session::Session;
use crate::clock::Timestamp;
use crate::trace::carried::Carried;
use aws_lc_rs::rand;
use opentelemetry::trace::{SpanId, TraceId};
use std::time::Duration;
use url::Url;

/// How long a ticket lasts.
pub const TICKET_TTL: Duration = Duration::from_mins(1);

/// Most bytes of a carried context that a cookie of 4 KiB has room for, sealed and with all that a
/// ticket is bound to.
pub const COOKIE_CARRIED_BYTES_MAX: usize = 2_560;

/// Most bytes of a carried context that the cookie of a login has room for, beside what else is
/// kept of one.
pub const FLOW_CARRIED_BYTES_MAX: usize = 2_048;

/// The first byte: how the rest is to be read.
const VERSION: u8 = 1;
/// How far the clocks of replicas may be apart.
const SKEW: u64 = 5;

/// Whom a ticket is for, and what. Keyed, so that it says nothing by itself.
pub type Mark = [u8; 16];

/// A ticket, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// By which it is used once.
    pub id: Mark,
    /// When it was made, as Unix seconds.
    pub made: u64,
    /// [`target_mark`] of the request that it is for.
    pub target: Mark,
    /// [`session_mark`] of who is logged in.
    pub session: Mark,
    /// The policy of that session.
    pub policy: Box<str>,
    /// The SERVER span of the callback, and its trace, which may be another one.
    pub callback: Option<(TraceId, SpanId)>,
    /// The context of the refused request.
    pub carried: Carried,
}

impl Ticket {
    /// For a sealed place.
    pub fn to_bytes(&self) -> Vec<u8> {
        let policy = self.policy.as_bytes();
        let mut out = Vec::with_capacity(96 + policy.len() + self.carried.byte_len());
        out.push(VERSION);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.made.to_be_bytes());
        out.extend_from_slice(&self.target);
        out.extend_from_slice(&self.session);
        let (trace, span) = self.callback.unwrap_or((TraceId::INVALID, SpanId::INVALID));
        out.extend_from_slice(&trace.to_bytes());
        out.extend_from_slice(&span.to_bytes());
        // A name in a file is short; one that is not is nobody's.
        let length = u8::try_from(policy.len()).unwrap_or(0);
        out.push(length);
        out.extend_from_slice(policy.get(..usize::from(length)).unwrap_or_default());
        out.extend_from_slice(&self.carried.to_bytes());
        out
    }

    /// What [`Self::to_bytes`] wrote; None if it is anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION], rest) = bytes.split_first_chunk::<1>()? else {
            return None;
        };
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (made, rest) = rest.split_first_chunk::<8>()?;
        let (target, rest) = rest.split_first_chunk::<16>()?;
        let (session, rest) = rest.split_first_chunk::<16>()?;
        let (trace, rest) = rest.split_first_chunk::<16>()?;
        let (span, rest) = rest.split_first_chunk::<8>()?;
        let (&[length], rest) = rest.split_first_chunk::<1>()?;
        let (policy, rest) = rest.split_at_checked(usize::from(length))?;
        let callback = (TraceId::from_bytes(*trace), SpanId::from_bytes(*span));
        Some(Self {
            id: *id,
            made: u64::from_be_bytes(*made),
            target: *target,
            session: *session,
            policy: std::str::from_utf8(policy).ok()?.into(),
            callback: (callback.0 != TraceId::INVALID).then_some(callback),
            carried: Carried::from_bytes(rest)?,
        })
    }

    /// Whether it can be used at this time: not after its minute, and not before it was made.
    pub const fn is_current(&self, now: Timestamp) -> bool {
        let now = now.as_unix_nanos() / 1_000_000_000;
        now <= self.made.saturating_add(TICKET_TTL.as_secs())
            && self.made <= now.saturating_add(SKEW)
    }
}

/// By which a ticket is used once; None without randomness.
pub fn new_id() -> Option<Mark> {
    let mut id = [0; 16];
    rand::fill(&mut id).ok()?;
    Some(id)
}

/// What stands for the request that a login leads back to: scheme, host, port, path and query in
/// the spelling that a browser gives them, so that the way there and the way back agree. None for
/// what is no address.
pub fn target_mark(sealer: &Sealer, url: &str) -> Option<Mark> {
    let mut url = Url::parse(url).ok().filter(Url::has_host)?;
    url.set_fragment(None);
    Some(sealer.digest(&format!("ticket target {url}")))
}

/// What stands for who is logged in. Not the session itself: while several tabs log in, each of
/// them replaces the session of the one before, and all of them are one person.
pub fn session_mark(sealer: &Sealer, session: &Session) -> Mark {
    // Each with its length, so that no byte moves from one to the other.
    let parts = [&session.policy, &session.issuer, &session.subject];
    let text: String = parts
        .iter()
        .map(|part| format!("{}:{part}", part.len()))
        .collect();
    sealer.digest(&format!("ticket session {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::seal::{Purpose, SealKey};
    use crate::trace::context::TraceState;
    use proptest::prelude::*;

    fn ticket(made: u64, policy: &str, callback: bool, baggage: Vec<Vec<u8>>) -> Ticket {
        Ticket {
            id: [1; 16],
            made,
            target: [2; 16],
            session: [3; 16],
            policy: policy.into(),
            callback: callback.then(|| (TraceId::from(5), SpanId::from(6))),
            carried: Carried {
                trace_id: TraceId::from(7),
                span_id: SpanId::from(8),
                flags: 1,
                debug: false,
                state: TraceState::EMPTY,
                baggage,
                rum_session: None,
            },
        }
    }

    fn sealer() -> Sealer {
        let key = SealKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        Sealer::new(&[key])
    }

    proptest! {
        #[test]
        fn a_ticket_comes_back_as_it_was(
            made: u64, policy in "[a-z-]{0,64}", callback: bool,
            baggage in prop::collection::vec(prop::collection::vec(0x20_u8..0x7f, 0..80), 0..4),
        ) {
            let ticket = ticket(made, &policy, callback, baggage);
            prop_assert_eq!(Ticket::from_bytes(&ticket.to_bytes()), Some(ticket));
        }

        #[test]
        fn nothing_else_is_a_ticket(cut in any::<prop::sample::Index>(), more: u8) {
            let mut bytes = ticket(1, "staff", true, vec![b"a=1".to_vec()]).to_bytes();
            prop_assert_eq!(Ticket::from_bytes(bytes.get(..cut.index(bytes.len())).unwrap()), None);
            bytes.push(more);
            prop_assert_eq!(Ticket::from_bytes(&bytes), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(Ticket::from_bytes(&bytes));
        }
    }

    #[test]
    fn a_ticket_lasts_a_minute() {
        let ticket = ticket(1_000, "staff", false, Vec::new());
        let at = |seconds: u64| Timestamp::from_unix_nanos(seconds * 1_000_000_000);
        for (now, current) in [(994, false), (995, true), (1_060, true), (1_061, false)] {
            assert_eq!(ticket.is_current(at(now)), current, "{now}");
        }
    }

    #[test]
    fn the_largest_ticket_fits_a_cookie() {
        let carried = COOKIE_CARRIED_BYTES_MAX;
        let mut largest = ticket(1, &"p".repeat(64), true, vec![vec![b'x'; carried]]);
        largest.carried.rum_session = Some("r".repeat(64).into());
        let (carried, is_whole) = largest.carried.clone().within(carried);
        assert!(!is_whole);
        let room = COOKIE_CARRIED_BYTES_MAX - carried.byte_len();
        largest.carried = Carried {
            baggage: vec![vec![b'x'; room - 2]],
            ..carried
        };
        assert_eq!(largest.carried.byte_len(), COOKIE_CARRIED_BYTES_MAX);

        let sealed = sealer().seal(Purpose::Ticket, "", &largest.to_bytes());

        // Browsers take 4,096 bytes of name and value.
        assert!(sealed.len() + 64 + "__Secure--ticket-12345678=".len() <= 4_096);
    }

    #[test]
    fn a_target_is_one_request_whoever_spells_it() {
        let sealer = sealer();
        let mark = |url| target_mark(&sealer, url);
        let one = mark("https://app.example.com/a?x=1");
        assert!(one.is_some());
        assert_eq!(mark("https://APP.example.com:443/a?x=1"), one);
        assert_eq!(mark("https://app.example.com/a?x=1#part"), one);
        assert_eq!(mark("https://app.example.com/b/../a?x=1"), one);
        for other in [
            "http://app.example.com/a?x=1",
            "https://app.example.com:8443/a?x=1",
            "https://other.example.com/a?x=1",
            "https://app.example.com/a?x=2",
            "https://app.example.com/a",
            "https://app.example.com/A?x=1",
        ] {
            assert_ne!(mark(other), one, "{other}");
            assert!(mark(other).is_some());
        }
        assert_eq!(mark("/a?x=1"), None);
        assert_eq!(mark("data:text/plain,a"), None);
    }
}
