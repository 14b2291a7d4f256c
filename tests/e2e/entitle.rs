//! `allow` after the policies, and the assertion that origins get.

use crate::support::client::{get, request, send};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
use serde_json::Value;
use std::path::Path;

const NET: &str = "auth: {net: {ip: [127.0.0.0/8]}}\n";

/// One route with these keys, and further lines.
fn guarded(origin: &Origin, route: &str, lines: &str) -> Setup {
    Setup::new(&format!(
        "upstreams: {{origin: {{service: content, endpoints: ['http://${{origin}}']}}}}\n\
         {NET}{lines}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, {route}}}]\n"
    ))
    .origin(origin)
}

#[tokio::test]
async fn what_an_expression_says_is_done_and_stands_on_the_span() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let allow = "auth: net, allow: \"identity.proof == 'ip' && request.headers['x-a'] == '1'\"";
    let proxy = guarded(&origin, allow, "")
        .export_to(&collector)
        .start()
        .await;

    let passed = get(proxy.address, "/", &[("x-a", "1")]).await;
    let allowed = collector.next_edges().await;
    let refused = get(proxy.address, "/", &[("x-a", "2")]).await;
    let failed = get(proxy.address, "/", &[]).await;

    assert_eq!(
        (passed.status, refused.status, failed.status),
        (
            200.try_into().unwrap(),
            403.try_into().unwrap(),
            403.try_into().unwrap()
        )
    );
    assert_eq!(
        allowed.server().text("edgespan.auth.decision"),
        Some("allow")
    );
    assert_eq!(origin.received().len(), 1);
    let servers: Vec<_> = collector
        .wait_for(4)
        .await
        .into_iter()
        .filter(|span| span.is_server())
        .collect();
    let of = |reason: &str| {
        let found = servers
            .iter()
            .find(|span| span.text("edgespan.auth.reason") == Some(reason));
        found.unwrap_or_else(|| panic!("no span says {reason}"))
    };
    assert_eq!(of("not_allowed").text("edgespan.auth.allow.error"), None);
    assert_eq!(
        of("allow_failed").text("edgespan.auth.allow.error"),
        Some("missing")
    );
}

#[tokio::test]
async fn an_expression_needs_no_policy() {
    let origin = Origin::start().await;
    let proxy = guarded(&origin, "allow: request.method == 'GET'", "")
        .start()
        .await;

    let read = get(proxy.address, "/", &[]).await;
    let written = send(proxy.address, request("DELETE", "/", &[])).await;

    assert_eq!((read.status.as_u16(), written.status.as_u16()), (200, 403));
    assert_eq!(origin.received().len(), 1);
}

#[tokio::test]
async fn a_preflight_that_passes_is_not_held_against_an_expression() {
    let origin = Origin::start().await;
    let route = "auth: net, auth_preflights: pass, allow: claims.verified";
    let proxy = guarded(&origin, route, "").start().await;
    let headers = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
    ];

    let preflight = send(proxy.address, request("OPTIONS", "/", &headers)).await;
    let other = send(proxy.address, request("OPTIONS", "/", &[])).await;

    assert_eq!(
        (preflight.status.as_u16(), other.status.as_u16()),
        (200, 403)
    );
}

/// A key's file, and how an assertion names it.
fn key(folder: &Path, name: &str, algorithm: &'static SignatureAlgorithm) -> String {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, pair.serialize_pem()).unwrap();
    format!("{{file: {}}}", file.display())
}

fn signing(keys: &[&str]) -> String {
    let keys = keys.join(", ");
    format!("assertion: {{issuer: 'https://edge.example', keys: [{keys}]}}")
}

/// What an origin does with a request: fetch the keys, verify, read.
async fn verified(proxy: &Proxy, token: &str, audience: &str) -> Option<Value> {
    let published = get(proxy.address, "/.well-known/edgespan/jwks.json", &[]).await;
    let set: JwkSet = serde_json::from_value(published.json()).unwrap();
    let jwk = set.find(&decode_header(token).ok()?.kid?)?;
    let algorithm: Algorithm = jwk.common.key_algorithm?.to_string().parse().ok()?;
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[audience]);
    validation.set_issuer(&["https://edge.example"]);
    validation.validate_nbf = true;
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let data = decode::<Value>(token, &key, &validation).ok()?;
    Some(data.claims)
}

#[tokio::test]
async fn an_origin_verifies_who_asks_and_a_client_cannot_say_it_itself() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let keys = key(folder.path(), "key", &PKCS_ECDSA_P256_SHA256);
    let proxy = guarded(&origin, "auth: net", &signing(&[&keys]))
        .start()
        .await;
    let spoofed = [
        ("x-edgespan-assertion", "forged"),
        ("X_Edgespan_Assertion", "forged"),
        ("x-edgespan_assertion", "forged"),
    ];

    get(proxy.address, "/", &spoofed).await;

    let received = origin.sole();
    let token = received.one("x-edgespan-assertion");
    let claims = verified(&proxy, &token, "content").await.unwrap();
    assert_eq!(claims["proof"], "ip");
    assert_eq!(claims["policy"], "net");
    assert_eq!(verified(&proxy, &token, "billing").await, None);
    let others = ["x_edgespan_assertion", "x-edgespan_assertion"];
    assert!(others.iter().all(|name| received.all(name).is_empty()));
}

#[tokio::test]
async fn a_route_without_assertion_gives_none_and_lets_none_through() {
    let folder = tempfile::tempdir().unwrap();
    for route in ["auth: net, assertion: off", "auth: off"] {
        let origin = Origin::start().await;
        let keys = key(folder.path(), "key", &PKCS_ED25519);
        let proxy = guarded(&origin, route, &signing(&[&keys])).start().await;

        get(proxy.address, "/", &[("x-edgespan-assertion", "forged")]).await;

        let sent = origin.sole().all("x-edgespan-assertion");
        assert!(sent.is_empty(), "{route}: {sent:?}");
    }
}

#[tokio::test]
async fn keys_are_published_on_every_listener_whatever_its_routes_say() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let keys = [
        key(folder.path(), "first", &PKCS_ECDSA_P256_SHA256),
        key(folder.path(), "second", &PKCS_ED25519),
    ];
    let lines = format!(
        "listeners: {{web: {{address: '127.0.0.1:0'}}, other: {{address: '127.0.0.1:0'}}}}\n{}",
        signing(&[&keys[0], &keys[1]])
    );
    let proxy = guarded(&origin, "auth: net, allow: 'false'", &lines)
        .export_to(&collector)
        .start()
        .await;
    let path = "/.well-known/edgespan/jwks.json";

    let first = get(proxy.address, path, &[]).await;
    let second = get(proxy.listener("other"), path, &[]).await;
    let head = send(proxy.address, request("HEAD", path, &[])).await;
    let post = send(proxy.address, request("POST", path, &[])).await;
    let below = get(proxy.address, "/.well-known/edgespan/", &[]).await;

    assert_eq!(first.status, 200);
    assert_eq!(
        first.header("content-type"),
        Some("application/jwk-set+json")
    );
    assert_eq!(first.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(first.header("access-control-allow-origin"), Some("*"));
    let published = first.json();
    let kinds: Vec<&str> = published["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kty"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["EC", "OKP"]);
    assert!(published["keys"][0].get("d").is_none());
    assert_eq!(second.text(), first.text());
    assert_eq!((head.status.as_u16(), head.text().as_str()), (200, ""));
    assert_eq!(post.status, 405);
    assert_eq!(post.header("allow"), Some("GET, HEAD"));
    assert_eq!(below.status, 403);
    assert!(origin.received().is_empty());
    let spans = collector.wait_for(5).await;
    assert!(spans.iter().filter(|span| span.is_server()).count() >= 5);
}

#[tokio::test]
async fn a_host_that_asks_for_a_decision_hands_the_assertion_on_and_finds_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let keys = key(folder.path(), "key", &PKCS_ED25519);
    let listener = "{address: '127.0.0.1:0', mode: decision, trusted_proxies: [127.0.0.0/8]}";
    let proxy = Setup::new(&format!(
        "listeners: {{web: {listener}}}\n{NET}{}\n\
         routes: [{{name: all, match: {{prefix: /}}, auth: net, \
         allow: \"request.path == '/in'\"}}]\n",
        signing(&[&keys])
    ))
    .start()
    .await;
    let asking = |path: &'static str| {
        [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "app.example.com"),
            ("x-forwarded-uri", path),
            ("x-forwarded-for", "127.0.0.9"),
            ("x-edgespan-assertion", "forged"),
        ]
    };

    let inside = get(proxy.address, "/auth/traefik", &asking("/in")).await;
    let outside = get(proxy.address, "/auth/traefik", &asking("/out")).await;

    assert_eq!(
        (inside.status.as_u16(), outside.status.as_u16()),
        (200, 403)
    );
    let token = inside.header("x-edgespan-assertion").unwrap();
    assert!(verified(&proxy, token, "all").await.is_some());
    assert_eq!(get(proxy.address, "/nowhere", &[]).await.status, 404);
}

#[tokio::test]
async fn without_assertions_the_path_of_the_keys_is_any_path() {
    let origin = Origin::start().await;
    let proxy = guarded(&origin, "auth: net", "").start().await;

    let reply = get(proxy.address, "/.well-known/edgespan/jwks.json", &[]).await;

    assert_eq!(reply.status, 200);
    assert_eq!(origin.received().len(), 1);
}

#[tokio::test]
async fn a_rotated_key_signs_after_a_reload_and_the_old_one_still_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let old = key(folder.path(), "old", &PKCS_ECDSA_P256_SHA256);
    let new = key(folder.path(), "new", &PKCS_ED25519);
    let setup = |keys: &[&str]| guarded(&origin, "auth: net", &signing(keys));
    let mut proxy = setup(&[&old, &new]).start().await;
    let token = |at: usize| origin.received()[at].one("x-edgespan-assertion");

    get(proxy.address, "/", &[]).await;
    proxy.reload(setup(&[&new, &old])).await.unwrap();
    get(proxy.address, "/", &[]).await;

    let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
    assert_ne!(kid(&token(0)), kid(&token(1)));
    assert!(verified(&proxy, &token(0), "content").await.is_some());
    assert!(verified(&proxy, &token(1), "content").await.is_some());
    proxy.reload(setup(&[&new])).await.unwrap();
    assert_eq!(verified(&proxy, &token(0), "content").await, None);
}

#[tokio::test]
async fn a_copy_for_another_service_carries_no_assertion_that_its_origin_would_take() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, shadow) = (Origin::start().await, Origin::start().await);
    let keys = key(folder.path(), "key", &PKCS_ED25519);
    let proxy = Setup::new(&format!(
        "auth: {{net: {{ip: [127.0.0.0/8]}}}}\n{}\nupstreams:\n  \
         origin: {{service: orders, endpoints: ['http://${{origin}}']}}\n  \
         shadow: {{service: shadow, endpoints: ['http://${{shadow}}']}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, auth: net, \
         mirror: {{upstream: shadow}}}}]\n",
        signing(&[&keys])
    ))
    .origin(&origin)
    .fill("shadow", &shadow.address.to_string())
    .start()
    .await;

    get(proxy.address, "/", &[]).await;

    until("the copy", || shadow.received().len() == 1).await;
    let (own, copy) = (origin.sole(), shadow.sole());
    let (own, copy) = (
        own.one("x-edgespan-assertion"),
        copy.one("x-edgespan-assertion"),
    );
    assert!(verified(&proxy, &own, "orders").await.is_some());
    assert!(verified(&proxy, &copy, "orders").await.is_none());
    assert!(verified(&proxy, &copy, "shadow").await.is_some());
}
