//! Against `jsonwebtoken`, which reads the same tokens with other code: what one takes and the
//! other does not is known, and is what it is known to be.

use super::super::verify;
use super::*;
use crate::clock;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use proptest::prelude::*;
use std::str::FromStr;

/// What `jsonwebtoken` says, as strict as it can be made, with the key that we would choose.
fn theirs(token: &str) -> bool {
    let Ok(header) = decode_header(token) else {
        return false;
    };
    let keys = jwks();
    let keys = keys["keys"].as_array().unwrap();
    let key = keys
        .iter()
        .find(|key| header.kid.as_deref() == key["kid"].as_str());
    let Some(key) = key else {
        return false;
    };
    let jwk: Jwk = serde_json::from_value(key.clone()).unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE, "other"]);
    validation.validate_nbf = true;
    validation.leeway = 30;
    decode::<Value>(token, &key, &validation).is_ok()
}

fn ours(token: &str) -> bool {
    verify(token, &key_set(), &expected(), clock::wall()).is_ok()
}

/// Seconds since 1970: the other one reads the machine's clock.
fn wall() -> i64 {
    i64::try_from(clock::wall().as_unix_nanos() / 1_000_000_000).unwrap()
}

/// Good now.
fn current(changes: Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().unwrap();
    object.extend(
        json!({"iat": wall(), "nbf": wall(), "exp": wall() + 600})
            .as_object()
            .unwrap()
            .clone(),
    );
    object.extend(changes.as_object().unwrap().clone());
    claims
}

#[test]
fn what_only_the_other_one_takes_is_known() {
    let header = r#"{"alg":"ES256","kid":"p"}"#;
    let signed =
        |header: &str, claims: &Value| P256.sign(Algorithm::Es256, header, &claims.to_string());
    let good = signed(header, &current(json!({})));
    assert!(ours(&good) && theirs(&good));

    for (what, token) in [
        (
            "iat in the future",
            signed(header, &current(json!({"iat": wall() + 900}))),
        ),
        (
            "iss as an array",
            signed(header, &current(json!({"iss": [ISSUER]}))),
        ),
        (
            "an unknown crit",
            signed(
                r#"{"alg":"ES256","kid":"p","crit":["x"],"x":1}"#,
                &current(json!({})),
            ),
        ),
        (
            "iat as a text",
            signed(header, &current(json!({"iat": "now"}))),
        ),
    ] {
        assert!(!ours(&token), "{what}");
        assert!(
            theirs(&token),
            "{what}: it has learned, and this list is too long"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Of tokens with claims of all kinds, ours are among theirs; and theirs are ours unless what
    /// they do not look at says no.
    #[test]
    fn both_take_the_same_tokens(
        algorithm in "RS256|PS384|ES256|ES384|EdDSA",
        kid in "r|p|q|e",
        exp in -90i64..90,
        nbf in -90i64..90,
        iss in prop_oneof![Just(json!(ISSUER)), Just(json!("other")), Just(json!(null))],
        aud in prop_oneof![
            Just(json!(AUDIENCE)), Just(json!([AUDIENCE, "x"])), Just(json!("x")), Just(json!([])),
        ],
        kind in 0..6,
    ) {
        // A second to either side the two clocks may differ.
        prop_assume!((exp + 30).abs() > 2 && (nbf - 30).abs() > 2);
        let mut changes = json!({
            "iss": iss, "aud": aud, "exp": wall() + exp, "nbf": wall() + nbf, "iat": wall() - 90,
        });
        match kind {
            0 => changes["exp"] = json!("soon"),
            1 => changes["nbf"] = json!(null),
            2 => changes["exp"] = json!((wall() + exp) as f64 + 0.25),
            _ => {}
        }
        let algorithm = Algorithm::of(&algorithm).unwrap();
        let header = json!({"alg": algorithm.name(), "kid": kid}).to_string();
        let signer = Signer::for_algorithm(algorithm);
        let token = signer.sign(algorithm, &header, &current(changes.clone()).to_string());
        let (ours, theirs) = (ours(&token), theirs(&token));

        prop_assert!(!ours || theirs, "only ours: {header} {changes}");
        if theirs && !ours {
            prop_assert!(kind == 1, "only theirs: {header} {changes}");
        }
    }
}

#[test]
fn both_know_the_same_names_of_algorithms() {
    for algorithm in Algorithm::ALL {
        assert!(jsonwebtoken::Algorithm::from_str(algorithm.name()).is_ok());
    }
}
