//! Where tokens are taken from, and what becomes of them there.

use super::*;

#[tokio::test]
async fn a_token_in_a_header_of_its_own_a_cookie_or_the_query_goes_no_further_where_it_is_not_to() {
    let policy = "{api: {jwt: {issuer: '${issuer}', audiences: orders, forward: false, \
                   from: [authorization, {header: Cf-Access-Jwt-Assertion}, \
                   {cookie: CF_Authorization}, {query: access_token}]}}}";
    let scene = scene(policy, ROUTE).await;
    let token = scene.token(json!({}));
    let to = scene.proxy.address;

    let replies = [
        scene.get("/", &token).await,
        get(to, "/", &[("cf-access-jwt-assertion", &token)]).await,
        get(
            to,
            "/",
            &[("cookie", &format!("a=1; CF_Authorization={token}"))],
        )
        .await,
        get(to, &format!("/?a=1&access_token={token}"), &[]).await,
    ];

    for reply in replies {
        assert_eq!(reply.status, 200);
    }
    let received = format!("{:?}", scene.origin.received());
    assert!(!received.contains(&token), "{received}");
    let spans = format!("{:?}", scene.collector.wait_for(8).await);
    assert!(!spans.contains(&token), "{spans}");
}

#[tokio::test]
async fn two_tokens_and_two_fields_of_authorization_are_refused() {
    let policy = "{api: {jwt: {issuer: '${issuer}', audiences: orders, \
                   from: [authorization, {cookie: t}]}}}";
    let scene = scene(policy, ROUTE).await;
    let token = scene.token(json!({}));
    let (bearer, cookie) = (format!("Bearer {token}"), format!("t={token}"));
    for headers in [
        [
            ("authorization", bearer.as_str()),
            ("authorization", bearer.as_str()),
        ],
        [
            ("authorization", bearer.as_str()),
            ("authorization", "Basic YTpi"),
        ],
        [
            ("authorization", bearer.as_str()),
            ("cookie", cookie.as_str()),
        ],
    ] {
        let reply = get(scene.proxy.address, "/", &headers).await;
        assert_eq!(reply.status, 401);
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("error=\"invalid_request\""),
            "{challenge}"
        );
    }
    assert!(scene.origin.received().is_empty());
}

/// "Optional" is: by token, or from anywhere. What a token does not prove, an address does not.
#[tokio::test]
async fn cve_2021_21378_an_optional_token_of_an_unknown_issuer_is_refused_and_names_nobody() {
    let policies = "{api: {jwt: {issuer: '${issuer}', audiences: orders}}, \
                     anywhere: {ip: [0.0.0.0/0]}}";
    let route = "routes: [{name: all, match: {prefix: /}, upstream: origin, auth: [api, anywhere]}]\n\
                 identity: {headers: {x-user: subject}}";
    let scene = scene(policies, route).await;
    let to = scene.proxy.address;

    assert_eq!(get(to, "/", &[("x-user", "root")]).await.status, 200);
    assert_eq!(scene.get("/", &scene.token(json!({}))).await.status, 200);
    let without = {
        let mut claims = scene.issuer.claims(json!({}));
        claims.as_object_mut().unwrap().remove("iss");
        scene.key.sign(&claims)
    };
    for token in [
        scene.token(json!({"iss": "https://other.example.com"})),
        scene.token(json!({"exp": now() - 60})),
        scene.token(json!({"aud": "x"})),
        without,
        "random".to_owned(),
        "a.b.c".to_owned(),
    ] {
        let reply = scene.get("/", &token).await;
        assert_eq!(reply.status, 401);
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    let received = scene.origin.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].all("x-user"), Vec::<String>::new());
    assert_eq!(received[1].one("x-user"), "ada");
}
