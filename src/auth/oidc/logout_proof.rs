//! What shows that a logout was asked for on a page of ours: other sites can send a form here, and
//! none of them can read what such a page holds.
//!
//! Sealed for the very sessions that are to end, so that somebody else's page proves nothing.

use super::Logins;
use super::complete::seconds;
use crate::auth::seal::Purpose;
use crate::auth::session::Session;
use crate::clock::Timestamp;
use std::sync::Arc;

/// How long a page that asks may stand open, in seconds.
const LASTS: u64 = 10 * 60;
/// How far the clocks of replicas may be apart, in seconds.
const SKEW: u64 = 5;
/// Longest proof that is looked at, in characters.
const CHARS_MAX: usize = 256;

impl Logins {
    /// A proof for these sessions, made `now`.
    pub fn logout_proof(&self, sessions: &[Arc<Session>], now: Timestamp) -> String {
        let made = seconds(now).to_string();
        let whose = whose(sessions);
        self.sealer.seal(Purpose::Logout, &whose, made.as_bytes())
    }

    /// Whether it was made for these sessions, a while ago at most.
    pub fn proves_logout(&self, proof: &str, sessions: &[Arc<Session>], now: Timestamp) -> bool {
        let opened = (proof.len() <= CHARS_MAX && !sessions.is_empty())
            .then(|| whose(sessions))
            .and_then(|whose| self.sealer.open(Purpose::Logout, &whose, proof.as_bytes()));
        let made = opened.and_then(|plain| String::from_utf8(plain).ok()?.parse::<u64>().ok());
        let now = seconds(now);
        made.is_some_and(|made| {
            made <= now.saturating_add(SKEW) && now <= made.saturating_add(LASTS)
        })
    }
}

/// Ids have no space in them.
fn whose(sessions: &[Arc<Session>]) -> String {
    let mut ids: Vec<&str> = sessions.iter().map(|session| &*session.id).collect();
    ids.sort_unstable();
    ids.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{logins, session};
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_logout_is_proved_for_the_sessions_it_was_made_for_and_for_ten_minutes() {
        let logins = logins(None).await;
        let (ada, bob) = (session("ada"), session("bob"));
        let both = [Arc::clone(&ada), Arc::clone(&bob)];
        let other_way = [Arc::clone(&bob), Arc::clone(&ada)];
        let now = Timestamp::from_unix_nanos(1_000_000_000_000);
        let proof = logins.logout_proof(&both, now);
        let proves = |proof: &str, sessions: &[Arc<Session>], at: u64| {
            logins.proves_logout(proof, sessions, now.plus(Duration::from_secs(at)))
        };

        assert!(proves(&proof, &both, 0));
        assert!(proves(&proof, &other_way, LASTS));
        assert!(!proves(&proof, &both, LASTS + 1));
        assert!(!proves(&proof, &[ada], 0));
        assert!(!proves(&proof, &[], 0));
        assert!(!proves(&logins.logout_proof(&[], now), &[], 0), "of nobody");
        let long = "A".repeat(CHARS_MAX + 1);
        let cut = proof.get(1..).unwrap();
        for other in ["", "A", cut, &*long, &format!("{proof}A")] {
            assert!(!proves(other, &both, 0), "{other}");
        }
    }
}
