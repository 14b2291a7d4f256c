//! Promises of assertions, with a verifier that is not ours.

use super::{AssertionSettings, Assertions, KeyError, MintError, SigningKey};
use crate::auth::{Identity, Proof};
use http::{HeaderName, HeaderValue};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, decode_header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn key(algorithm: &'static rcgen::SignatureAlgorithm) -> Arc<SigningKey> {
    let pem = KeyPair::generate_for(algorithm).unwrap().serialize_pem();
    Arc::new(SigningKey::from_pem(pem.as_bytes()).unwrap())
}

fn p256() -> Arc<SigningKey> {
    key(&PKCS_ECDSA_P256_SHA256)
}

fn with(keys: Vec<Arc<SigningKey>>) -> Assertions {
    Assertions::new(AssertionSettings {
        keys,
        issuer: Arc::from("https://edge.example"),
        audience: None,
        ttl: Duration::from_secs(60),
        header: HeaderName::from_static("x-edgespan-assertion"),
        claims: vec![Arc::from("email")],
    })
}

fn ada() -> Identity {
    let claims = json!({"email": "ada@example.com", "secret": "hunter2"});
    Identity {
        subject: Some(Arc::from("ada")),
        groups: vec![Arc::from("ops")],
        claims: claims.as_object().unwrap().clone(),
        proof: Proof::Basic,
        policy: Arc::from("office"),
    }
}

/// What an origin does: the key by its id from the published set, then all that it expects.
fn verify(jwks: &[u8], token: &HeaderValue, audience: &str) -> Result<TokenData<Value>, ErrorKind> {
    let token = token.to_str().unwrap();
    let set: JwkSet = serde_json::from_slice(jwks).unwrap();
    let kid = decode_header(token).unwrap().kid.unwrap();
    let jwk = set.find(&kid).ok_or(ErrorKind::InvalidSignature)?;
    let algorithm: Algorithm = jwk
        .common
        .key_algorithm
        .unwrap()
        .to_string()
        .parse()
        .unwrap();
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.set_audience(&[audience]);
    validation.set_issuer(&["https://edge.example"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "nbf"]);
    let key = DecodingKey::from_jwk(jwk).unwrap();
    decode(token, &key, &validation).map_err(|error| error.kind().clone())
}

#[test]
fn an_origin_verifies_what_edgespan_says_with_either_kind_of_key() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let assertions = with(vec![key(algorithm)]);

        let token = assertions.token(&ada(), "orders").unwrap();
        let told = verify(&assertions.jwks(), &token, "orders").unwrap().claims;

        assert_eq!(told["sub"], "ada");
        assert_eq!(told["groups"], json!(["ops"]));
        assert_eq!(
            (&told["proof"], &told["policy"]),
            (&json!("basic"), &json!("office"))
        );
        assert_eq!(told["email"], "ada@example.com");
        assert_eq!(told.get("secret"), None);
        let seconds = |name: &str| told[name].as_u64().unwrap();
        assert_eq!(seconds("exp") - seconds("iat"), 65);
        assert_eq!(seconds("iat"), seconds("nbf"));
    }
}

#[test]
fn what_is_meant_for_another_or_was_changed_or_signed_by_another_is_no_proof() {
    let assertions = with(vec![p256()]);
    let token = assertions.token(&ada(), "orders").unwrap();
    let jwks = assertions.jwks();

    let elsewhere = verify(&jwks, &token, "billing").unwrap_err();
    let text = token.to_str().unwrap();
    let mut parts: Vec<&str> = text.split('.').collect();
    let other = with(vec![p256()]).token(&ada(), "orders").unwrap();
    let forged_signature = other
        .to_str()
        .unwrap()
        .rsplit('.')
        .next()
        .unwrap()
        .to_owned();
    parts[2] = &forged_signature;
    let forged = HeaderValue::try_from(parts.join(".")).unwrap();

    assert_eq!(elsewhere, ErrorKind::InvalidAudience);
    assert_eq!(
        verify(&jwks, &forged, "orders").unwrap_err(),
        ErrorKind::InvalidSignature
    );
    assert_eq!(
        verify(&jwks, &other, "orders").unwrap_err(),
        ErrorKind::InvalidSignature
    );
}

#[test]
fn an_assertion_ends_by_itself() {
    let mut settings = with(vec![p256()]).settings().clone();
    settings.ttl = Duration::ZERO;
    let assertions = Assertions::new(settings);
    let token = assertions.token(&ada(), "orders").unwrap();

    // Without leeway a token is over in the second in which it ends, at the latest in the next.
    let over = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        verify(&assertions.jwks(), &token, "orders").err()
    });

    assert_eq!(over, Some(ErrorKind::ExpiredSignature));
}

#[test]
fn a_key_is_published_before_it_signs_and_still_verifies_after_it_did() {
    let (old, new) = (p256(), key(&PKCS_ED25519));
    let announced = with(vec![Arc::clone(&old), Arc::clone(&new)]);
    let rotated = with(vec![Arc::clone(&new), Arc::clone(&old)]);

    let before = announced.token(&ada(), "orders").unwrap();
    let after = rotated.token(&ada(), "orders").unwrap();

    let kid = |token: &HeaderValue| decode_header(token.to_str().unwrap()).unwrap().kid.unwrap();
    assert_eq!(kid(&before), old.kid());
    assert_eq!(kid(&after), new.kid());
    for token in [&before, &after] {
        for jwks in [announced.jwks(), rotated.jwks()] {
            assert!(verify(&jwks, token, "orders").is_ok());
        }
    }
}

#[test]
fn one_client_and_audience_get_one_signature_and_others_another() {
    let assertions = with(vec![p256()]);
    let first = assertions.token(&ada(), "orders").unwrap();
    let mut eve = ada();
    eve.subject = Some(Arc::from("eve"));

    assert_eq!(assertions.token(&ada(), "orders").unwrap(), first);
    assert_ne!(assertions.token(&ada(), "billing").unwrap(), first);
    assert_ne!(assertions.token(&eve, "orders").unwrap(), first);
}

#[test]
fn what_is_remembered_has_a_bound() {
    let assertions = with(vec![p256()]);
    let bound = super::mint::SHARDS * super::mint::SHARD_MAX;

    for number in 0..bound + 1000 {
        assertions.pretend(&number.to_string());
    }

    assert!(assertions.remembered_count() <= bound);
}

#[test]
fn an_assertion_too_large_for_a_header_is_none() {
    let mut large = ada();
    large.claims.insert("email".into(), json!("x".repeat(6000)));

    let outcome = with(vec![p256()]).token(&large, "orders");

    assert_eq!(outcome.unwrap_err(), MintError::TooLarge);
}

#[test]
fn a_key_that_signs_is_pkcs8_and_of_two_kinds() {
    let check = |pem: &str, error: KeyError| {
        assert_eq!(SigningKey::from_pem(pem.as_bytes()).unwrap_err(), error);
    };
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    check(&p384.serialize_pem(), KeyError::Unsupported);
    check("", KeyError::NoKey);
    check(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        KeyError::NoKey,
    );
    check(
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        KeyError::NotPkcs8,
    );
    check(
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        KeyError::Unsupported,
    );
}

#[test]
fn a_key_shows_its_public_half_and_no_more() {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let key = SigningKey::from_pem(pair.serialize_pem().as_bytes()).unwrap();

    let mut members: Vec<&String> = key.public().as_object().unwrap().keys().collect();
    members.sort();

    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.kid()));
}

/// The example of RFC 8037, appendix A.3: its thumbprint.
#[test]
fn a_key_is_named_by_its_thumbprint() {
    let der = [
        &[
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ][..],
        &[
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ],
    ]
    .concat();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n");

    let key = SigningKey::from_pem(pem.as_bytes()).unwrap();

    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(
        key.public()["x"],
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    );
}

/// The example of RFC 8410, section 10.3, as `openssl genpkey` writes such a key: version 1.
const RFC_8410: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
    -----END PRIVATE KEY-----\n";

#[test]
fn a_key_without_its_public_half_signs_and_nothing_private_is_published() {
    let key = Arc::new(SigningKey::from_pem(RFC_8410.as_bytes()).unwrap());
    let assertions = with(vec![key, p256()]);

    let token = assertions.token(&ada(), "orders").unwrap();
    let jwks = assertions.jwks();

    assert!(verify(&jwks, &token, "orders").is_ok());
    let set: Value = serde_json::from_slice(&jwks).unwrap();
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key.get("d").is_none()), "{set}");
}

#[test]
fn a_key_with_a_password_is_refused_as_one() {
    let pem =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMC4CAQAw\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert_eq!(
        SigningKey::from_pem(pem.as_bytes()).unwrap_err(),
        KeyError::Encrypted
    );
}
