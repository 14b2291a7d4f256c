//! Cookies of sessions that are over: which of them are taken from their browser.

use super::*;

/// A request that was under way when the next session began would take that one away.
#[tokio::test]
async fn what_a_login_or_a_logout_left_behind_is_nothing_and_is_not_taken_away_once_more() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let first = login(&sessions, fresh()).await;
        let next = Session {
            id: "id-2".into(),
            ..fresh()
        };
        let second = browser(&sessions.begin(next, &first, true).await.unwrap());
        sessions.end(&second, "web", true).await;

        for headers in [&first, &second] {
            let found = sessions.find(headers, "web", true, later(0)).await;
            let Found::Nothing { clear } = found else {
                panic!("{found:?}")
            };
            assert!(clear.is_empty(), "{clear:?}");
        }
    }
}

/// The browser would bring it with every request until its own time is over.
#[tokio::test]
async fn a_session_that_is_over_is_taken_from_its_browser_with_all_its_pieces() {
    let sessions = in_cookies();
    let mut large = fresh();
    large.tokens.access = Some(Secret::new("x".repeat(8_000)));
    let headers = login(&sessions, large).await;
    let pieces = headers[COOKIE].to_str().unwrap().split("; ").count();
    assert!(pieces > 2, "{pieces}");
    let gone = async |now| {
        let found = sessions.find(&headers, "web", true, now).await;
        let Found::Nothing { clear } = found else {
            panic!("{found:?}")
        };
        clear.len()
    };

    assert_eq!(gone(later(1_001)).await, pieces, "idle for too long");
    let revoked = sessions.revoke("https://id.example", None, Some("sid-1"));
    revoked.await.unwrap();
    assert_eq!(gone(later(0)).await, pieces, "at its provider's word");
    let other_keys = Sessions::new(
        settings(SessionStore::Cookie),
        Arc::new(Sealer::new(&[])),
        None,
        Arc::default(),
        None,
    );
    let found = other_keys.find(&headers, "web", true, later(0)).await;
    let Found::Nothing { clear } = found else {
        panic!("{found:?}")
    };
    assert_eq!(clear.len(), pieces, "its key is gone");
}
