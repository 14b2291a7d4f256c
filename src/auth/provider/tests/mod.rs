//! Providers that are there, away, slow, and wrong.

mod asked;
mod stand;
mod traced;

use super::*;
use crate::auth::jose::Algorithm;
use crate::telemetry::metrics::{Exposition, ProviderCall, ProviderOutcome, TextFormat};
use serde_json::json;
use stand::{Act, DISCOVERY, Stand, jwks};
use tokio::sync::Semaphore;
use traced::Traced;

/// The header of a token that names this key.
fn naming(kid: &str) -> TokenHeader {
    TokenHeader {
        algorithm: Algorithm::EdDsa,
        kid: Some(kid.into()),
        typ: None,
    }
}

async fn knows(provider: &Provider, kid: &str) -> bool {
    let header = naming(kid);
    let keys = provider.keys(&header, None).await;
    keys.is_ok_and(|keys| keys.has(&header))
}

#[tokio::test]
async fn keys_and_endpoints_are_found_by_the_issuer_alone() {
    let stand = Stand::open().await;
    let (provider, counts) = stand.provider().await;

    assert!(knows(&provider, "a").await);
    assert_eq!(provider.lacks(), None);
    let metadata = provider.metadata(None).await.unwrap();
    let token = metadata.token.as_ref().unwrap();
    assert_eq!(token.path(), "/token");
    assert_eq!(counts.calls(ProviderCall::Jwks, ProviderOutcome::Ok), 1);
    assert_eq!(
        counts.calls(ProviderCall::Discovery, ProviderOutcome::Ok),
        1
    );
}

#[tokio::test]
async fn metadata_is_found_where_rfc_8414_puts_it() {
    let stand = Stand::open().await;
    stand.set(DISCOVERY, Act::Say(404, "", String::new()));
    let other = "/.well-known/oauth-authorization-server";
    stand.json(other, &stand.metadata());

    let (provider, _) = stand.provider().await;

    assert!(knows(&provider, "a").await);
    assert_eq!(stand.heard(other).len(), 1);
    assert_eq!(stand.heard(DISCOVERY).len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_moves_and_a_key_that_is_taken_back_are_learned_by_themselves() {
    let stand = Stand::open().await;
    let provider = Provider::start(ProviderSettings {
        refresh: Duration::from_millis(200),
        ..stand.settings()
    });
    provider.came().await;
    let token_at = async || {
        let metadata = provider.metadata(None).await.unwrap();
        metadata.token.as_ref().unwrap().path().to_owned()
    };
    assert_eq!(token_at().await, "/token");
    assert!(knows(&provider, "a").await);

    let mut metadata = stand.metadata();
    metadata["token_endpoint"] = json!(format!("{}/moved", stand.issuer()));
    stand.json(DISCOVERY, &metadata);
    stand.keys(&["b"]);

    let learned = tokio::time::timeout(Duration::from_secs(10), async {
        while token_at().await != "/moved" || knows(&provider, "a").await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    learned
        .await
        .expect("it is asked again before its time is over");
    assert!(knows(&provider, "b").await);
}

#[tokio::test]
async fn a_provider_that_is_away_at_the_start_is_found_when_it_comes() {
    let stand = Stand::open().await;
    stand.down(true);
    let provider = Provider::start(stand.settings());

    let asked = provider.keys(&naming("a"), None).await;
    assert!(
        matches!(asked, Err(ProviderError::Unavailable(_))),
        "{asked:?}"
    );
    assert!(asked.unwrap_err().is_temporary());
    let lacks = format!("the keys of {}", stand.issuer());
    assert_eq!(provider.lacks(), Some(lacks));

    stand.down(false);
    // By itself, within seconds.
    let came = tokio::time::timeout(Duration::from_secs(10), provider.came());
    came.await.unwrap();
    assert!(knows(&provider, "a").await);
    assert_eq!(provider.lacks(), None);
}

#[tokio::test]
async fn who_waits_for_a_provider_that_is_away_finds_it_a_second_after_it_came() {
    let stand = Stand::open().await;
    stand.down(true);
    let provider = Provider::start(stand.settings());
    // Long enough for the keeper to pause for seconds.
    for _ in 0..3 {
        assert!(!knows(&provider, "a").await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    stand.down(false);
    let began = crate::clock::instant();
    while !knows(&provider, "a").await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn tokens_with_known_keys_pass_while_the_provider_is_away() {
    let stand = Stand::open().await;
    let (provider, counts) = stand.provider().await;
    stand.down(true);

    assert!(knows(&provider, "a").await);
    // One that is not known is looked for, and is then none: that is no outage of the others.
    assert!(!knows(&provider, "b").await);
    assert!(provider.keys(&naming("b"), None).await.is_ok());
    assert!(knows(&provider, "a").await);
    let failed = counts.calls(ProviderCall::Jwks, ProviderOutcome::Unavailable);
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn a_key_that_is_new_is_found_at_once() {
    let stand = Stand::open().await;
    let (provider, counts) = stand.provider().await;

    stand.keys(&["a", "b"]);
    assert!(knows(&provider, "b").await);
    assert_eq!(counts.misses(KeyMiss::Fetched), 1);
    // What was taken back is not known any more.
    assert!(knows(&provider, "a").await);
}

#[tokio::test]
async fn a_thousand_keys_that_nobody_has_are_asked_for_once_a_cool_down() {
    let stand = Stand::open().await;
    let (provider, counts) = stand.provider().await;
    let asked_before = stand.heard("/jwks").len();

    let asking = (0..1_000).map(|number| {
        let provider = Arc::clone(&provider);
        tokio::spawn(async move { knows(&provider, &format!("random-{number}")).await })
    });
    for one in asking.collect::<Vec<_>>() {
        assert!(!one.await.unwrap());
    }

    assert_eq!(stand.heard("/jwks").len() - asked_before, 1);
    assert_eq!(counts.misses(KeyMiss::Fetched), 1);
    let spared = counts.misses(KeyMiss::Shared) + counts.misses(KeyMiss::Resting);
    assert_eq!(spared, 999);
}

#[tokio::test]
async fn who_waits_shares_the_fetch_and_links_to_its_span() {
    let stand = Stand::open().await;
    let (provider, _) = stand.provider().await;
    let gate = Arc::new(Semaphore::new(0));
    let gated = Act::Gated(Arc::clone(&gate), jwks(&["b"]).to_string());
    stand.set("/jwks", gated);
    let (mut first, mut second) = (Traced::new(), Traced::new());
    let header = naming("b");

    let leading = first.decide(async |span| provider.keys(&header, Some(span)).await.unwrap());
    let sharing = async {
        stand.asked("/jwks", 2).await;
        let sharing = second.decide(async |span| {
            let keys = provider.keys(&header, Some(span));
            let (keys, ()) = tokio::join!(keys, async { gate.add_permits(1) });
            keys.unwrap()
        });
        sharing.await
    };
    let (led, shared) = tokio::join!(leading, sharing);

    assert!(led.has(&header) && shared.has(&header));
    assert_eq!(stand.heard("/jwks").len(), 2);
    let fetch = first.calls().remove(0);
    assert!(second.calls().is_empty());
    let link = second.spans().remove(0).links.remove(0);
    assert_eq!(
        (link.trace_id, link.span_id),
        (fetch.trace_id, fetch.span_id)
    );
}

#[tokio::test]
async fn who_leaves_takes_the_fetch_from_nobody() {
    let stand = Stand::open().await;
    let (provider, _) = stand.provider().await;
    let gate = Arc::new(Semaphore::new(0));
    let gated = Act::Gated(Arc::clone(&gate), jwks(&["b"]).to_string());
    stand.set("/jwks", gated);

    let leading = Arc::clone(&provider);
    let leading = tokio::spawn(async move { knows(&leading, "b").await });
    stand.asked("/jwks", 2).await;
    let sharing = Arc::clone(&provider);
    let sharing = tokio::spawn(async move { knows(&sharing, "b").await });
    leading.abort();
    assert!(leading.await.unwrap_err().is_cancelled());
    gate.add_permits(1);

    assert!(sharing.await.unwrap());
    assert_eq!(stand.heard("/jwks").len(), 2);
}

#[tokio::test]
async fn whatever_a_provider_answers_it_is_refused_within_its_time() {
    let stand = Stand::open().await;
    let say = |status, head, body: &str| Act::Say(status, head, body.to_owned());
    let whole = stand.metadata().to_string();
    let mut other = stand.metadata();
    other["issuer"] = json!("https://id.example.com");
    let acts = [
        (Act::Hang, true),
        (Act::Close, true),
        (Act::Drip, true),
        (Act::Half(whole.clone()), true),
        (say(500, "", &whole), true),
        (say(429, "retry-after: 1\r\n", &whole), true),
        (Act::Endless, false),
        (say(302, "location: /other\r\n", &whole), false),
        (say(204, "", ""), false),
        (say(200, "content-type: text/html\r\n", "<html>"), false),
        (say(200, "", &other.to_string()), false),
    ];
    for (number, (act, is_temporary)) in acts.into_iter().enumerate() {
        stand.set(DISCOVERY, act);
        let provider = Provider::start(stand.settings());
        let began = crate::clock::instant();
        let error = provider.metadata(None).await.unwrap_err();
        assert_eq!(error.is_temporary(), is_temporary, "{number}: {error}");
        assert!(began.elapsed() < Duration::from_secs(3), "{number}");
        assert!(provider.lacks().is_some());
    }
}

#[tokio::test]
async fn a_document_is_what_it_says_whatever_its_content_type() {
    let stand = Stand::open().await;
    let kind = "content-type: application/octet-stream\r\n";
    stand.set("/jwks", Act::Say(200, kind, jwks(&["a"]).to_string()));
    let (provider, _) = stand.provider().await;
    assert!(knows(&provider, "a").await);
}

#[tokio::test]
async fn a_set_without_keys_does_not_replace_one_that_has() {
    let stand = Stand::open().await;
    let (provider, counts) = stand.provider().await;
    stand.keys(&[]);

    assert!(!knows(&provider, "b").await);

    assert!(knows(&provider, "a").await);
    let bad = counts.calls(ProviderCall::Jwks, ProviderOutcome::BadAnswer);
    assert_eq!(bad, 1);
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, jwks(&["a"]).to_string()).unwrap();
    let stand = Stand::open().await;
    let provider = Provider::start(ProviderSettings {
        keys: KeySource::File(path.clone()),
        ..stand.settings()
    });
    provider.came().await;
    assert!(knows(&provider, "a").await);
    assert_eq!(provider.lacks(), None);

    // Damaged: what is known stays.
    std::fs::write(&path, "{").unwrap();
    // It is looked at once a second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(knows(&provider, "a").await);

    std::fs::write(&path, jwks(&["b", "c"]).to_string()).unwrap();
    let mut found = false;
    for _ in 0..100 {
        found = knows(&provider, "b").await;
        if found {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(found && !knows(&provider, "a").await);
    // With a file nobody is asked for anything.
    assert!(stand.heard(DISCOVERY).is_empty() && stand.heard("/jwks").is_empty());
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_of_an_issuer() {
    let stand = Stand::open().await;
    let metrics = Metrics::new();
    let start = |settings: ProviderSettings, before: Option<&Providers>| {
        Providers::start([settings].into_iter(), &metrics, before)
    };
    let settings = stand.settings();
    let first = start(settings.clone(), None);
    let known = first.find(&settings).unwrap();
    known.came().await;
    stand.down(true);

    let same = start(settings.clone(), Some(&first));
    assert!(Arc::ptr_eq(&same.find(&settings).unwrap(), &known));

    let slower = ProviderSettings {
        timeout: Duration::from_secs(1),
        ..settings.clone()
    };
    let other = start(slower.clone(), Some(&first)).find(&slower).unwrap();
    assert!(!Arc::ptr_eq(&other, &known));
    assert!(knows(&other, "a").await);

    // Keys from elsewhere are other keys.
    let elsewhere = ProviderSettings {
        keys: KeySource::Url(format!("{}/other", stand.issuer()).parse().unwrap()),
        ..settings
    };
    let other = start(elsewhere.clone(), Some(&first));
    assert!(other.find(&elsewhere).unwrap().lacks().is_some());
}

#[tokio::test]
async fn the_metrics_page_tells_how_a_provider_stands() {
    let stand = Stand::open().await;
    let metrics = Metrics::new();
    let settings = stand.settings();
    let providers = Providers::start([settings.clone()].into_iter(), &metrics, None);
    providers.find(&settings).unwrap().came().await;
    let page = || {
        let mut page = Exposition::new(TextFormat::OpenMetrics);
        metrics.render(&mut page);
        page.finish()
    };

    let labels = format!("issuer=\"{}\"", stand.issuer());
    let text = page();
    for line in [
        format!("edgespan_provider_up{{{labels}}} 1"),
        format!("edgespan_provider_keys{{{labels}}} 1"),
        format!("edgespan_provider_calls_total{{{labels},call=\"jwks\",outcome=\"ok\"}} 1"),
        format!("edgespan_provider_key_misses_total{{{labels},outcome=\"fetched\"}} 0"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains(&format!(
        "edgespan_provider_keys_age_seconds{{{labels}}} 0."
    )));

    drop(providers);
    assert!(!page().contains(&format!("edgespan_provider_up{{{labels}}}")));
}
