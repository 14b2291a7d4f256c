//! What an answer about an opaque token has to say.

use super::*;

#[test]
fn an_answer_about_an_opaque_token_is_held_to_what_it_says() {
    let file = keys();
    let settings = settings(&file);
    let checked = |answer: &Value, rules: &Introspection| {
        let told = told(answer.clone(), rules)?;
        told.check(&settings.issuers[0], &settings).map(|()| told)
    };
    let good = json!({"active": true, "aud": ["x", AUDIENCE], "sub": "ada"});
    let with = |changes: Value| {
        let mut answer = good.clone();
        let object = answer.as_object_mut().unwrap();
        object.extend(changes.as_object().unwrap().clone());
        answer
    };
    for answer in [
        good.clone(),
        with(json!({"iss": ISSUER, "exp": wall() + 60, "nbf": wall() - 60})),
        with(json!({"aud": AUDIENCE, "exp": null})),
    ] {
        assert!(checked(&answer, &rules()).is_ok(), "{answer}");
    }
    for (answer, wanted) in [
        (with(json!({"aud": "x"})), "aud"),
        (with(json!({"aud": []})), "aud"),
        (with(json!({"aud": null})), "aud"),
        (with(json!({"aud": [AUDIENCE, 7]})), "aud"),
        (with(json!({"iss": "https://other.example.com"})), "iss"),
        (with(json!({"iss": [ISSUER]})), "iss"),
        (with(json!({"exp": wall() - 31})), "expired"),
        (with(json!({"exp": "soon"})), "exp"),
        (with(json!({"exp": true})), "exp"),
        (with(json!({"nbf": wall() + 60})), "not_yet_valid"),
        (with(json!({"nbf": []})), "nbf"),
    ] {
        match checked(&answer, &rules()) {
            Err(Unproved::Bad(error)) => assert_eq!(error.name(), wanted, "{answer}"),
            _ => panic!("{answer}"),
        }
    }
    assert!(matches!(
        checked(&with(json!({"active": false})), &rules()),
        Err(Unproved::Inactive(lasts)) if lasts == Duration::from_secs(5)
    ));
    for active in [json!("true"), json!(1), json!(null)] {
        let answer = with(json!({"active": active}));
        assert!(matches!(
            checked(&answer, &rules()),
            Err(Unproved::Unanswered(_))
        ));
    }
    let lax = Introspection {
        audience_required: false,
        ..rules()
    };
    let silent = json!({"active": true});
    assert!(checked(&silent, &lax).is_ok());
    assert!(matches!(
        checked(&silent, &rules()),
        Err(Unproved::Bad(TokenError::Claim("aud")))
    ));
    assert!(checked(&with(json!({"aud": "x"})), &lax).is_err());

    let ends = checked(&with(json!({"exp": wall() + 10})), &rules())
        .ok()
        .unwrap();
    assert!(ends.left(&settings) <= Duration::from_secs(40));
    let claims = ends.into_claims(ISSUER);
    assert_eq!(
        (&claims["iss"], claims.get("active")),
        (&json!(ISSUER), None)
    );
}
