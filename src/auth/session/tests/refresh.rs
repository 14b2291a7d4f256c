//! New tokens: asked for once, by whoever comes first, wherever it runs.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
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
                let ask = async move |token: Secret| {
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
            let ask = async move |_| {
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

/// A refresh token counts once: an answer that goes to nobody ends the session.
#[tokio::test]
async fn a_client_that_leaves_while_it_refreshes_takes_the_tokens_from_nobody() {
    let redis = FakeRedis::start("").await;
    for sessions in [in_cookies(), in_redis(&redis).await] {
        let headers = login(&sessions, fresh()).await;
        let session = Arc::new(fresh());
        let (asked, answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (own_asked, own_answer) = (Arc::clone(&asked), Arc::clone(&answer));
        let ask = async move |_| {
            own_asked.add_permits(1);
            own_answer.acquire().await.unwrap().forget();
            Ok(tokens("refresh-2"))
        };
        let refresh = sessions.refresh(&session, &headers, true, ask);
        tokio::select! {
            _ = refresh => panic!("nobody has answered"),
            permit = asked.acquire() => permit.unwrap().forget(),
        }

        answer.add_permits(1);
        let again = async |_| -> Result<Tokens, ProviderError> { panic!("asked twice") };
        let renewed = sessions.refresh(&session, &headers, true, again).await;

        let (renewed, cookies) = renewed.unwrap();
        assert_eq!(renewed.tokens.refresh, Some(Secret::new("refresh-2")));
        assert!(live(&sessions, &browser(&cookies), later(0)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_nobody_answers_is_waited_for_so_long_and_given_up_then() {
    let sessions = in_cookies();
    let headers = login(&sessions, fresh()).await;
    let session = Arc::new(fresh());
    let began = clock::instant();

    let never = async |_| std::future::pending().await;
    let waited = sessions.refresh(&session, &headers, true, never).await;
    assert!(matches!(waited, Err(ProviderError::Unavailable(_))));
    assert_eq!(began.elapsed().as_secs(), 15);

    // The call is given up after a minute, and its failure remembered for five seconds.
    sleep(Duration::from_secs(60 + 5)).await;
    let ask = async |_| Ok(tokens("refresh-2"));
    let renewed = sessions.refresh(&session, &headers, true, ask).await;
    assert!(renewed.is_ok(), "{renewed:?}");
}

#[tokio::test]
async fn a_refresh_that_breaks_off_is_no_dead_end() {
    let sessions = in_cookies();
    let headers = login(&sessions, fresh()).await;
    let session = Arc::new(fresh());

    let broken = async |_| -> Result<Tokens, ProviderError> { panic!("a fault of ours") };
    let renewed = sessions.refresh(&session, &headers, true, broken).await;
    assert!(matches!(renewed, Err(ProviderError::Unavailable(_))));

    let ask = async |_| Ok(tokens("refresh-2"));
    let renewed = sessions.refresh(&session, &headers, true, ask).await;
    assert!(renewed.is_ok(), "{renewed:?}");
}

#[tokio::test]
async fn a_provider_that_failed_is_not_asked_by_every_request() {
    let sessions = in_cookies();
    let headers = login(&sessions, fresh()).await;
    let session = Arc::new(fresh());
    let times = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let times = Arc::clone(&times);
        let ask = async move |_| {
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
    let sessions = Arc::new(in_redis(&redis).await);
    let headers = login(&sessions, fresh()).await;
    let session = Arc::new(fresh());
    let other = Arc::clone(&sessions);
    let ask = async move |_| {
        let ended = other.revoke("https://id.example", Some("u-1"), None);
        ended.await.unwrap();
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
        let ask = async |_| {
            let claims = json!({"sub": "u-1", "groups": []});
            Ok(Tokens {
                claims: claims.as_object().unwrap().clone(),
                ..tokens("refresh-2")
            })
        };

        let session = Arc::new(fresh());
        let renewed = sessions.refresh(&session, &headers, true, ask).await;

        let (renewed, cookies) = renewed.unwrap();
        assert_eq!(
            renewed.claims,
            *json!({"sub": "u-1", "groups": []}).as_object().unwrap()
        );
        let found = sessions
            .find(&browser(&cookies), "web", true, later(0))
            .await;
        let Found::Live { session, .. } = found else {
            panic!("{found:?}");
        };
        assert_eq!(session.claims, renewed.claims);
    }
}
