//! Who has what is required.

use super::*;
use crate::auth::Proof;
use proptest::prelude::*;
use serde_json::json;

fn client(groups: &[&str], claims: Value) -> Identity {
    let Value::Object(claims) = claims else {
        panic!("claims are an object");
    };
    Identity {
        subject: Some(Arc::from("ada")),
        groups: groups.iter().map(|one| Arc::from(*one)).collect(),
        claims,
        proof: Proof::Jwt,
        policy: Arc::from("api"),
    }
}

fn words(all: &[&str]) -> Vec<Arc<str>> {
    all.iter().map(|one| Arc::from(*one)).collect()
}

fn lacking(require: &Require, claims: Value) -> Option<Lack> {
    require.lacking(Some(&client(&["ops", "dev"], claims)))
}

#[test]
fn every_scope_has_to_be_there_as_a_word_of_its_own() {
    let require = Require {
        scopes: words(&["read", "orders:write"]),
        ..Require::default()
    };
    for claims in [
        json!({"scope": "orders:write read"}),
        json!({"scope": "a read b orders:write"}),
        json!({"scp": ["read", "orders:write"]}),
        json!({"scp": "read orders:write"}),
        json!({"scope": ["orders:write", "read"]}),
    ] {
        assert_eq!(lacking(&require, claims.clone()), None, "{claims}");
    }
    for claims in [
        json!({}),
        json!({"scope": "read"}),
        json!({"scope": "readorders:write"}),
        json!({"scope": "read,orders:write"}),
        json!({"scope": "READ orders:write"}),
        json!({"scope": {"read": true, "orders:write": true}}),
        json!({"scp": ["read orders:write"]}),
        json!({"scope": "", "scp": ["read", "orders:write"]}),
        json!({"scopes": "read orders:write"}),
        json!({"scope": null}),
    ] {
        let found = lacking(&require, claims.clone());
        assert_eq!(found, Some(Lack::Scope), "{claims}");
    }
}

#[test]
fn one_of_the_groups_has_to_be_there_exactly() {
    for (groups, wanted) in [
        (&["ops"][..], None),
        (&["admin", "dev"], None),
        (&["admin"], Some(Lack::Group)),
        (&["Ops"], Some(Lack::Group)),
        (&["op"], Some(Lack::Group)),
        (&[], None),
    ] {
        let require = Require {
            groups: words(groups),
            ..Require::default()
        };
        assert_eq!(lacking(&require, json!({})), wanted, "{groups:?}");
    }
}

fn mailed(patterns: &[&str], claims: Value) -> bool {
    let require = Require {
        emails: patterns
            .iter()
            .map(|one| EmailPattern::parse(one).unwrap())
            .collect(),
        ..Require::default()
    };
    lacking(&require, claims).is_none()
}

#[test]
fn an_address_counts_only_if_its_provider_calls_it_verified() {
    let all = ["@example.com"];
    let address = "ada@example.com";
    assert!(mailed(
        &all,
        json!({"email": address, "email_verified": true})
    ));
    for verified in [
        json!(false),
        json!("true"),
        json!(1),
        json!(null),
        json!([true]),
    ] {
        let claims = json!({"email": address, "email_verified": verified});
        assert!(!mailed(&all, claims.clone()), "{claims}");
    }
    assert!(!mailed(&all, json!({"email": address})));
    assert!(!mailed(&all, json!({"email_verified": true})));
    assert!(!mailed(
        &all,
        json!({"email": [address], "email_verified": true})
    ));
}

#[test]
fn a_domain_is_that_domain_and_an_address_that_address() {
    let is = |pattern: &str, address: &str| {
        mailed(
            &[pattern],
            json!({"email": address, "email_verified": true}),
        )
    };
    for (pattern, address) in [
        ("@example.com", "ada@example.com"),
        ("@Example.com", "ada@EXAMPLE.COM"),
        ("ada@example.com", "ada@Example.Com"),
        ("a.b+c@example.com", "a.b+c@example.com"),
    ] {
        assert!(is(pattern, address), "{pattern} {address}");
    }
    for (pattern, address) in [
        ("@example.com", "ada@badexample.com"),
        ("@example.com", "ada@sub.example.com"),
        ("@example.com", "ada@example.com.evil.org"),
        ("@example.com", "ada@example.com@evil.org"),
        ("@example.com", "ada@evil.org@example.com"),
        ("@example.com", "\"ada@evil.org\"@example.com"),
        ("@example.com", "@example.com"),
        ("@example.com", "example.com"),
        ("@example.com", "ada@example.com "),
        ("@example.com", "ada@ex\u{430}mple.com"),
        ("@example.com", "ada@"),
        ("ada@example.com", "Ada@example.com"),
        ("ada@example.com", "xada@example.com"),
        ("ada@example.com", "ada@example.co"),
    ] {
        assert!(!is(pattern, address), "{pattern} {address}");
    }
}

#[test]
fn what_is_no_address_is_not_read_as_one() {
    for text in [
        "",
        "@",
        "ada",
        "ada@",
        "a@b@c",
        "@a..b",
        "@.com",
        "@example.com.",
        "a b@example.com",
        "a\n@example.com",
        "@exa mple.com",
        "*@example.com ",
        "@*.example.com",
    ] {
        assert_eq!(EmailPattern::parse(text), None, "{text:?}");
    }
}

#[test]
fn how_somebody_logged_in_is_one_of_the_strengths_and_all_of_the_means() {
    let require = Require {
        acr: words(&["silver", "gold"]),
        amr: words(&["pwd", "otp"]),
        ..Require::default()
    };
    for (claims, wanted) in [
        (json!({"acr": "gold", "amr": ["otp", "x", "pwd"]}), None),
        (
            json!({"acr": "bronze", "amr": ["otp", "pwd"]}),
            Some(Lack::Acr),
        ),
        (
            json!({"acr": ["gold"], "amr": ["otp", "pwd"]}),
            Some(Lack::Acr),
        ),
        (json!({"amr": ["otp", "pwd"]}), Some(Lack::Acr)),
        (json!({"acr": "gold", "amr": ["pwd"]}), Some(Lack::Amr)),
        (json!({"acr": "gold", "amr": "pwd otp"}), Some(Lack::Amr)),
        (json!({"acr": "gold"}), Some(Lack::Amr)),
    ] {
        assert_eq!(lacking(&require, claims.clone()), wanted, "{claims}");
    }
}

#[test]
fn of_nobody_nothing_holds_and_where_nothing_is_required_everything_does() {
    let require = Require {
        groups: words(&["ops"]),
        ..Require::default()
    };
    assert_eq!(require.lacking(None), Some(Lack::Group));
    assert_eq!(Require::default().lacking(None), None);
    assert!(Require::default().is_nothing() && !require.is_nothing());
}

#[test]
fn what_more_rights_would_help_with_is_told_before_what_a_login_would() {
    let require = Require {
        scopes: words(&["read"]),
        acr: words(&["gold"]),
        ..Require::default()
    };
    assert_eq!(lacking(&require, json!({})), Some(Lack::Scope));
    assert_eq!(lacking(&require, json!({"scope": "read"})), Some(Lack::Acr));
}

proptest! {
    /// Whoever passes has exactly one `@`, and the domain behind it.
    #[test]
    fn nobody_else_passes_for_a_domain(address in "[a-z@.\"\\\\ ]{0,12}(@|\\.)?(example\\.com)?[a-z@.]{0,6}") {
        let claims = json!({"email": &address, "email_verified": true});
        if mailed(&["@example.com"], claims) {
            prop_assert_eq!(address.matches('@').count(), 1);
            prop_assert!(address.ends_with("@example.com"));
        }
    }

    #[test]
    fn no_text_breaks_the_reader_of_addresses(text in any::<String>()) {
        if let Some(EmailPattern::Domain(domain)) = EmailPattern::parse(&text) {
            prop_assert!(text.to_ascii_lowercase().ends_with(&*domain));
        }
    }
}
