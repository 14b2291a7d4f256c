//! Who gets an account: whoever has a secret, at a rate, once for each question.

use super::inquiry::{Inquiry, Nonce};
use super::secret::SharedSecret;
use super::{VERIFY_HEADER, WINDOW};
use crate::clock;
use crate::ratelimit::Quota;
use http::{HeaderMap, Method};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Most questions that are remembered. At the bound nobody is answered: who was forgotten could
/// be asked again. The highest rate stays below it.
const SEEN_MAX: usize = 16_384;

/// How long a question is remembered: one that is signed at the far end of the window is fresh
/// for twice as long.
const REMEMBERED: Duration = Duration::from_secs(2 * WINDOW.as_secs() + 1);

/// Highest rate, in questions a second: all that are fresh can be remembered.
pub const RATE_PER_SECOND_MAX: u32 = 100;

/// Who may ask, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrivalSettings {
    /// Whose questions are answered; several while one is replaced by another. Never empty.
    pub secrets: Vec<SharedSecret>,
    /// How many questions are answered in which time, of all that ask together.
    pub quota: Quota,
}

/// Why somebody who has the secret gets no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The question was signed too long ago, or the clocks differ.
    Stale,
    /// It was answered before.
    Replayed,
    /// There were too many; one more is answered after this time.
    Busy(Duration),
}

impl Refusal {
    /// What metrics and logs call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Replayed => "replayed",
            Self::Busy(_) => "limited",
        }
    }
}

/// Where questions are answered. Clones of what it remembers go on over reloads.
#[derive(Debug)]
pub struct Desk {
    settings: ArrivalSettings,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug)]
struct Memory {
    began: Instant,
    /// Of the quota: when it would be at rest, in nanoseconds since `began`.
    at_rest: u64,
    seen: HashSet<Nonce>,
    /// The same, oldest first, with the time at which each is forgotten.
    until: VecDeque<(Instant, Nonce)>,
}

impl Desk {
    /// With what `before` remembers, if there was one.
    pub fn new(settings: ArrivalSettings, before: Option<&Self>) -> Self {
        let memory = before.map(|desk| Arc::clone(&desk.memory));
        Self {
            settings,
            memory: memory.unwrap_or_else(|| Arc::new(Mutex::new(Memory::new()))),
        }
    }

    /// The question of a request, if a secret of ours signed it; with that secret. None for
    /// everybody else, whatever they sent.
    pub fn believe(
        &self,
        headers: &HeaderMap,
        method: &Method,
    ) -> Option<(Inquiry, &SharedSecret)> {
        let mut values = headers.get_all(VERIFY_HEADER).iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        let inquiry = Inquiry::read(value)?;
        let mut secrets = self.settings.secrets.iter();
        let secret = secrets.find(|secret| inquiry.is_signed_by(secret, method))?;
        Some((inquiry, secret))
    }

    /// Whether a question that is believed is answered now.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admit(&self, inquiry: &Inquiry, now_unix_seconds: u64) -> Result<(), Refusal> {
        if !inquiry.is_fresh(now_unix_seconds) {
            return Err(Refusal::Stale);
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.admit(inquiry.nonce, &self.settings.quota, clock::instant())
    }
}

impl Memory {
    fn new() -> Self {
        Self {
            began: clock::instant(),
            at_rest: 0,
            seen: HashSet::new(),
            until: VecDeque::new(),
        }
    }

    fn admit(&mut self, nonce: Nonce, quota: &Quota, now: Instant) -> Result<(), Refusal> {
        while let Some((until, old)) = self.until.front()
            && *until <= now
        {
            self.seen.remove(old);
            self.until.pop_front();
        }
        if self.seen.contains(&nonce) {
            return Err(Refusal::Replayed);
        }
        if let Some((until, _)) = self.until.front()
            && self.seen.len() >= SEEN_MAX
        {
            return Err(Refusal::Busy(until.saturating_duration_since(now)));
        }
        let nanos = now.saturating_duration_since(self.began).as_nanos();
        let (verdict, at_rest) =
            quota.charge(self.at_rest, u64::try_from(nanos).unwrap_or(u64::MAX));
        self.at_rest = at_rest;
        if !verdict.admitted {
            return Err(Refusal::Busy(verdict.retry_after));
        }
        self.seen.insert(nonce);
        self.until.push_back((now + REMEMBERED, nonce));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn settings(secrets: &[&str], rate: u32) -> ArrivalSettings {
        let secret = |text: &&str| SharedSecret::new(text.as_bytes()).unwrap();
        ArrivalSettings {
            secrets: secrets.iter().map(secret).collect(),
            quota: Quota::new(rate, Duration::from_secs(1), rate),
        }
    }

    fn asked(secret: &str, seconds: u64, nonce: u8) -> HeaderMap {
        let secret = SharedSecret::new(secret.as_bytes()).unwrap();
        let value = Inquiry::sign(&secret, &Method::GET, seconds, Nonce([nonce; 16]));
        HeaderMap::from_iter([(VERIFY_HEADER, value.unwrap())])
    }

    const OLD: &str = "the old secret of both";
    const NEW: &str = "the new secret of both";

    #[test]
    fn whoever_has_one_of_the_secrets_is_believed_and_nobody_else() {
        let desk = Desk::new(settings(&[OLD, NEW], 10), None);
        let believed = |headers: &HeaderMap| {
            let found = desk.believe(headers, &Method::GET);
            found.map(|(_, secret)| secret.clone())
        };

        assert_eq!(believed(&asked(OLD, 1, 1)).map(|one| one.id()), {
            Some(SharedSecret::new(OLD.as_bytes()).unwrap().id())
        });
        assert!(believed(&asked(NEW, 1, 1)).is_some());
        assert!(believed(&asked("a secret of somebody else", 1, 1)).is_none());
        assert!(believed(&HeaderMap::new()).is_none());
        let mut twice = asked(NEW, 1, 1);
        twice.append(VERIFY_HEADER, HeaderValue::from_static("v1"));
        assert!(believed(&twice).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_answered_once_for_as_long_as_it_is_fresh() {
        let desk = Desk::new(settings(&[NEW], 10), None);
        let (first, _) = desk.believe(&asked(NEW, 1060, 1), &Method::GET).unwrap();
        let (other, _) = desk.believe(&asked(NEW, 1060, 2), &Method::GET).unwrap();

        assert_eq!(desk.admit(&first, 1000), Ok(()));
        assert_eq!(desk.admit(&first, 1000), Err(Refusal::Replayed));
        let reloaded = Desk::new(settings(&[NEW, OLD], 10), Some(&desk));
        tokio::time::advance(2 * WINDOW).await;
        assert_eq!(reloaded.admit(&first, 1120), Err(Refusal::Replayed));
        assert_eq!(reloaded.admit(&first, 1121), Err(Refusal::Stale));
        assert_eq!(reloaded.admit(&other, 999), Err(Refusal::Stale));
        assert_eq!(reloaded.admit(&other, 1120), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_are_answered_as_the_rate_says() {
        let desk = Desk::new(settings(&[NEW], 2), None);
        let ask = |nonce| {
            let (inquiry, _) = desk.believe(&asked(NEW, 1, nonce), &Method::GET).unwrap();
            desk.admit(&inquiry, 1)
        };

        assert_eq!((ask(1), ask(2)), (Ok(()), Ok(())));
        let wait = Duration::from_millis(500);
        assert_eq!(ask(3), Err(Refusal::Busy(wait)));
        tokio::time::advance(wait).await;
        assert_eq!((ask(3), ask(3)), (Ok(()), Err(Refusal::Replayed)));
    }

    #[test]
    fn at_the_bound_of_what_is_remembered_nobody_is_answered_until_something_is_forgotten() {
        let mut memory = Memory::new();
        let quota = Quota::new(1_000_000, Duration::from_secs(1), 1_000_000);
        let nonce = |number: usize| Nonce((number as u128).to_be_bytes());
        let now = memory.began;
        for number in 0..SEEN_MAX {
            assert_eq!(memory.admit(nonce(number), &quota, now), Ok(()));
        }

        let one_more = memory.admit(nonce(SEEN_MAX), &quota, now);
        let later = memory.admit(nonce(SEEN_MAX), &quota, now + REMEMBERED);

        assert_eq!(one_more, Err(Refusal::Busy(REMEMBERED)));
        assert_eq!((later, memory.seen.len()), (Ok(()), 1));
    }

    #[test]
    fn the_highest_rate_stays_below_what_is_remembered() {
        let fresh = u64::from(RATE_PER_SECOND_MAX) * (REMEMBERED.as_secs() + 1);

        assert!(fresh <= SEEN_MAX as u64);
    }
}
