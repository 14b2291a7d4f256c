//! Sessions in cookies that are over before their time: nobody can take a cookie back from a
//! browser, so it is remembered here which ones count no more.
//!
//! In this process, and by the file's Redis, where there is one, in all of them: each asks for the
//! news every second. A session that began before its mark is dead.

use super::Session;
use crate::shared::{Call, Line};
use crate::telemetry::metrics::{LoginBound, LoginCounts};
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::{Value, cmd};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use tracing::{debug, warn};

/// Marks that are remembered. One more makes the oldest one count for every session that began
/// before it: too many end then, never too few.
const MARKS_MAX: usize = 65_536;
/// How often the news are asked for.
const NEWS_EVERY: Duration = Duration::from_secs(1);
/// News that are asked for at a time.
const NEWS_MAX: usize = 1_000;
/// Longest wait for them.
const PATIENCE: Duration = Duration::from_secs(1);
/// Where they stand in Redis, behind the prefix.
const STREAM: &str = "revoked";

/// What is over, by a digest: what stands in Redis says of nobody that he was logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark([u8; 16]);

/// Of what kind a mark is.
#[derive(Clone, Copy)]
pub(super) enum Of<'a> {
    /// One session, by its id.
    Id(&'a str),
    /// All of one `sid`.
    Sid(&'a str),
    /// All of a subject.
    Subject(&'a str),
    /// Those of a subject whose provider did not tell their `sid`.
    SubjectWithoutSid(&'a str),
}

impl Mark {
    pub(super) fn new(issuer: &str, of: Of<'_>) -> Self {
        let (kind, value) = match of {
            Of::Id(value) => (1, value),
            Of::Sid(value) => (2, value),
            Of::Subject(value) => (3, value),
            Of::SubjectWithoutSid(value) => (4, value),
        };
        let mut digest = Context::new(&SHA256);
        digest.update(&[kind]);
        digest.update(&issuer.len().to_be_bytes());
        digest.update(issuer.as_bytes());
        digest.update(value.as_bytes());
        let digest = digest.finish();
        Self(digest.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// Those by which a provider ends this session.
    pub(super) fn of_provider(session: &Session) -> [Self; 2] {
        let by_sid = match &session.sid {
            Some(sid) => Of::Sid(sid),
            None => Of::SubjectWithoutSid(&session.subject),
        };
        [by_sid, Of::Subject(&session.subject)].map(|of| Self::new(&session.issuer, of))
    }

    /// Those that a provider's word ends: the session of a `sid` and those that may be it, or all
    /// of a subject.
    pub(super) fn of_word(issuer: &str, subject: Option<&str>, sid: Option<&str>) -> Vec<Self> {
        let without = subject.map(Of::SubjectWithoutSid);
        let words = match sid {
            Some(sid) => [Some(Of::Sid(sid)), without],
            None => [subject.map(Of::Subject), None],
        };
        let words = words.into_iter().flatten();
        words.map(|of| Self::new(issuer, of)).collect()
    }

    pub(super) fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// What is remembered.
pub(super) struct Revoked {
    list: Mutex<List>,
    /// Whether nothing was ever revoked, so that nobody has to look.
    is_empty: AtomicBool,
    /// How long sessions last at most, in seconds: as long as marks count.
    absolute: AtomicU64,
    counts: Arc<LoginCounts>,
}

#[derive(Default)]
struct List {
    marks: HashMap<Mark, u64>,
    order: VecDeque<(Mark, u64)>,
    /// Sessions that began until then are over.
    floor: u64,
}

impl List {
    /// Forgets the oldest marks for as long as they are over.
    fn forget(&mut self, is_over: impl Fn(u64) -> bool) {
        while self.order.front().is_some_and(|(_, since)| is_over(*since)) {
            self.forget_oldest();
        }
    }

    /// Since when the one counted that is forgotten.
    fn forget_oldest(&mut self) -> Option<u64> {
        let (oldest, since) = self.order.pop_front()?;
        if self.marks.get(&oldest) == Some(&since) {
            self.marks.remove(&oldest);
        }
        Some(since)
    }
}

impl Revoked {
    pub(super) fn new(counts: &Arc<LoginCounts>) -> Self {
        Self {
            list: Mutex::default(),
            is_empty: AtomicBool::new(true),
            absolute: AtomicU64::new(0),
            counts: Arc::clone(counts),
        }
    }

    /// Marks count for as long as this, or as ever was said.
    pub(super) fn count_for(&self, absolute: Duration) {
        self.absolute
            .fetch_max(absolute.as_secs(), Ordering::Relaxed);
    }

    fn absolute(&self) -> u64 {
        self.absolute.load(Ordering::Relaxed)
    }

    /// Whether at most half of the marks that are remembered are taken.
    pub(super) fn has_plenty_of_room(&self, now: u64) -> bool {
        let mut list = self.list();
        list.forget(|since| since.saturating_add(self.absolute()) < now);
        list.order.len() < MARKS_MAX / 2
    }

    /// Sessions of this mark that began until `at`, in Unix seconds, are over.
    pub(super) fn revoke(&self, mark: Mark, at: u64) {
        let mut list = self.list();
        list.forget(|since| since.saturating_add(self.absolute()) < at);
        while list.order.len() >= MARKS_MAX
            && let Some(since) = list.forget_oldest()
        {
            list.floor = list.floor.max(since);
            self.counts.reached(LoginBound::Ended, 1);
            warn!("more sessions were revoked than are remembered: older ones end, too");
        }
        let known = list.marks.get(&mark).copied();
        if known.is_none_or(|known| known < at) {
            list.marks.insert(mark, at);
            list.order.push_back((mark, at));
        }
        self.counts.holds(LoginBound::Ended, list.order.len());
        drop(list);
        self.is_empty.store(false, Ordering::Release);
    }

    /// Whether a session is over.
    pub(super) fn is_dead(&self, session: &Session) -> bool {
        self.latest(session).is_some_and(|at| session.began <= at)
    }

    /// Whether this very session was ended here: by a logout, or by the login after it.
    pub(super) fn was_left(&self, session: &Session) -> bool {
        let own = Mark::new(&session.issuer, Of::Id(&session.id));
        self.list().marks.contains_key(&own)
    }

    /// When sessions like this one were revoked last.
    pub(super) fn latest(&self, session: &Session) -> Option<u64> {
        if self.is_empty.load(Ordering::Acquire) {
            return None;
        }
        let [sid, subject] = Mark::of_provider(session);
        let own = Mark::new(&session.issuer, Of::Id(&session.id));
        let list = self.list();
        let at = |mark| list.marks.get(&mark).copied();
        let marks = [at(own), at(sid), at(subject), Some(list.floor)];
        marks.into_iter().flatten().max()
    }

    fn list(&self) -> std::sync::MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the others. False: nobody could be told.
    pub(super) async fn tell(&self, line: &Line, marks: &[Mark], at: u64) -> bool {
        let key = line.key(STREAM, "all");
        let mut news = redis::pipe();
        for mark in marks {
            let entry = news.cmd("XADD").arg(&key);
            entry.arg("MAXLEN").arg("~").arg(MARKS_MAX).arg("*");
            entry.arg("mark").arg(mark.text()).arg("at").arg(at);
        }
        let ttl = u64::try_from(Duration::from_secs(self.absolute()).as_millis());
        news.cmd("PEXPIRE")
            .arg(&key)
            .arg(ttl.unwrap_or(u64::MAX >> 1));
        line.run(&news).await.is_ok()
    }
}

/// Learns what others revoke, until it is aborted.
pub(super) async fn learn(revoked: Arc<Revoked>, line: Arc<Line>) {
    let key = line.key(STREAM, "all");
    let mut last = "-".to_owned();
    loop {
        let mut ask = cmd("XRANGE");
        ask.arg(&key).arg(&last).arg("+").arg("COUNT").arg(NEWS_MAX);
        let asked = line.call(Call::Command(&ask), PATIENCE, news);
        let found = match asked.await {
            Ok(found) => found,
            Err(fault) => {
                debug!(
                    reason = fault.name(),
                    "revoked sessions of others are not known"
                );
                Vec::new()
            }
        };
        for (id, told) in &found {
            last = format!("({id}");
            if let Some((mark, at)) = told {
                revoked.revoke(*mark, *at);
            }
        }
        if found.len() < NEWS_MAX {
            sleep(NEWS_EVERY).await;
        }
    }
}

/// Entries of a stream: their id, and what each says, if it is one of ours.
type News = Vec<(String, Option<(Mark, u64)>)>;

fn news(value: Value) -> Option<News> {
    let Value::Array(entries) = value else {
        return None;
    };
    let entry = |entry| {
        let Value::Array(entry) = entry else {
            return None;
        };
        match <[Value; 2]>::try_from(entry).ok()? {
            [Value::BulkString(id), Value::Array(fields)] => {
                Some((String::from_utf8(id).ok()?, told(&fields)))
            }
            _ => None,
        }
    };
    entries.into_iter().map(entry).collect()
}

fn told(fields: &[Value]) -> Option<(Mark, u64)> {
    match fields {
        [_, Value::BulkString(mark), _, Value::BulkString(at)] => {
            let at = std::str::from_utf8(at).ok()?.parse().ok()?;
            Some((Mark::parse(mark)?, at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::session;
    use super::*;

    #[test]
    fn a_mark_ends_what_began_before_it_and_nothing_else() {
        let session = session();
        let other = Session {
            sid: Some("other".into()),
            ..session.clone()
        };
        let nameless = Session {
            sid: None,
            ..session.clone()
        };
        let dead = |marks: Vec<Mark>, at| {
            let revoked = Revoked::new(&Arc::default());
            revoked.count_for(Duration::from_secs(3_600));
            for mark in marks {
                revoked.revoke(mark, at);
            }
            [&session, &other, &nameless].map(|one| revoked.is_dead(one))
        };
        let word = |subject, sid| Mark::of_word(&session.issuer, subject, sid);
        let (subject, sid) = (Some(&*session.subject), session.sid.as_deref());

        assert_eq!(dead(Vec::new(), 1_000), [false; 3]);
        assert_eq!(dead(word(subject, None), 1_000), [true; 3]);
        assert_eq!(dead(word(subject, None), 999), [false; 3]);
        assert_eq!(dead(word(None, sid), 1_000), [true, false, false]);
        assert_eq!(dead(word(subject, sid), 1_000), [true, false, true]);
        assert_eq!(dead(word(Some("somebody"), None), 1_000), [false; 3]);
        let elsewhere = Mark::of_word("https://elsewhere.example", subject, sid);
        assert_eq!(dead(elsewhere, 1_000), [false; 3]);
    }

    #[test]
    fn one_mark_too_many_ends_more_sessions_and_never_fewer() {
        let session = session();
        let revoked = Revoked::new(&Arc::default());
        revoked.count_for(Duration::from_secs(3_600));
        let mark = |text: &str| Mark::new("i", Of::Id(text));
        for at in 0..MARKS_MAX {
            revoked.revoke(mark(&at.to_string()), 1_000);
        }
        assert!(!revoked.is_dead(&session), "at the bound");
        revoked.revoke(mark("one more"), 1_001);
        assert!(revoked.is_dead(&session), "over it");
        assert_eq!(revoked.list().order.len(), MARKS_MAX);
        assert_eq!(revoked.counts.all_reached(LoginBound::Ended), 1);

        // Marks that no session is old enough for leave without a word.
        revoked.revoke(mark("later"), 4_602);
        assert!(revoked.list().order.len() <= 2);
    }

    /// Anybody may call the address of a front-channel logout, with any `sid`.
    #[test]
    fn words_that_nobody_signed_end_no_session_of_anybody_else() {
        let session = session();
        let revoked = Revoked::new(&Arc::default());
        revoked.count_for(Duration::from_secs(3_600));
        let mut taken = 0;
        for sid in 0..2 * MARKS_MAX {
            if revoked.has_plenty_of_room(2_000) {
                revoked.revoke(Mark::new("i", Of::Sid(&sid.to_string())), 2_000);
                taken += 1;
            }
        }
        assert_eq!(taken, MARKS_MAX / 2);
        assert!(!revoked.is_dead(&session));

        assert!(revoked.has_plenty_of_room(5_601), "they are over then");
    }
}
