//! Clients by their tokens, on real sockets.

mod issuer;
mod places;
mod requirements;

use crate::support::client::{Reply, get};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use issuer::{Issuer, Key, now};
use serde_json::json;
use std::sync::Arc;
use tempfile::TempDir;

/// A proxy before an origin, an issuer, and a collector.
struct Scene {
    origin: Origin,
    collector: Collector,
    issuer: Issuer,
    key: Key,
    proxy: Proxy,
}

async fn scene(auth: &str, rest: &str) -> Scene {
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]).await;
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
         auth: {auth}\n{rest}\n"
    ))
    .origin(&origin)
    .fill("issuer", &issuer.url())
    .export_to(&collector)
    .start()
    .await;
    Scene {
        origin,
        collector,
        issuer,
        key,
        proxy,
    }
}

const POLICY: &str = "{api: {jwt: {issuer: '${issuer}', audiences: orders}}}";
const ROUTE: &str = "routes: [{name: all, match: {prefix: /}, upstream: origin, auth: api}]\n\
                     identity: {headers: {x-user: subject, x-unit: claims.org.unit, x-tags: claims.org.tags}}";

impl Scene {
    fn token(&self, changes: serde_json::Value) -> String {
        self.key.sign(&self.issuer.claims(changes))
    }

    async fn get(&self, target: &str, token: &str) -> Reply {
        let field = format!("Bearer {token}");
        get(self.proxy.address, target, &[("authorization", &field)]).await
    }
}

#[tokio::test]
async fn a_token_lets_its_client_pass_with_its_claims_and_is_verified_once() {
    let scene = scene(POLICY, ROUTE).await;
    let token = scene.token(json!({"org": {"unit": "ops", "tags": ["a", "b"]}}));

    let first = scene.get("/", &token).await;
    let one = scene.collector.next_edges().await;
    let second = scene.get("/", &token).await;
    let other = scene.collector.next_edges().await;

    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    let received = scene.origin.received();
    assert_eq!(received[0].one("x-user"), "ada");
    assert_eq!(received[0].one("x-unit"), "ops");
    assert_eq!(received[0].one("x-tags"), "a,b");
    assert_eq!(received[0].one("authorization"), format!("Bearer {token}"));
    assert_eq!(scene.issuer.asked("/jwks"), 1);
    let (one, other) = (one.decision(), other.decision());
    assert_eq!(one.text("edgespan.auth.cache"), Some("miss"));
    assert_eq!(other.text("edgespan.auth.cache"), Some("hit"));
    assert_eq!(other.text("edgespan.auth.decision"), Some("allow"));
}

#[tokio::test]
async fn a_bad_token_is_refused_and_neither_answer_nor_spans_nor_origin_get_to_see_it() {
    let scene = scene(POLICY, ROUTE).await;
    let cases = [
        (
            scene.token(json!({"exp": now() - 60})),
            "expired",
            "the token has expired",
        ),
        (
            scene.token(json!({"aud": "billing"})),
            "aud",
            "a claim of the token is missing or wrong",
        ),
        (
            scene.token(json!({"iss": "http://127.0.0.1:1"})),
            "unknown_issuer",
            "the token is of no issuer known here",
        ),
        (
            Key::new("one").sign(&scene.issuer.claims(json!({}))),
            "signature",
            "the token is not signed by its issuer",
        ),
        (
            "opaque-text".to_owned(),
            "unknown_issuer",
            "the token is of no issuer known here",
        ),
    ];
    for (token, word, description) in cases {
        let reply = scene.get("/", &token).await;
        let edges = scene.collector.next_edges().await;

        assert_eq!(reply.status, 401, "{word}");
        let challenge = reply.header("www-authenticate").unwrap();
        let wanted = format!(
            "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"{description}\""
        );
        assert_eq!(challenge, wanted);
        assert_eq!(
            edges.decision().text("edgespan.auth.token.error"),
            Some(word)
        );
        let server = edges.server();
        assert_eq!(server.text("edgespan.auth.reason"), Some("bad_credential"));
        let told = format!("{edges:?} {reply:?}");
        let parts: Vec<&str> = token.split('.').collect();
        for part in parts {
            assert!(!told.contains(part), "{word}: {told}");
        }
    }
    assert!(scene.origin.received().is_empty());
}

#[tokio::test]
async fn without_a_token_there_is_a_challenge_and_no_error() {
    let scene = scene(POLICY, ROUTE).await;

    let reply = get(scene.proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 401);
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Bearer realm=\"api\"")
    );
}

#[tokio::test]
async fn a_key_that_comes_later_is_fetched_once_for_all_and_the_old_one_serves_on() {
    let scene = scene(POLICY, ROUTE).await;
    assert_eq!(scene.get("/", &scene.token(json!({}))).await.status, 200);
    let fresh = Key::new("two");
    scene.issuer.publish(&[&scene.key, &fresh]);

    let scene = Arc::new(scene);
    let claims = |n: u32| scene.issuer.claims(json!({"n": n}));
    let tokens: Vec<String> = (0..10).map(|n| fresh.sign(&claims(n))).collect();
    let all = tokens.iter().map(|token| scene.get("/", token));
    let replies = futures_util::future::join_all(all).await;

    for reply in replies {
        assert_eq!(reply.status, 200);
    }
    assert_eq!(
        scene.issuer.asked("/jwks"),
        2,
        "once at the start, once for all ten"
    );
    assert_eq!(
        scene.get("/", &scene.token(json!({"n": 99}))).await.status,
        200
    );
}

#[tokio::test]
async fn an_unknown_key_does_not_make_an_issuer_busy() {
    let scene = scene(POLICY, ROUTE).await;
    assert_eq!(scene.get("/", &scene.token(json!({}))).await.status, 200);
    for n in 0..5 {
        let foreign = Key::new("evil").sign(&scene.issuer.claims(json!({"n": n})));
        assert_eq!(scene.get("/", &foreign).await.status, 401);
    }
    assert!(scene.issuer.asked("/jwks") <= 2, "and then the cool-down");
}

#[tokio::test]
async fn keys_may_stand_in_a_file() {
    let key = Key::new("one");
    let folder = TempDir::new().unwrap();
    let set = json!({"keys": [key.jwk()]}).to_string();
    std::fs::write(folder.path().join("keys.json"), set).unwrap();
    let origin = Origin::start().await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         auth: {api: {jwt: {issuer: 'joe', audiences: [orders], jwks: {file: '${folder}/keys.json'}}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin, auth: api}]\n",
    )
    .origin(&origin)
    .fill("folder", &folder.path().display().to_string())
    .start()
    .await;
    let claims = json!({"iss": "joe", "aud": "orders", "exp": now() + 60});
    let field = format!("Bearer {}", key.sign(&claims));

    let reply = get(proxy.address, "/", &[("authorization", &field)]).await;

    assert_eq!(reply.status, 200);
}

const OPAQUE: &str = "{api: {jwt: {issuer: '${issuer}', audiences: orders, \
                      introspection: {client_id: edge, client_secret: hunter2}}}}";

#[tokio::test]
async fn an_opaque_token_is_asked_about_once_and_both_answers_count_for_a_while() {
    let scene = scene(OPAQUE, ROUTE).await;
    scene
        .issuer
        .tell(json!({"active": true, "aud": "orders", "sub": "ada", "scope": "read"}));

    for _ in 0..3 {
        assert_eq!(scene.get("/", "opaque-1").await.status, 200);
    }
    assert_eq!(scene.issuer.asked("/introspect"), 1);
    assert_eq!(scene.origin.received()[0].one("x-user"), "ada");

    scene.issuer.tell(json!({"active": false}));
    for _ in 0..3 {
        let reply = scene.get("/", "opaque-2").await;
        assert_eq!(reply.status, 401);
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.contains("the token is not active"), "{challenge}");
    }
    assert_eq!(scene.issuer.asked("/introspect"), 2);

    scene.issuer.tell(json!({"active": true, "aud": "billing"}));
    assert_eq!(scene.get("/", "opaque-3").await.status, 401);
    scene.issuer.tell(json!({"sub": "ada", "aud": "orders"}));
    let reply = scene.get("/", "opaque-4").await;
    assert_eq!(reply.status, 503, "nobody could say");
    let spans = format!("{:?}", scene.collector.spans());
    assert!(
        !spans.contains("opaque-") && !spans.contains("hunter2"),
        "{spans}"
    );
}

#[tokio::test]
async fn while_its_issuer_is_away_a_client_is_not_let_pass() {
    let origin = Origin::start().await;
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://${origin}']}}\n\
         auth: {api: {jwt: {issuer: 'http://127.0.0.1:1', audiences: orders, timeout: 1s}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin, auth: api}]\n",
    )
    .origin(&origin)
    .start()
    .await;
    let claims = json!({"iss": "http://127.0.0.1:1", "aud": "orders", "exp": now() + 60});
    let field = format!("Bearer {}", Key::new("one").sign(&claims));

    let reply = get(proxy.address, "/", &[("authorization", &field)]).await;

    assert_eq!(reply.status, 503);
    assert!(origin.received().is_empty());
}
