//! Which keys of a set verify what.

use super::super::keys::{KEYS_MAX, TRIES_MAX};
use super::super::{KeySetError, TokenError, verify};
use super::*;

fn set(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn verified(keys: &[Value], token: &str) -> Result<(), TokenError> {
    verify(token, &set(keys).unwrap(), &expected(), now()).map(|_| ())
}

fn signed(algorithm: Algorithm, kid: Option<&str>) -> String {
    let mut header = json!({"alg": algorithm.name()});
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    let signer = Signer::for_algorithm(algorithm);
    signer.sign(algorithm, &header.to_string(), &claims().to_string())
}

#[test]
fn a_key_for_something_else_is_left_out() {
    for members in [
        json!({"use": "enc"}),
        json!({"use": "tls"}),
        json!({"use": null}),
        json!({"use": ["sig"]}),
        json!({"key_ops": ["encrypt"]}),
        json!({"key_ops": []}),
        json!({"key_ops": "verify"}),
        json!({"use": "sig", "key_ops": ["sign"]}),
        json!({"alg": "RSA-OAEP"}),
        json!({"alg": "HS256"}),
        json!({"alg": "ES256"}),
        json!({"alg": null}),
        json!({"kid": 7}),
        json!({"d": "AQAB"}),
        json!({"kty": "rsa"}),
        json!({"kty": "oct", "k": "AAAA"}),
    ] {
        let jwk = RSA.jwk_with(members.clone());
        assert_eq!(set(&[jwk]).unwrap_err(), KeySetError::Nothing, "{members}");
    }
    let both = [RSA.jwk_with(json!({"use": "enc"})), P256.jwk()];
    assert_eq!(set(&both).unwrap().len(), 1);
}

#[test]
fn a_key_that_says_its_algorithm_verifies_no_other() {
    let bound = [RSA.jwk_with(json!({"alg": "PS256"}))];

    assert_eq!(verified(&bound, &signed(Algorithm::Ps256, None)), Ok(()));
    for other in [Algorithm::Rs256, Algorithm::Ps384] {
        let found = verified(&bound, &signed(other, None));
        assert_eq!(found, Err(TokenError::UnknownKey), "{other:?}");
    }
    let named = [ED25519.jwk_with(json!({"alg": "Ed25519"}))];
    assert_eq!(verified(&named, &signed(Algorithm::EdDsa, None)), Ok(()));
}

#[test]
fn a_weak_or_broken_key_is_none() {
    let rsa = |n: Vec<u8>, e: &[u8]| json!({"kty": "RSA", "n": encoded(n), "e": encoded(e)});
    let modulus = |bits: usize| {
        let mut n = vec![0xff; bits / 8];
        n[0] = 0x80;
        n
    };
    let is_key = |jwk: Value| set(&[jwk]).is_ok();

    assert!(is_key(rsa(modulus(2_048), &[1, 0, 1])));
    assert!(!is_key(rsa(modulus(2_040), &[1, 0, 1])));
    let mut short = modulus(2_048);
    short[0] = 0x7f;
    assert!(!is_key(rsa(short, &[1, 0, 1])), "2047 bits");
    assert!(!is_key(rsa(modulus(1_024), &[1, 0, 1])));
    assert!(!is_key(rsa(modulus(8_200), &[1, 0, 1])));
    assert!(
        !is_key(rsa(modulus(2_048), &[1])),
        "every text signs itself"
    );
    assert!(!is_key(rsa(modulus(2_048), &[1, 0, 0])));
    assert!(!is_key(rsa(modulus(2_048), &[])));
    assert!(!is_key(rsa(modulus(2_048), &[1, 0, 0, 0, 1])));
    let mut even = modulus(2_048);
    even[255] = 0xfe;
    assert!(!is_key(rsa(even, &[1, 0, 1])));

    let padded = |jwk: &Value, name: &str, zeros: usize| {
        let own = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let mut longer = vec![0; zeros];
        longer.extend(own);
        let mut jwk = jwk.clone();
        jwk[name] = json!(encoded(longer));
        jwk
    };
    let token = signed(Algorithm::Rs256, None);
    assert_eq!(verified(&[padded(&RSA.jwk(), "n", 1)], &token), Ok(()));
    assert!(!is_key(padded(&P256.jwk(), "x", 1)));
    assert!(!is_key(padded(&ED25519.jwk(), "x", 1)));
    let mut off = P256.jwk();
    off["y"] = off["x"].clone();
    assert!(!is_key(off), "not on the curve");
    for (name, value) in [
        ("crv", "P-384"),
        ("crv", "P-521"),
        ("crv", "secp256k1"),
        ("x", "A"),
    ] {
        let mut jwk = P256.jwk();
        jwk[name] = json!(value);
        assert!(!is_key(jwk), "{name} {value}");
    }
    let mut with_padding = ED25519.jwk();
    with_padding["x"] = json!(format!("{}=", with_padding["x"].as_str().unwrap()));
    assert!(!is_key(with_padding));
}

#[test]
fn of_two_keys_with_one_name_each_is_tried() {
    let other = Signer::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
    let named = |signer: &Signer| signer.jwk_with(json!({"kid": "k"}));
    let token = signed(Algorithm::Es256, Some("k"));

    assert_eq!(verified(&[named(&other), named(&P256)], &token), Ok(()));
    assert_eq!(verified(&[named(&RSA), named(&P256)], &token), Ok(()));
    assert_eq!(
        verified(&[named(&other)], &token),
        Err(TokenError::Signature)
    );
    assert_eq!(
        verified(&[P256.jwk()], &token),
        Ok(()),
        "a key without a name"
    );
}

#[test]
fn a_token_is_tried_with_so_many_keys_and_no_more() {
    let other = || {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Signer::P256(pair).jwk()
    };
    let token = signed(Algorithm::Es256, None);
    for (before, wanted) in [
        (TRIES_MAX - 1, Ok(())),
        (TRIES_MAX, Err(TokenError::Signature)),
    ] {
        let mut keys: Vec<Value> = (0..before).map(|_| other()).collect();
        keys.push(P256.jwk());
        assert_eq!(verified(&keys, &token), wanted, "{before} before it");
    }
}

#[test]
fn what_is_no_set_of_keys_is_refused() {
    for json in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        "<html>",
    ] {
        let found = KeySet::parse(json.as_bytes()).unwrap_err();
        assert_eq!(found, KeySetError::Malformed, "{json}");
    }
    for keys in [
        json!([]),
        json!([1, null, "a", []]),
        json!([{"kty": "AKP"}, {}]),
    ] {
        let found = set(keys.as_array().unwrap()).unwrap_err();
        assert_eq!(found, KeySetError::Nothing, "{keys}");
    }
    let many = |count: usize| set(&vec![ED25519.jwk(); count]).map(|set| set.len());
    assert_eq!(many(KEYS_MAX - 1), Ok(KEYS_MAX - 1));
    assert_eq!(many(KEYS_MAX), Ok(KEYS_MAX));
    assert_eq!(many(KEYS_MAX + 1), Err(KeySetError::TooMany));
}

#[test]
fn the_debug_text_of_a_set_names_its_keys_and_shows_none() {
    let shown = format!("{:?}", key_set());
    assert_eq!(shown, r#"[Some("r"), Some("p"), Some("q"), Some("e")]"#);
}
