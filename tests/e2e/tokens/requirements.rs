//! What else has to hold of a client, on a policy and on a route.

use super::*;

const ROUTES: &str = "routes:\n\
    - {name: read, match: {prefix: /read}, upstream: origin, \
       auth: [{policy: api, require: {scopes: [orders.read]}}]}\n\
    - {name: pay, match: {prefix: /pay}, upstream: origin, \
       auth: [{policy: api, require: {scopes: [orders.write], acr: [gold]}}]}\n\
    - {name: ops, match: {prefix: /ops}, upstream: origin, \
       auth: [{policy: api, require: {groups: [ops], emails: ['@example.com']}}]}\n\
    - {name: all, match: {prefix: /}, upstream: origin, auth: api}\n";

/// CVE-2026-33496's shape: what one route let pass says nothing on another.
#[tokio::test]
async fn the_same_token_is_held_to_what_each_route_requires() {
    let scene = scene(POLICY, ROUTES).await;
    let token = scene.token(json!({"scope": "orders.read"}));

    for _ in 0..2 {
        assert_eq!(scene.get("/", &token).await.status, 200);
        assert_eq!(scene.get("/read", &token).await.status, 200);
        let refused = scene.get("/pay", &token).await;
        assert_eq!(refused.status, 403);
        assert_eq!(
            refused.header("www-authenticate"),
            Some(
                "Bearer realm=\"api\", error=\"insufficient_scope\", \
                 error_description=\"the token is not good for this\", scope=\"orders.write\""
            )
        );
    }
    assert_eq!(scene.issuer.asked("/jwks"), 1);
}

#[tokio::test]
async fn a_login_that_is_too_weak_is_told_which_one_would_do() {
    let scene = scene(POLICY, ROUTES).await;
    let weak = scene.token(json!({"scope": "orders.write", "acr": "silver"}));
    let strong = scene.token(json!({"scope": "orders.write", "acr": "gold"}));

    let refused = scene.get("/pay", &weak).await;
    let edges = scene.collector.next_edges().await;

    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("www-authenticate"),
        Some(
            "Bearer realm=\"api\", error=\"insufficient_user_authentication\", \
             error_description=\"a stronger login is required\", acr_values=\"gold\""
        )
    );
    assert_eq!(edges.server().text("edgespan.auth.reason"), Some("step_up"));
    assert_eq!(edges.decision().text("edgespan.auth.lacks"), Some("acr"));
    assert_eq!(scene.get("/pay", &strong).await.status, 200);
}

#[tokio::test]
async fn groups_and_verified_addresses_are_looked_at() {
    let scene = scene(POLICY, ROUTES).await;
    let of = |groups: &[&str], email: &str, verified: bool| {
        scene.token(json!({"groups": groups, "email": email, "email_verified": verified}))
    };
    let address = "ada@example.com";
    for (token, status) in [
        (of(&["ops"], address, true), 200),
        (of(&["dev"], address, true), 403),
        (of(&["ops"], address, false), 403),
        (of(&["ops"], "ada@badexample.com", true), 403),
        (of(&["ops"], "ada@evil.org@example.com", true), 403),
    ] {
        assert_eq!(scene.get("/ops", &token).await.status, status);
    }
    let spans = format!("{:?}", scene.collector.spans());
    assert!(!spans.contains(address), "{spans}");
}

#[tokio::test]
async fn a_policy_requires_beside_what_its_routes_do() {
    let policy = "{api: {jwt: {issuer: '${issuer}', audiences: orders, \
                   require: {scopes: [edge]}}}}";
    let scene = scene(policy, ROUTES).await;

    let both = scene.token(json!({"scope": "edge orders.read"}));
    let one = scene.token(json!({"scope": "orders.read"}));

    assert_eq!(scene.get("/read", &both).await.status, 200);
    assert_eq!(scene.get("/read", &one).await.status, 403);
    let bare = get(scene.proxy.address, "/", &[]).await;
    let challenge = bare.header("www-authenticate");
    assert_eq!(challenge, Some("Bearer realm=\"api\", scope=\"edge\""));
}

#[tokio::test]
async fn a_span_tells_of_a_client_what_the_file_asks_for() {
    let route = "routes: [{name: all, match: {prefix: /}, upstream: origin, auth: api}]\n\
                 identity: {span_attributes: {app.roles: groups, app.unit: claims.org.unit, \
                 app.mail: claims.mail}}";
    let scene = scene(POLICY, route).await;
    let claims = json!({"groups": ["ops", "dev"], "org": {"unit": "a"}, "mail": "ada@example.com"});

    assert_eq!(scene.get("/", &scene.token(claims)).await.status, 200);

    let edges = scene.collector.next_edges().await;
    assert_eq!(edges.server().texts("app.roles"), ["ops", "dev"]);
    assert_eq!(edges.server().text("app.unit"), Some("a"));
    assert_eq!(edges.server().text("app.mail"), None);
}
