//! Issuers of tokens that are away, come back, change their keys, and are flooded.

use crate::support::client::{Reply, get};
use crate::support::origin::Origin;
use crate::support::provider::provider;
use crate::support::proxy::{Proxy, Setup};
use edgespan::idp::{Endpoint, Faults, IdentityProvider, Trouble};
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

async fn guarded(provider: &IdentityProvider, origin: &Origin) -> Proxy {
    let text = "\
auth: {api: {jwt: {issuer: '${issuer}', audiences: api, timeout: 500ms}}}
upstreams: {app: {endpoints: ['http://${origin}']}}
routes:
  - {name: all, match: {prefix: /}, upstream: app, auth: api}
  - {name: open, match: {path: /open}, upstream: app, auth: off}
";
    let setup = Setup::new(text).origin(origin);
    setup.fill("issuer", provider.issuer()).start().await
}

fn down(provider: &IdentityProvider) {
    let endpoints = vec![
        (Endpoint::Discovery, Trouble::Down),
        (Endpoint::Keys, Trouble::Down),
    ];
    provider.set_faults(Faults {
        endpoints,
        ..Faults::default()
    });
}

fn token(provider: &IdentityProvider, header: Map<String, Value>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({
        "iss": provider.issuer(),
        "aud": "api",
        "sub": "ada",
        "iat": now.as_secs(),
        "exp": now.as_secs() + 600,
    });
    let token = provider.sign(header, &claims).unwrap();
    format!("Bearer {token}")
}

async fn ask(proxy: &Proxy, token: &str) -> Reply {
    get(proxy.address, "/", &[("authorization", token)]).await
}

async fn ready(proxy: &Proxy) -> (u16, String) {
    let reply = get(proxy.admin, "/ready", &[("host", "localhost")]).await;
    (reply.status.as_u16(), reply.text())
}

async fn until_ready(proxy: &Proxy) -> String {
    let patience = Duration::from_secs(30);
    let waited = tokio::time::timeout(patience, async {
        loop {
            if let (200, text) = ready(proxy).await {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("ready at last")
}

#[tokio::test]
async fn a_provider_that_is_away_at_the_start_costs_its_own_tokens_alone_and_comes_back() {
    let (provider, origin) = (provider().await, Origin::start().await);
    let token = token(&provider, Map::new());
    down(&provider);
    let proxy = guarded(&provider, &origin).await;

    assert_eq!(ask(&proxy, &token).await.status, 503);
    assert_eq!(get(proxy.address, "/open", &[]).await.status, 200);
    let missing = format!("missing: the keys of {}\n", provider.issuer());
    let (status, text) = ready(&proxy).await;
    assert_eq!((status, text), (503, format!("starting\n{missing}")));
    // Not for ever: other routes are served.
    assert_eq!(until_ready(&proxy).await, format!("ready\n{missing}"));

    provider.set_faults(Faults::default());
    let came = tokio::time::timeout(Duration::from_secs(5), async {
        while ask(&proxy, &token).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    came.await.expect("it is found within seconds");
    assert_eq!(ready(&proxy).await, (200, "ready\n".to_owned()));
}

#[tokio::test]
async fn a_provider_that_goes_away_later_is_missed_by_nobody_whose_key_is_known() {
    let (provider, origin) = (provider().await, Origin::start().await);
    let proxy = guarded(&provider, &origin).await;
    assert_eq!(until_ready(&proxy).await, "ready\n");
    down(&provider);

    assert_eq!(ask(&proxy, &token(&provider, Map::new())).await.status, 200);
    let mut header = Map::new();
    header.insert("kid".to_owned(), json!("nobody's"));
    assert_eq!(ask(&proxy, &token(&provider, header)).await.status, 401);
    assert_eq!(ask(&proxy, &token(&provider, Map::new())).await.status, 200);
}

#[tokio::test]
async fn a_rotation_of_keys_is_noticed_by_nobody() {
    let (provider, origin) = (provider().await, Origin::start().await);
    let proxy = guarded(&provider, &origin).await;
    until_ready(&proxy).await;
    let old = token(&provider, Map::new());
    assert_eq!(ask(&proxy, &old).await.status, 200);

    provider.rotate_keys(true).unwrap();

    assert_eq!(ask(&proxy, &token(&provider, Map::new())).await.status, 200);
    assert_eq!(ask(&proxy, &old).await.status, 200);
    assert_eq!(provider.count(Endpoint::Keys), 2);
}

#[tokio::test]
async fn a_flood_of_tokens_with_invented_keys_has_the_keys_fetched_once() {
    let (provider, origin) = (provider().await, Origin::start().await);
    let proxy = guarded(&provider, &origin).await;
    until_ready(&proxy).await;
    let before = provider.count(Endpoint::Keys);

    for batch in 0..10 {
        let asked = (0..20).map(|number| {
            let mut header = Map::new();
            header.insert("kid".to_owned(), json!(format!("{batch}-{number}")));
            let (token, address) = (token(&provider, header), proxy.address);
            tokio::spawn(async move { get(address, "/", &[("authorization", &token)]).await })
        });
        for one in asked.collect::<Vec<_>>() {
            assert_eq!(one.await.unwrap().status, 401);
        }
    }

    assert_eq!(provider.count(Endpoint::Keys) - before, 1);
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
    let fetched = format!(
        "edgespan_provider_key_misses_total{{issuer=\"{}\",outcome=\"fetched\"}} 1\n",
        provider.issuer()
    );
    assert!(page.text().contains(&fetched));
}
