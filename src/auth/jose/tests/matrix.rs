//! What becomes of which token: every cell of the matrices in which others were measured.

use super::super::{TokenError, verify};
use super::*;

/// What becomes of a token.
#[track_caller]
fn becomes(what: &str, token: &str, wanted: Result<(), TokenError>) {
    let found = verify(token, &key_set(), &expected(), now());
    assert_eq!(found.map(|_| ()), wanted, "{what}");
}

#[track_caller]
fn claims_become(what: &str, claims: &Value, wanted: Result<(), TokenError>) {
    becomes(what, &token(claims), wanted);
}

/// A token with this header over good claims, signed by the key of P-256.
fn headed(header: &str) -> String {
    P256.sign(Algorithm::Es256, header, &claims().to_string())
}

#[test]
fn a_good_token_is_good_by_every_algorithm_and_its_claims_are_told() {
    for algorithm in Algorithm::ALL {
        let kid = match algorithm {
            Algorithm::Es256 => "p",
            Algorithm::Es384 => "q",
            Algorithm::EdDsa => "e",
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => "r",
        };
        let header = json!({"alg": algorithm.name(), "kid": kid}).to_string();
        let signer = Signer::for_algorithm(algorithm);
        let token = signer.sign(algorithm, &header, &claims().to_string());

        let found = verify(&token, &key_set(), &expected(), now());

        let found = found.unwrap_or_else(|error| panic!("{algorithm:?}: {error}"));
        assert_eq!(Value::Object(found), claims());
    }
}

#[test]
fn a_token_without_a_kid_is_tried_with_the_keys_that_fit() {
    becomes("no kid", &headed(r#"{"alg":"ES256"}"#), Ok(()));
}

#[test]
fn a_token_that_names_another_key_has_none() {
    let token = headed(r#"{"alg":"ES256","kid":"gone"}"#);
    becomes("unknown kid", &token, Err(TokenError::UnknownKey));
    let token = headed(r#"{"alg":"ES256","kid":"q"}"#);
    becomes(
        "a key of another curve",
        &token,
        Err(TokenError::UnknownKey),
    );
}

#[test]
fn an_unsigned_token_is_refused_in_every_spelling() {
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": algorithm, "kid": "p"}).to_string();
        let unsigned = format!("{}.{}.", encoded(&header), encoded(claims().to_string()));
        becomes(algorithm, &unsigned, Err(TokenError::Malformed));
        becomes(algorithm, &headed(&header), Err(TokenError::Algorithm));
    }
    becomes(
        "no alg",
        &headed(r#"{"kid":"p"}"#),
        Err(TokenError::Malformed),
    );
}

#[test]
fn a_public_key_is_no_shared_secret() {
    use aws_lc_rs::hmac;
    let rsa = RSA.jwk().to_string();
    let Signer::Rsa(pair) = &*RSA else {
        panic!("a key of RSA");
    };
    for secret in [rsa.as_bytes(), pair.public_key().as_ref(), b""] {
        for (name, algorithm) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
        ] {
            let header = json!({"alg": name, "kid": "r"}).to_string();
            let signed = format!("{}.{}", encoded(&header), encoded(claims().to_string()));
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
            let token = format!("{signed}.{}", encoded(tag));
            becomes(name, &token, Err(TokenError::Algorithm));
        }
    }
}

#[test]
fn what_has_to_be_there_and_is_not_is_refused() {
    claims_become(
        "missing exp",
        &without("exp"),
        Err(TokenError::Claim("exp")),
    );
    claims_become(
        "missing aud",
        &without("aud"),
        Err(TokenError::Claim("aud")),
    );
    claims_become(
        "missing iss",
        &without("iss"),
        Err(TokenError::Claim("iss")),
    );
    for name in ["sub", "iat", "nbf"] {
        claims_become(name, &without(name), Ok(()));
    }
}

#[test]
fn another_ones_token_is_refused() {
    for (issuer, why) in [
        ("https://evil.example.com", "another"),
        ("https://id.example.com/", "with a slash more"),
        ("HTTPS://id.example.com", "in capitals"),
        ("", "empty"),
    ] {
        let claims = claims_with(json!({"iss": issuer}));
        claims_become(why, &claims, Err(TokenError::Claim("iss")));
    }
    for audience in [
        json!("orders2"),
        json!("Orders"),
        json!(""),
        json!([]),
        json!(["x", "y"]),
    ] {
        let claims = claims_with(json!({"aud": audience}));
        claims_become(
            &audience.to_string(),
            &claims,
            Err(TokenError::Claim("aud")),
        );
    }
    for audience in [json!("orders"), json!(["x", "orders"]), json!(["other"])] {
        let claims = claims_with(json!({"aud": audience}));
        claims_become(&audience.to_string(), &claims, Ok(()));
    }
}

#[test]
fn times_are_good_up_to_the_leeway_and_not_a_second_more() {
    let (late, early) = (Err(TokenError::Expired), Err(TokenError::NotYet));
    for (name, at, wanted) in [
        ("exp", NOW as i64 - 29, Ok(())),
        ("exp", NOW as i64 - 30, late.clone()),
        ("exp", NOW as i64 - 90, late.clone()),
        ("exp", 0, late.clone()),
        ("exp", -1, late),
        ("nbf", NOW as i64 + 30, Ok(())),
        ("nbf", NOW as i64 + 31, early.clone()),
        ("nbf", i64::MAX, early),
        ("iat", NOW as i64 + 30, Ok(())),
        ("iat", NOW as i64 + 31, Err(TokenError::Claim("iat"))),
        ("iat", -5, Ok(())),
    ] {
        let claims = claims_with(json!({name: at}));
        claims_become(&format!("{name} {at}"), &claims, wanted);
    }
    for (name, at) in [
        ("exp", NOW as f64 - 29.5),
        ("exp", 1.9e9),
        ("nbf", NOW as f64 + 29.5),
    ] {
        let claims = claims_with(json!({name: at}));
        claims_become(&format!("{name} {at}, a part of a second"), &claims, Ok(()));
    }
}

#[test]
fn an_extension_that_is_not_known_is_refused() {
    for header in [
        r#"{"alg":"ES256","kid":"p","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","kid":"p","crit":[]}"#,
        r#"{"alg":"ES256","kid":"p","crit":null}"#,
        r#"{"alg":"ES256","kid":"p","b64":false,"crit":["b64"]}"#,
    ] {
        becomes(header, &headed(header), Err(TokenError::Critical));
    }
    let unencoded = r#"{"alg":"ES256","kid":"p","b64":false}"#;
    becomes(unencoded, &headed(unencoded), Err(TokenError::Malformed));
}

#[test]
fn a_key_that_a_token_brings_along_is_not_looked_at() {
    let own = Signer::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
    let address = "https://evil.example.com/keys";
    for header in [
        json!({"alg": "ES256", "jwk": own.jwk()}),
        json!({"alg": "ES256", "kid": "p", "jwk": own.jwk()}),
        json!({"alg": "ES256", "kid": "p", "jku": address}),
        json!({"alg": "ES256", "kid": "p", "x5u": address, "x5c": ["MIIB"]}),
    ] {
        let token = own.sign(Algorithm::Es256, &header.to_string(), &claims().to_string());
        becomes(&header.to_string(), &token, Err(TokenError::Signature));
        // Beside a signature of the issuer's they change nothing.
        becomes(&header.to_string(), &headed(&header.to_string()), Ok(()));
    }
}

#[test]
fn cve_2026_25537_a_claim_of_another_type_is_never_taken_as_absent() {
    let values = [
        ("string", "\"1900000000\""),
        ("float", "1.9e9"),
        ("null", "null"),
        ("array", "[1900000000]"),
        ("object", "{}"),
        ("true", "true"),
        ("1e400", "1e400"),
        ("-1e400", "-1e400"),
    ];
    for (name, is_time) in [
        ("iss", false),
        ("sub", false),
        ("aud", false),
        ("jti", false),
        ("exp", true),
        ("nbf", true),
        ("iat", true),
    ] {
        for (kind, value) in values {
            let rest = without(name).to_string();
            let json = format!("{{\"{name}\":{value},{}", rest.strip_prefix('{').unwrap());
            let token = P256.sign(Algorithm::Es256, r#"{"alg":"ES256","kid":"p"}"#, &json);
            let wanted = match (kind, name) {
                ("1e400" | "-1e400", _) => Err(TokenError::Malformed),
                // The one time and the texts that are what they are.
                ("float", "exp") | ("string", "sub" | "jti") => Ok(()),
                ("float", "nbf") => Err(TokenError::NotYet),
                _ => Err(TokenError::Claim(name)),
            };
            assert!(is_time || wanted != Err(TokenError::NotYet));
            becomes(&format!("{name} as {kind}"), &token, wanted);
        }
    }
    for audience in [r#"["orders",1]"#, r#"["orders",null]"#, r#"[["orders"]]"#] {
        let claims = claims_with(json!({"aud": serde_json::from_str::<Value>(audience).unwrap()}));
        claims_become(audience, &claims, Err(TokenError::Claim("aud")));
    }
}

#[test]
fn a_claim_that_is_there_twice_is_refused() {
    let good = claims().to_string();
    let twice = format!("{{\"aud\":\"evil\",{}", good.strip_prefix('{').unwrap());
    let token = P256.sign(Algorithm::Es256, r#"{"alg":"ES256","kid":"p"}"#, &twice);
    becomes("aud twice", &token, Err(TokenError::Malformed));
    let header = r#"{"alg":"none","alg":"ES256","kid":"p"}"#;
    becomes("alg twice", &headed(header), Err(TokenError::Malformed));
}

#[test]
fn what_a_file_asks_for_beside_is_checked_too() {
    let types = [Arc::from("at+jwt")];
    let typed = Expected {
        types: &types,
        ..expected()
    };
    let with = |expected: &Expected<'_>, header: &str, claims: &Value| {
        let token = P256.sign(Algorithm::Es256, header, &claims.to_string());
        verify(&token, &key_set(), expected, now()).map(|_| ())
    };
    let header = |typ: &str| json!({"alg": "ES256", "typ": typ}).to_string();
    let plain = r#"{"alg":"ES256"}"#;
    for typ in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/At+Jwt",
    ] {
        assert_eq!(with(&typed, &header(typ), &claims()), Ok(()), "{typ}");
    }
    for typ in ["JWT", "logout+jwt", "x/at+jwt", "at+jwt ", ""] {
        let found = with(&typed, &header(typ), &claims());
        assert_eq!(found, Err(TokenError::Claim("typ")), "{typ}");
    }
    assert_eq!(
        with(&typed, plain, &claims()),
        Err(TokenError::Claim("typ"))
    );

    let only_rsa = Expected {
        algorithms: &[Algorithm::Rs256, Algorithm::EdDsa],
        ..expected()
    };
    assert_eq!(
        with(&only_rsa, plain, &claims()),
        Err(TokenError::Algorithm)
    );

    let young = Expected {
        age_max: Some(Duration::from_secs(60)),
        ..expected()
    };
    let aged = |age: u64| claims_with(json!({"iat": NOW - age}));
    assert_eq!(with(&young, plain, &aged(90)), Ok(()));
    assert_eq!(with(&young, plain, &aged(91)), Err(TokenError::Expired));
    let ageless = without("iat");
    assert_eq!(with(&young, plain, &ageless), Err(TokenError::Claim("iat")));

    let once = Expected {
        nonce: Some("n-1"),
        ..expected()
    };
    for (nonce, wanted) in [
        (json!("n-1"), Ok(())),
        (json!("n-2"), Err(TokenError::Claim("nonce"))),
        (json!(["n-1"]), Err(TokenError::Claim("nonce"))),
        (json!(null), Err(TokenError::Claim("nonce"))),
    ] {
        let claims = claims_with(json!({"nonce": nonce}));
        assert_eq!(with(&once, plain, &claims), wanted);
    }
    assert_eq!(
        with(&once, plain, &claims()),
        Err(TokenError::Claim("nonce"))
    );
}
