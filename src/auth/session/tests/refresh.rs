//! New tokens: asked for once, by whoever comes first, wherever it runs.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;

pub(super) fn tokens(refresh: &str) -> Tokens {
    Tokens {
        access: Secret::new(format!("access of {refresh}")),
        id: None,
        refresh: Some(Secret::new(refresh)),
        expires_in: Some(Duration::from_secs(300)),
        scope: None,
        claims: serde_json::Map::new(),
    }
}

/// Twenty requests at once, and those that bring the old cookie afterwards.
#[tokio::test]
async fn tokens_are_renewed_once_for_all_requests_of_a_process() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let headers = login(&sessions, fresh()).await;
        let (sessions, times) = (Arc::new(sessions), Arc::new(AtomicUsize::new(0)));
        let refresh =
            async |sessions: Arc<Sessions>, times: Arc<AtomicUsize>, headers: HeaderMap| {
                let session = Arc::new(fresh());
                let ask = async |token: &Secret| {
                    assert_eq!(token.expose(), "refresh-1");
                    times.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(50)).await;
                    Ok(tokens("refresh-2"))
                };
                sessions
                    .refresh(&session, &headers, true, ask)
                    .await
                    .unwrap()
            };
        let mut all = JoinSet::new();
        for _ in 0..20 {
            let (sessions, times) = (Arc::clone(&sessions), Arc::clone(&times));
            all.spawn(refresh(sessions, times, headers.clone()));
        }
        let mut renewed = all.join_all().await;
        renewed.push(refresh(Arc::clone(&sessions), Arc::clone(&times), headers).await);

        assert_eq!(times.load(Ordering::Relaxed), 1);
        for (session, set) in renewed {
            assert_eq!(session.tokens.refresh, Some(Secret::new("refresh-2")));
            let found = sessions.find(&browser(&set), "web", true, later(0)).await;
            let Found::Live { session, .. } = found else {
                panic!("{found:?}")
            };
            assert_eq!(session.tokens.refresh, Some(Secret::new("refresh-2")));
            assert_eq!(session.tokens.id, Some(Secret::new("id-token")), "kept");
        }
    }
}

#[tokio::test]
async fn tokens_are_renewed_once_for_all_replicas() {
    let redis = FakeRedis::start("").await;
    let replicas = [in_redis(&redis).await, in_redis(&redis).await].map(Arc::new);
    let headers = login(&replicas[0], fresh()).await;
    let times = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for at in 0..10 {
        let (sessions, times, headers) = (
            Arc::clone(&replicas[at % 2]),
            Arc::clone(&times),
            headers.clone(),
        );
        all.spawn(async move {
            let found = sessions.find(&headers, "web", true, later(0)).await;
            let Found::Live { session, .. } = found else {
                panic!("{found:?}")
            };
            let ask = async |_: &Secret| {
                times.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(100)).await;
                Ok(tokens("refresh-2"))
            };
            sessions
                .refresh(&session, &headers, true, ask)
                .await
                .unwrap()
                .0
        });
    }

    for session in all.join_all().await {
        assert_eq!(session.tokens.refresh, Some(Secret::new("refresh-2")));
    }
    assert_eq!(times.load(Ordering::Relaxed), 1);
    until("the lock to be given back", || redis.dump().len() == 1).await;
}

#[tokio::test]
async fn whoever_gives_up_a_refresh_leaves_it_to_the_next_one() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let headers = login(&sessions, fresh()).await;
        let session = Arc::new(fresh());
        let never = async |_: &Secret| std::future::pending().await;
        let left = sessions.refresh(&session, &headers, true, never);
        assert!(
            tokio::time::timeout(Duration::from_millis(50), left)
                .await
                .is_err()
        );

        let ask = async |_: &Secret| Ok(tokens("refresh-2"));
        let renewed = sessions.refresh(&session, &headers, true, ask).await;

        assert_eq!(
            renewed.unwrap().0.tokens.refresh,
            Some(Secret::new("refresh-2"))
        );
    }
}

#[tokio::test]
async fn a_provider_that_failed_is_not_asked_by_every_request() {
    let sessions = in_cookies();
    let headers = login(&sessions, fresh()).await;
    let session = Arc::new(fresh());
    let times = AtomicUsize::new(0);
    for _ in 0..3 {
        let ask = async |_: &Secret| {
            times.fetch_add(1, Ordering::Relaxed);
            Err(ProviderError::Unavailable("down".into()))
        };
        let asked = sessions.refresh(&session, &headers, true, ask).await;
        assert_eq!(
            asked.unwrap_err(),
            ProviderError::Unavailable("down".into())
        );
    }
    assert_eq!(times.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_session_that_ended_while_its_tokens_were_renewed_stays_ended() {
    let redis = FakeRedis::start("").await;
    let sessions = in_redis(&redis).await;
    let headers = login(&sessions, fresh()).await;
    let session = Arc::new(fresh());
    let ask = async |_: &Secret| {
        sessions
            .revoke("https://id.example", Some("u-1"), None)
            .await
            .unwrap();
        Ok(tokens("refresh-2"))
    };

    let renewed = sessions.refresh(&session, &headers, true, ask).await;

    assert_eq!(renewed.unwrap_err(), ProviderError::Refused("other"));
    assert!(!live(&sessions, &headers, later(0)).await);
}

/// Somebody who lost a group at the provider keeps it here until the tokens are due, and no longer.
#[tokio::test]
async fn what_a_refresh_tells_of_somebody_takes_the_place_of_what_was_known() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let headers = login(&sessions, fresh()).await;
        let ask = async |_: &Secret| {
            let claims = json!({"sub": "u-1", "groups": []});
            Ok(Tokens {
                claims: claims.as_object().unwrap().clone(),
                ..tokens("refresh-2")
            })
        };

        let session = Arc::new(fresh());
        let renewed = sessions.refresh(&session, &headers, true, ask).await;

        let (renewed, cookies) = renewed.unwrap();
        assert_eq!(renewed.claims["groups"], json!([]));
        assert_eq!(renewed.claims["email"], "ada@example.com", "was not told");
        let found = sessions
            .find(&browser(&cookies), "web", true, later(0))
            .await;
        let Found::Live { session, .. } = found else {
            panic!("{found:?}");
        };
        assert_eq!(session.claims, renewed.claims);
    }
}
