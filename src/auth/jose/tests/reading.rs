//! How tokens are read, and how not.

use super::super::{TOKEN_BYTES_MAX, TokenError, TokenHeader, Unverified, verify};
use super::*;
use proptest::prelude::*;

fn refused(token: &str) -> TokenError {
    verify(token, &key_set(), &expected(), now()).unwrap_err()
}

#[test]
fn what_is_not_three_parts_of_base64url_is_no_token() {
    let good = token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("three parts");
    };
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "opaque".into(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!(".{claims}.{signature}"),
        format!("{header}..{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}.{signature}"),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}==.{signature}"),
        format!("{header}.{claims}.{signature}=="),
        format!("{header} .{claims}.{signature}"),
        format!("{header}.{claims}.{signature}\n"),
        format!(
            "{header}.{claims}.{}",
            signature.replace(['-', '_'], "+") + "/"
        ),
    ] {
        assert_eq!(refused(&bad), TokenError::Malformed, "{bad}");
    }
}

#[test]
fn bits_that_nothing_is_written_in_make_no_second_spelling_of_a_token() {
    let good = token(&claims());
    // 64 bytes: the last character carries two bits of them and four that are nothing.
    let last = good.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let same = alphabet.chars().filter(|one| *one != last);
    for other in same {
        let changed = format!("{}{other}", good.get(..good.len() - 1).unwrap());
        let error = refused(&changed);
        assert!(
            matches!(error, TokenError::Malformed | TokenError::Signature),
            "{other}"
        );
    }
}

#[test]
fn a_header_of_another_form_is_refused() {
    for header in [
        "{}",
        "[]",
        "null",
        r#"{"alg":7}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"ES256","kid":null}"#,
        r#"{"alg":"ES256","typ":["JWT"]}"#,
        "{\"alg\":\"ES256\"} ",
    ] {
        let token = P256.sign(Algorithm::Es256, header, &claims().to_string());
        let found = TokenHeader::read(&token);
        if header.ends_with(' ') {
            assert!(found.is_ok(), "space around JSON is no other reading");
        } else {
            assert_eq!(found, Err(TokenError::Malformed), "{header}");
        }
    }
    for algorithm in [
        "es256", "ES256 ", "RS1", "ES512", "ES256K", "A128KW", "EdDsa",
    ] {
        let header = json!({"alg": algorithm}).to_string();
        let token = P256.sign(Algorithm::Es256, &header, &claims().to_string());
        let found = TokenHeader::read(&token);
        assert_eq!(found, Err(TokenError::Algorithm), "{algorithm}");
    }
    for (bytes, is_read) in [(511, true), (512, true), (513, false)] {
        let header = json!({"alg": "ES256", "kid": "k".repeat(bytes)}).to_string();
        let token = P256.sign(Algorithm::Es256, &header, &claims().to_string());
        assert_eq!(TokenHeader::read(&token).is_ok(), is_read, "{bytes}");
    }
}

#[test]
fn a_token_at_the_bound_is_read_and_a_larger_one_is_not() {
    let of = |bytes: usize| {
        let bare = token(&claims_with(json!({"pad": ""}))).len();
        let pad = (bytes - bare) * 3 / 4;
        (pad.saturating_sub(3)..pad + 3)
            .map(|pad| token(&claims_with(json!({"pad": "x".repeat(pad)}))))
            .find(|token| token.len() == bytes)
    };
    let at = (TOKEN_BYTES_MAX - 2..=TOKEN_BYTES_MAX).rev().find_map(of);
    let over = (TOKEN_BYTES_MAX + 1..TOKEN_BYTES_MAX + 4).find_map(of);

    assert!(verify(&at.unwrap(), &key_set(), &expected(), now()).is_ok());
    assert_eq!(refused(&over.unwrap()), TokenError::Malformed);
}

#[test]
fn who_a_token_says_that_it_is_of_is_read_before_it_is_believed() {
    let good = token(&claims());
    assert_eq!(Unverified::read(&good).unwrap().issuer(), Ok(ISSUER));
    for issuer in [json!(null), json!([ISSUER]), json!(7)] {
        let token = token(&claims_with(json!({"iss": issuer})));
        let read = Unverified::read(&token).unwrap();
        assert_eq!(read.issuer(), Err(TokenError::Claim("iss")), "{issuer}");
    }
    let shown = format!("{:?}", Unverified::read(&good).unwrap());
    assert!(
        !shown.contains("ada") && !shown.contains(good.get(..20).unwrap()),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in any::<String>()) {
        prop_assert!(verify(&text, &key_set(), &expected(), now()).is_err());
    }

    #[test]
    fn no_bytes_in_three_parts_break_it(
        header in prop::collection::vec(any::<u8>(), 0..40),
        claims in prop::collection::vec(any::<u8>(), 0..40),
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let token = format!("{}.{}.{}", encoded(header), encoded(claims), encoded(signature));
        prop_assert!(verify(&token, &key_set(), &expected(), now()).is_err());
    }

    /// Whatever becomes of a byte of a good token, it is not good any more.
    #[test]
    fn a_changed_token_is_refused(at in 0usize..400, to in "[A-Za-z0-9_.=-]") {
        let good = token(&claims());
        let at = at % good.len();
        let changed = format!("{}{to}{}", good.get(..at).unwrap(), good.get(at + 1..).unwrap());
        prop_assume!(changed != good);
        prop_assert!(verify(&changed, &key_set(), &expected(), now()).is_err());
    }

    #[test]
    fn a_cut_token_is_refused(cut in 0usize..400) {
        let good = token(&claims());
        let cut = cut % good.len();
        prop_assert!(verify(good.get(..cut).unwrap(), &key_set(), &expected(), now()).is_err());
    }
}
