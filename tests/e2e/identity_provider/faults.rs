//! What the provider does wrong on purpose, and what is counted of it.

use super::*;

#[tokio::test]
async fn each_fault_makes_a_token_that_does_not_verify_or_says_something_else() {
    let provider = started().await;
    for (fault, still_verifies) in [
        (BadIdToken::Nonce, true),
        (BadIdToken::NoNonce, true),
        (BadIdToken::Audience, false),
        (BadIdToken::Issuer, false),
        (BadIdToken::Expired, false),
        (BadIdToken::NoExpiry, false),
        (BadIdToken::AlgNone, false),
        (BadIdToken::HmacOfPublicKey, false),
        (BadIdToken::UnknownKey, false),
        (BadIdToken::Signature, false),
    ] {
        provider.set_faults(Faults {
            id_token: Some(fault.clone()),
            ..Faults::default()
        });
        let back = logged_in(&provider, "ada", &[]).await;
        let tokens = redeem(&provider, &back).await.json();
        let claims = verified(&provider, text(&tokens, "id_token"));
        assert_eq!(claims.is_some(), still_verifies, "{fault:?}");
        if let Some(claims) = claims {
            assert_ne!(claims["nonce"], "no", "{fault:?}");
        }
    }
}

#[tokio::test]
async fn endpoints_fail_as_they_are_told_and_calls_are_counted() {
    let provider = started().await;
    let status = Trouble::Status(http::StatusCode::INTERNAL_SERVER_ERROR);
    provider.set_faults(
        Faults::default()
            .with(Endpoint::Token, status)
            .with(Endpoint::Userinfo, Trouble::Slow(Duration::from_millis(50))),
    );
    assert_eq!(refresh(&provider, "x").await.status, 500);
    let trace = [(
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )];
    let began = tokio::time::Instant::now();
    let reply = send(provider.address(), request("GET", "/userinfo", &trace)).await;
    assert_eq!(reply.status, 401);
    assert!(began.elapsed() >= Duration::from_millis(50));

    assert_eq!(provider.count(Endpoint::Token), 1);
    let calls = provider.calls();
    assert_eq!(calls[1].trace("traceparent"), Some(trace[0].1));
    assert_eq!(calls[0].parameters, ["grant_type", "refresh_token"]);
}

#[tokio::test]
async fn keys_rotate_with_and_without_the_old_ones() {
    let provider = started().await;
    let old = provider.sign(Map::new(), &json!({"aud": "app"})).unwrap();
    let kids = |provider: &IdentityProvider| {
        let keys = provider.jwks();
        let keys = keys["keys"].as_array().unwrap().iter();
        keys.map(|key| text(key, "kid").to_owned())
            .collect::<Vec<_>>()
    };
    let first = kids(&provider);
    provider.rotate_keys(true).unwrap();
    assert_eq!(kids(&provider).len(), 2);
    assert!(kids(&provider).contains(&first[0]));
    provider.rotate_keys(false).unwrap();
    assert_eq!(kids(&provider).len(), 1);
    let header = old.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(text(&header, "kid"), first[0]);
}
