//! The same with the real Redis, which the interop script starts: its port is in the environment.

use super::refresh::tokens;
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// None where nobody started one.
async fn replica(store: SessionStore) -> Option<Sessions> {
    let port = std::env::var("EDGESPAN_TEST_REDIS").ok()?;
    let redis = RedisSettings {
        host: "127.0.0.1".into(),
        port: port.parse().unwrap(),
        database: 0,
        tls: None,
        username: None,
        password: None,
        timeout: Duration::from_millis(500),
        prefix: "{edgespan-test}:".into(),
    };
    let line = Line::start(&redis, Arc::default()).unwrap();
    until("a connection", || line.is_up()).await;
    Some(Sessions::new(settings(store), sealer(), Some(&line), None))
}

/// A provider that takes its time.
async fn give(times: &AtomicUsize) -> Result<Tokens, ProviderError> {
    times.fetch_add(1, Ordering::Relaxed);
    sleep(Duration::from_millis(100)).await;
    Ok(tokens("refresh-2"))
}

#[tokio::test]
#[ignore = "needs a Redis"]
async fn replicas_share_sessions_their_ends_and_their_refreshes_in_a_real_redis() {
    let (Some(one), Some(two)) = (
        replica(SessionStore::Redis).await,
        replica(SessionStore::Redis).await,
    ) else {
        return;
    };
    let headers = login(&one, fresh()).await;
    assert!(live(&two, &headers, later(0)).await);

    let times = AtomicUsize::new(0);
    let session = Arc::new(fresh());
    let (first, second) = tokio::join!(
        one.refresh(&session, &headers, true, async |_: &Secret| give(&times)
            .await),
        two.refresh(&session, &headers, true, async |_: &Secret| give(&times)
            .await),
    );
    assert_eq!(times.load(Ordering::Relaxed), 1);
    for renewed in [first, second] {
        let token = renewed.unwrap().0.tokens.refresh.clone();
        assert_eq!(token, Some(Secret::new("refresh-2")));
    }

    let issuer = "https://id.example";
    one.revoke(issuer, None, Some("sid-1")).await.unwrap();
    assert!(!live(&two, &headers, later(0)).await);
    let again = login(&two, fresh()).await;
    let (ended, _) = one.end(&again, "web", true).await;
    assert!(ended.is_some());
    assert!(!live(&two, &again, later(0)).await);
}

#[tokio::test]
#[ignore = "needs a Redis"]
async fn replicas_tell_each_other_by_a_real_redis_which_cookies_count_no_more() {
    let (Some(one), Some(two)) = (
        replica(SessionStore::Cookie).await,
        replica(SessionStore::Cookie).await,
    ) else {
        return;
    };
    let headers = login(&one, fresh()).await;
    assert!(live(&two, &headers, later(0)).await);

    let (ended, _) = one.end(&headers, "web", true).await;

    assert!(ended.is_some());
    let began = clock::instant();
    while live(&two, &headers, later(0)).await {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "not within seconds"
        );
        sleep(Duration::from_millis(10)).await;
    }
}
