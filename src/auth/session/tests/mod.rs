//! Sessions in both stores: what begins, lasts and ends.

mod over;
mod refresh;

use super::*;
use crate::auth::provider::{ProviderError, Tokens};
use crate::auth::seal::SealKey;
use crate::secret::Secret;
use crate::shared::fake::FakeRedis;
use http::header::COOKIE;
use proptest::prelude::*;
use serde_json::json;
use tokio::time::sleep;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const IDLE: Duration = Duration::from_secs(1_000);
const ABSOLUTE: Duration = Duration::from_secs(5_000);

/// Somebody's, that began at second 1,000.
pub(super) fn session() -> Session {
    let claims = json!({"sub": "u-1", "email": "ada@example.com", "groups": ["ops"]});
    Session {
        id: "id-1".into(),
        policy: "web".into(),
        issuer: "https://id.example".into(),
        subject: "u-1".into(),
        sid: Some("sid-1".into()),
        claims: claims.as_object().unwrap().clone(),
        tokens: SessionTokens {
            access: Some(Secret::new("access-1")),
            access_until: Some(1_300),
            id: Some(Secret::new("id-token")),
            refresh: Some(Secret::new("refresh-1")),
        },
        began: 1_000,
        seen: 1_000,
        proves: Proves::default(),
    }
}

/// The same, from now on.
fn fresh() -> Session {
    let now = Sessions::seconds(clock::wall());
    Session {
        began: now,
        seen: now,
        ..session()
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_nanos(seconds * 1_000_000_000)
}

/// In this many seconds.
fn later(seconds: u64) -> Timestamp {
    clock::wall().plus(Duration::from_secs(seconds))
}

fn settings(store: SessionStore) -> SessionSettings {
    SessionSettings {
        store,
        idle: IDLE,
        absolute: ABSOLUTE,
        cookie: CookieSettings {
            name: "edgespan".into(),
            domain: None,
            same_site: "Lax",
        },
    }
}

fn sealer() -> Arc<Sealer> {
    Arc::new(Sealer::new(&[SealKey::parse(KEY).unwrap()]))
}

fn in_cookies() -> Sessions {
    Sessions::new(
        settings(SessionStore::Cookie),
        sealer(),
        None,
        Arc::default(),
        None,
    )
}

async fn line(redis: &FakeRedis) -> Arc<Line> {
    let line = Line::start(&redis.settings(), Arc::default()).unwrap();
    until("a connection", || line.is_up()).await;
    line
}

async fn in_redis(redis: &FakeRedis) -> Sessions {
    let line = line(redis).await;
    Sessions::new(
        settings(SessionStore::Redis),
        sealer(),
        Some(&line),
        Arc::default(),
        None,
    )
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = clock::instant();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "in vain for {what}"
        );
        sleep(Duration::from_millis(2)).await;
    }
}

/// What a browser sends once it was told this.
pub(super) fn browser(set: &[HeaderValue]) -> HeaderMap {
    let pairs: Vec<&str> = set
        .iter()
        .map(|one| one.to_str().unwrap())
        .filter(|one| !one.contains("Max-Age=0"))
        .map(|one| one.split(';').next().unwrap())
        .collect();
    let line = HeaderValue::from_str(&pairs.join("; ")).unwrap();
    [(COOKIE, line)].into_iter().collect()
}

async fn live(sessions: &Sessions, headers: &HeaderMap, now: Timestamp) -> bool {
    matches!(
        sessions.find(headers, "web", true, now).await,
        Found::Live { .. }
    )
}

async fn login(sessions: &Sessions, session: Session) -> HeaderMap {
    let set = sessions.begin(session, &HeaderMap::new(), true).await;
    browser(&set.unwrap())
}

#[tokio::test]
async fn a_session_in_a_cookie_lives_within_both_of_its_lifetimes() {
    let sessions = in_cookies();
    let began = fresh();
    let start = began.began;
    let mut headers = login(&sessions, began).await;

    assert!(live(&sessions, &headers, at(start + 999)).await);
    assert!(!live(&sessions, &headers, at(start + 1_000)).await, "idle");
    for used in (500..=4_500).step_by(500) {
        let found = sessions.find(&headers, "web", true, at(start + used)).await;
        let Found::Live { renew, .. } = found else {
            panic!("dead after {used} s")
        };
        assert_eq!(renew.len(), 1);
        headers = browser(&renew);
    }
    assert!(live(&sessions, &headers, at(start + 4_999)).await);
    assert!(
        !live(&sessions, &headers, at(start + 5_000)).await,
        "absolute"
    );
}

#[tokio::test]
async fn a_session_is_written_anew_once_a_tenth_of_its_idle_time() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let headers = login(&sessions, fresh()).await;
        for (passed, times) in [(50, 0), (49, 0), (2, 1)] {
            redis.pass(Duration::from_secs(passed));
            let unused = if times == 0 { 99 } else { 102 };
            let found = sessions.find(&headers, "web", true, later(unused)).await;
            let Found::Live { renew, .. } = found else {
                panic!("dead")
            };
            assert_eq!(renew.len(), times, "after {passed} s more");
        }
    }
    assert_eq!(
        redis
            .commands("PEXPIRE")
            .iter()
            .filter(|one| one[1].contains(":session:"))
            .count(),
        1
    );
}

/// CVE-2026-25748: a cookie that nobody can read, and a request that passes without anybody.
#[tokio::test]
async fn a_cookie_that_does_not_open_is_nothing_and_is_taken_away() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let good = login(&sessions, fresh()).await;
        let good = good[COOKIE].to_str().unwrap();
        let handle = "A".repeat(43);
        for line in [
            good.get(..good.len() - 1).unwrap().to_owned(),
            format!("{good}A"),
            good.replacen('=', "=A", 1),
            format!("{good}; {good}"),
            "__Host-edgespan-web=".to_owned(),
            "__Host-edgespan-web=\u{7f}".replace('\u{7f}', "%00"),
            format!("__Host-edgespan-web={handle}"),
            format!("__Host-edgespan-web.0=99999999.{handle}"),
        ] {
            let line = HeaderValue::from_str(&line).unwrap();
            let headers: HeaderMap = [(COOKIE, line.clone())].into_iter().collect();
            let found = sessions.find(&headers, "web", true, later(1)).await;
            let Found::Nothing { clear } = found else {
                panic!("{line:?}: {found:?}")
            };
            assert_eq!(clear.len(), 1, "{line:?}");
            assert!(clear[0].to_str().unwrap().contains("Max-Age=0"));
        }
    }
}

#[tokio::test]
async fn a_session_is_of_one_policy_and_one_scheme() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let good = login(&sessions, fresh()).await;
        let moved = good[COOKIE].to_str().unwrap().replace("-web=", "-staff=");
        let moved: HeaderMap = [(COOKIE, moved.parse().unwrap())].into_iter().collect();

        assert!(live(&sessions, &good, later(0)).await);
        for (headers, policy, secure) in [(&moved, "staff", true), (&good, "web", false)] {
            let found = sessions.find(headers, policy, secure, later(0)).await;
            assert!(matches!(found, Found::Nothing { .. }), "{policy} {secure}");
        }
    }
}

#[tokio::test]
async fn a_login_takes_the_place_of_the_session_before_it() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let old = login(&sessions, fresh()).await;
        let next = Session {
            id: "id-2".into(),
            ..fresh()
        };

        let set = sessions.begin(next, &old, true).await.unwrap();
        let new = browser(&set);

        assert_ne!(old[COOKIE], new[COOKIE]);
        assert!(live(&sessions, &new, later(0)).await);
        assert!(!live(&sessions, &old, later(0)).await, "the one before");
    }
}

#[tokio::test]
async fn a_session_that_was_ended_is_over_also_for_whoever_has_its_cookie() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let headers = login(&sessions, fresh()).await;

        let (ended, clear) = sessions.end(&headers, "web", true).await;

        assert_eq!(ended.unwrap().tokens.id, Some(Secret::new("id-token")));
        assert_eq!(clear.len(), 1);
        assert!(!live(&sessions, &headers, later(0)).await);
        let (ended, _) = sessions.end(&HeaderMap::new(), "web", true).await;
        assert!(ended.is_none());
    }
}

#[tokio::test]
async fn a_providers_word_ends_the_sessions_it_means() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let other = Session {
            id: "id-2".into(),
            sid: Some("sid-2".into()),
            ..fresh()
        };
        let (one, two) = (
            login(&sessions, fresh()).await,
            login(&sessions, other).await,
        );
        let issuer = "https://id.example";
        let lives = async || {
            [
                live(&sessions, &one, later(0)).await,
                live(&sessions, &two, later(0)).await,
            ]
        };

        sessions
            .revoke("https://elsewhere.example", Some("u-1"), None)
            .await
            .unwrap();
        assert_eq!(lives().await, [true, true]);
        sessions
            .revoke(issuer, Some("u-1"), Some("sid-1"))
            .await
            .unwrap();
        assert_eq!(lives().await, [false, true]);
        sessions.revoke(issuer, Some("u-1"), None).await.unwrap();
        assert_eq!(lives().await, [false, false]);

        // Whoever logs in again at once is logged in.
        let again = login(
            &sessions,
            Session {
                id: "id-3".into(),
                ..fresh()
            },
        )
        .await;
        assert!(live(&sessions, &again, later(0)).await);
    }
}

#[tokio::test]
async fn what_is_over_before_a_reload_is_over_after_it() {
    let before = in_cookies();
    let headers = login(&before, fresh()).await;
    before.end(&headers, "web", true).await;

    let shorter = SessionSettings {
        idle: IDLE / 2,
        ..settings(SessionStore::Cookie)
    };
    let after = Sessions::new(shorter, sealer(), None, Arc::default(), Some(&before));

    assert!(!live(&after, &headers, later(0)).await);
}

#[tokio::test]
async fn another_replica_hears_of_a_session_in_a_cookie_that_ended() {
    let redis = FakeRedis::start("").await;
    let (one, two) = (line(&redis).await, line(&redis).await);
    let replica = |line| {
        let settings = settings(SessionStore::Cookie);
        Sessions::new(settings, sealer(), Some(line), Arc::default(), None)
    };
    let (one, two) = (replica(&one), replica(&two));
    let headers = login(&one, fresh()).await;
    assert!(live(&two, &headers, later(0)).await);

    one.revoke("https://id.example", None, Some("sid-1"))
        .await
        .unwrap();

    assert!(!live(&one, &headers, later(0)).await);
    let began = clock::instant();
    while live(&two, &headers, later(0)).await {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "not within seconds"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn without_redis_nobody_is_let_in_and_one_that_is_empty_asks_for_a_login() {
    let redis = FakeRedis::start("").await;
    let sessions = in_redis(&redis).await;
    let headers = login(&sessions, fresh()).await;
    assert!(live(&sessions, &headers, later(0)).await);

    redis.empty();
    assert!(matches!(
        sessions.find(&headers, "web", true, later(0)).await,
        Found::Nothing { .. }
    ));

    drop(redis);
    until("the loss", || !sessions.redis().unwrap().is_up()).await;
    let found = sessions.find(&headers, "web", true, later(0)).await;
    assert!(matches!(found, Found::Unavailable), "{found:?}");
    let begun = sessions.begin(fresh(), &HeaderMap::new(), true).await;
    assert_eq!(begun, Err(SessionError::Unavailable));
    let revoked = sessions
        .revoke("https://id.example", Some("u-1"), None)
        .await;
    assert_eq!(revoked, Err(SessionError::Unavailable));
}

#[tokio::test]
async fn who_reads_redis_learns_nothing_and_who_writes_it_makes_nobody_up() {
    let redis = FakeRedis::start("").await;
    let sessions = in_redis(&redis).await;
    let headers = login(&sessions, fresh()).await;
    let handle = headers[COOKIE].to_str().unwrap().split_once('=').unwrap().1;

    let dump = redis.dump();
    assert_eq!(dump.len(), 1);
    let told: Vec<String> = redis.scripted.commands.lock().unwrap().concat();
    for secret in [
        handle,
        "ada@example.com",
        "u-1",
        "sid-1",
        "access-1",
        "refresh-1",
        "id-token",
    ] {
        assert!(!told.iter().any(|word| word.contains(secret)), "{secret}");
    }

    // Somebody copies the value of a session under the digest of a handle of his own.
    let own = "B".repeat(43);
    let line = sessions.redis().unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, own.as_bytes());
    let digest = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, digest);
    let key = line.key("session", &digest);
    let value = dump.values().next().unwrap();
    line.put(&key, value, IDLE, Write::Always).await.unwrap();
    let forged = format!("__Host-edgespan-web={own}").parse().unwrap();
    let forged: HeaderMap = [(COOKIE, forged)].into_iter().collect();
    assert!(!live(&sessions, &forged, later(0)).await);
}

#[tokio::test]
async fn a_session_that_cookies_do_not_hold_says_what_to_do() {
    let sessions = in_cookies();
    let mut large = fresh();
    large.tokens.access = Some(Secret::new("x".repeat(14_500)));

    let begun = sessions.begin(large.clone(), &HeaderMap::new(), true).await;
    let Err(SessionError::TooLarge(_)) = begun else {
        panic!("{begun:?}")
    };
    large.tokens.access = Some(Secret::new("x".repeat(13_500)));
    let headers = login(&sessions, large).await;
    assert!(live(&sessions, &headers, later(0)).await);
}

#[test]
fn the_debug_text_of_a_session_says_nothing_of_whose_it_is() {
    assert_eq!(format!("{:?}", session()), "Session(web)");
}

proptest! {
    #[test]
    fn no_cookie_of_anybody_is_a_session(value in "[A-Za-z0-9_.=-]{0,200}", chunk in 0..6_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let line = format!("__Host-edgespan-web={value}; __Host-edgespan-web.{chunk}={value}");
            let headers: HeaderMap = [(COOKIE, line.parse().unwrap())].into_iter().collect();
            in_cookies().find(&headers, "web", true, later(0)).await
        });
        prop_assert!(!matches!(found, Found::Live { .. }), "a session");
    }
}
