//! A client that proves who it is by a key of its own (`private_key_jwt`).

use super::{SITE, world_with};
use crate::support::provider::client_at;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgespan::idp::{Endpoint, Proof, Settings};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;

/// What would be registered at a provider.
fn jwk(pair: &KeyPair) -> Value {
    let (_, numbers) = RSAPublicKey::from_der(pair.public_key_raw()).unwrap();
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes.strip_prefix(&[0]).unwrap_or(bytes));
    json!({"kty": "RSA", "n": number(numbers.modulus), "e": number(numbers.exponent)})
}

#[tokio::test]
async fn an_rsa_key_logs_in_at_a_provider_that_knows_its_public_half() {
    for audience in ["issuer", "token_endpoint"] {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let further = format!(", client_key: {{env: CLIENT_KEY}}, client_audience: {audience}");
        // Left beforehand, too: that is a call to another endpoint with the same proof.
        let mut world = world_with(&further, Settings::default(), |setup| {
            setup.variable("CLIENT_KEY", &pair.serialize_pem())
        })
        .await;
        let mut client = client_at(SITE);
        client.proofs = vec![Proof::PrivateKeyJwt(jwk(&pair))];
        world.provider.register(client);

        let page = world.log_in("/a").await;

        assert_eq!(
            (page.status(), page.url.path()),
            (200, "/a"),
            "{}",
            page.text()
        );
        assert_eq!(world.provider.count(Endpoint::Pushed), 1);
    }
}

#[tokio::test]
async fn a_key_that_the_provider_does_not_know_logs_nobody_in() {
    let (own, other) = (
        KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
        KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
    );
    let further = ", client_key: {env: CLIENT_KEY}, pushed: never";
    let mut world = world_with(further, Settings::default(), |setup| {
        setup.variable("CLIENT_KEY", &own.serialize_pem())
    })
    .await;
    let mut client = client_at(SITE);
    client.proofs = vec![Proof::PrivateKeyJwt(jwk(&other))];
    world.provider.register(client);

    let page = world.log_in("/a").await;

    assert_eq!(page.url.path(), "/oauth2/callback");
    assert_eq!(page.status(), 502, "{}", page.text());
    assert!(world.origin.received().is_empty());
}
