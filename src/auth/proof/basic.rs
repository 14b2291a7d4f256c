//! Proof by name and password (RFC 7617).
//!
//! To check one is meant to take long, so it happens on threads of its own, as many at a time as
//! there are cores. What was right is remembered for a while, so that a client's next request costs
//! a digest; what was wrong never is. Equal requests at the same time are one check.

use super::passwords::{Passwords, User};
use super::{Asked, Grant, Identity, Proof, Reason, Verdict, challenged};
use crate::auth::cache::{CacheSettings, Decided, DecisionCache, Keep};
use crate::auth::{DecisionSpan, HeaderChange};
use crate::clock;
use crate::telemetry::metrics::AuthCounts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::Map;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest name and longest password, in bytes. A longer one is wrong.
const TEXT_BYTES_MAX: usize = 1_024;
/// Checks that wait for a thread. One more is answered with 503.
const WAITING_MAX: usize = 128;
/// How long a check may wait and run.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// How many right passwords are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// Who has which password, and how they are asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct BasicSettings {
    /// The file.
    pub passwords: Passwords,
    /// What a client is told to authenticate for, as a challenge has it.
    pub challenge: HeaderValue,
    /// How long a right password is remembered; None: not at all.
    pub remember: Option<Duration>,
    /// Whether the upstream gets the password, too.
    pub forward: bool,
}

impl BasicSettings {
    /// The challenge of a realm. None if a header cannot hold it.
    pub fn challenge(realm: &str) -> Option<HeaderValue> {
        let realm = quoted(realm)?;
        HeaderValue::try_from(format!("Basic realm={realm}, charset=\"UTF-8\"")).ok()
    }
}

/// A quoted string (RFC 9110 section 5.6.4). None if it has what no field may hold.
pub(in crate::auth) fn quoted(text: &str) -> Option<String> {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        if !character.is_ascii_graphic() && character != ' ' {
            return None;
        }
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    Some(quoted)
}

/// Checks of passwords, and what they remember. Another file, another one of these.
pub(in crate::auth) struct BasicChecks {
    remembered: Option<DecisionCache>,
    /// A check holds its place until it is done, also if its client left.
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// What a request carries.
enum Carried {
    Nothing,
    /// Not to be read, or not in one way.
    Malformed,
    NameAndPassword(Box<str>, Box<str>),
}

impl BasicChecks {
    pub(in crate::auth) fn new(settings: &BasicSettings, counts: Arc<AuthCounts>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let remember = |ttl| {
            let settings = CacheSettings {
                ttl,
                negative_ttl: None,
                key: None,
                entries_max: REMEMBERED_MAX,
            };
            DecisionCache::new(settings, counts)
        };
        Self {
            remembered: settings.remember.map(remember),
            running: Arc::new(Semaphore::new(cores)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    pub(in crate::auth) async fn check(
        &self,
        policy: &Arc<str>,
        settings: &BasicSettings,
        asked: &Asked<'_>,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        let challenge = Some(&settings.challenge);
        let (name, password) = match carried(asked.headers) {
            Carried::Nothing => {
                return Verdict::Abstain(challenged(Reason::NoCredential, challenge));
            }
            Carried::Malformed => {
                return Verdict::Deny(challenged(Reason::BadCredential, challenge));
            }
            Carried::NameAndPassword(name, password) => (name, password),
        };
        let Some(remembered) = &self.remembered else {
            return Box::pin(self.verify(policy, settings, name, password)).await;
        };
        let question = remembered.parts(&[name.as_bytes(), password.as_bytes()]);
        let now = clock::instant();
        let origin = span.origin();
        let ask = async {
            // In a box, as below: what is remembered needs no room for it.
            let verdict = Box::pin(self.verify(policy, settings, name, password)).await;
            let keep = match verdict {
                Verdict::Allow(_) => Keep::Stored { at_most: None },
                // To those that wait with the same one; a wrong password is never remembered.
                Verdict::Deny(_) | Verdict::Abstain(_) => Keep::Shared,
            };
            Decided::new(verdict, keep)
        };
        let due = now + CHECK_TIMEOUT;
        match remembered.decide(question, (now, due), origin, ask).await {
            Ok(answered) => span.answered(answered),
            Err(_) => Verdict::deny(Reason::Unavailable),
        }
    }

    /// Computes the hash.
    async fn verify(
        &self,
        policy: &Arc<str>,
        settings: &BasicSettings,
        name: Box<str>,
        password: Box<str>,
    ) -> Verdict {
        let passwords = settings.passwords.clone();
        let check = move || passwords.verify(&name, password.as_bytes()).cloned();
        match self.on_its_own_thread(check).await {
            Some(Some(user)) => Verdict::Allow(Box::new(grant(policy, settings, &user))),
            Some(None) => {
                let challenge = Some(&settings.challenge);
                Verdict::Deny(challenged(Reason::BadCredential, challenge))
            }
            None => Verdict::deny(Reason::Unavailable),
        }
    }

    /// None: there is no place, or it took too long.
    async fn on_its_own_thread<T: Send + 'static>(
        &self,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _waiting = self.waiting.try_acquire().ok()?;
        let running = Arc::clone(&self.running);
        let checked = async {
            let place = running.acquire_owned().await.ok()?;
            let run = tokio::task::spawn_blocking(move || {
                let checked = check();
                drop(place);
                checked
            });
            run.await.ok()
        };
        tokio::time::timeout(CHECK_TIMEOUT, checked).await.ok()?
    }
}

fn grant(policy: &Arc<str>, settings: &BasicSettings, user: &User) -> Grant {
    let identity = Identity {
        subject: Some(Arc::clone(&user.name)),
        groups: user.groups.clone(),
        claims: Map::new(),
        proof: Proof::Basic,
        policy: Arc::clone(policy),
    };
    let mut grant = Grant {
        identity: Some(Arc::new(identity)),
        ..Grant::default()
    };
    if !settings.forward {
        grant.request.push(HeaderChange::Remove(AUTHORIZATION));
    }
    grant
}

fn carried(headers: &HeaderMap) -> Carried {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Carried::Nothing;
    };
    if values.next().is_some() {
        // Who reads the first one and who the last one would see two clients.
        return Carried::Malformed;
    }
    let value = value.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ');
    let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Carried::Nothing;
    }
    name_and_password(rest.trim_ascii()).unwrap_or(Carried::Malformed)
}

fn name_and_password(token: &[u8]) -> Option<Carried> {
    // Base64 makes four of three.
    if token.len() > 3 * TEXT_BYTES_MAX {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    let fits = |text: &str| text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
    (fits(name) && fits(password) && !name.is_empty())
        .then(|| Carried::NameAndPassword(name.into(), password.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::proof::passwords::tests::bcrypt_hash;
    use proptest::prelude::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    /// `-` for nothing, `!` for malformed, else `NAME|PASSWORD`.
    #[track_caller]
    fn check(values: &[&[u8]], expected: &str) {
        let read = match carried(&headers(values)) {
            Carried::Nothing => "-".to_owned(),
            Carried::Malformed => "!".to_owned(),
            Carried::NameAndPassword(name, password) => format!("{name}|{password}"),
        };
        assert_eq!(read, expected);
    }

    fn basic(text: impl AsRef<[u8]>) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn name_and_password_are_read_as_rfc_7617_has_them() {
        check(&[], "-");
        check(&[b"Bearer abc"], "-");
        check(&[b"Basically abc"], "-");
        check(
            &[b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
            "Aladdin|open sesame",
        );
        check(
            &[b"bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ== "],
            "Aladdin|open sesame",
        );
        check(&[b"Basic dGVzdDoxMjPCow=="], "test|123\u{a3}");
        check(&[&basic("a:b:c")], "a|b:c");
        check(&[&basic("a:")], "a|");
    }

    #[test]
    fn what_cannot_be_read_in_one_way_is_refused() {
        for value in [
            &b"Basic"[..],
            b"Basic ",
            b"Basic ====",
            b"Basic not base64",
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
            b"Basic \xff\xfe",
        ] {
            check(&[value], "!");
        }
        check(&[&basic("no colon")], "!");
        check(&[&basic(":no name")], "!");
        check(&[&basic(b"\xff:latin")], "!");
        check(&[&basic("a\0:b")], "!");
        check(&[&basic("a:b\nc")], "!");
        check(&[&basic("a:b"), &basic("a:b")], "!");
        check(&[&basic("a:b"), b"Bearer x"], "!");
        check(&[b"Bearer x", b"Bearer y"], "!");
        let at = |bytes: usize| basic(format!("a:{}", "x".repeat(bytes)));
        check(&[&at(1_024)], &format!("a|{}", "x".repeat(1_024)));
        check(&[&at(1_025)], "!");
        check(&[&at(10_000)], "!");
    }

    #[test]
    fn a_realm_is_quoted_and_cannot_end_the_challenge() {
        let challenge =
            |realm| BasicSettings::challenge(realm).map(|one| one.to_str().unwrap().to_owned());

        let plain = "Basic realm=\"Ops\", charset=\"UTF-8\"";
        assert_eq!(challenge("Ops").as_deref(), Some(plain));
        let quoted = "Basic realm=\"a\\\", Bearer x=\\\"\", charset=\"UTF-8\"";
        assert_eq!(challenge("a\", Bearer x=\"").as_deref(), Some(quoted));
        assert_eq!(challenge("a\r\nset-cookie: x"), None);
        assert_eq!(challenge("Büro"), None);
    }

    fn checks() -> (BasicSettings, BasicChecks) {
        let file = format!("ada:{}:ops", bcrypt_hash("lovelace"));
        let settings = BasicSettings {
            passwords: Passwords::read(&file).unwrap(),
            challenge: BasicSettings::challenge("Ops").unwrap(),
            remember: Some(Duration::from_secs(60)),
            forward: false,
        };
        let counts = AuthCounts::unlisted(&Arc::from("ops"));
        let checks = BasicChecks::new(&settings, counts);
        (settings, checks)
    }

    #[tokio::test]
    async fn at_the_bound_a_check_is_answered_with_unavailable_at_once() {
        let (settings, checks) = checks();
        let verify = |name, password| checks.verify_owned(&settings, name, password);
        let all = Arc::clone(&checks.waiting);
        let held = all.try_acquire_many(u32::try_from(WAITING_MAX).unwrap());
        assert_eq!(
            verify("ada", "lovelace").await.reason(),
            Some(Reason::Unavailable)
        );
        drop(held);
        assert_eq!(verify("ada", "lovelace").await.reason(), None);
        assert_eq!(
            verify("ada", "wrong").await.reason(),
            Some(Reason::BadCredential)
        );
        assert_eq!(
            verify("eve", "lovelace").await.reason(),
            Some(Reason::BadCredential)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_finds_no_thread_in_time_is_given_up() {
        let (settings, checks) = checks();
        let cores = u32::try_from(checks.running.available_permits()).unwrap();
        let _held = Arc::clone(&checks.running).acquire_many_owned(cores).await;

        let verdict = checks.verify_owned(&settings, "ada", "lovelace").await;

        assert_eq!(verdict.reason(), Some(Reason::Unavailable));
    }

    impl BasicChecks {
        async fn verify_owned(
            &self,
            settings: &BasicSettings,
            name: &str,
            password: &str,
        ) -> Verdict {
            self.verify(&Arc::from("ops"), settings, name.into(), password.into())
                .await
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(value in prop::collection::vec(0x20u8..=0xff, 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.append(AUTHORIZATION, value);
                let _ = carried(&headers);
            }
        }

        #[test]
        fn every_name_and_password_comes_through(
            name in "[^:\\p{Cc}]{1,30}",
            password in "[^\\p{Cc}]{0,30}",
        ) {
            let value = basic(format!("{name}:{password}"));
            check(&[&value], &format!("{name}|{password}"));
        }
    }
}
