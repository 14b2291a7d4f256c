//! What spans and audits say of a login: never who somebody is, only what kind and how.

use super::Audit;
use crate::auth::claims;
use serde_json::{Map, Value};

/// Ways to prove oneself that take more than something one knows (RFC 8176).
const STRONG: [&str; 14] = [
    "mfa", "otp", "hwk", "swk", "sms", "tel", "pop", "sc", "fpt", "face", "iris", "retina", "vbm",
    "wia",
];
/// Words of an `acr` that mean the same, in those that providers have.
const STRONG_CLASSES: [&str; 8] = [
    "mfa",
    "2fa",
    "aal2",
    "aal3",
    "phr",
    "phrh",
    "multifactor",
    "possessionorinherence",
];
/// Longest kind of a user, in characters.
const USER_TYPE_CHARS_MAX: usize = 64;

/// What is told of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginFacts {
    /// `user_type`, where the file names a claim for it.
    pub user_type: Option<Box<str>>,
    /// `mfa_enabled`, where the provider tells how somebody logged in.
    pub mfa_enabled: Option<bool>,
}

impl Audit {
    /// What is told of whoever has these claims.
    pub fn facts(&self, claims: &Map<String, Value>) -> LoginFacts {
        let path = self.settings.user_type.as_deref();
        LoginFacts {
            user_type: path.and_then(|path| user_type(claims, path)),
            mfa_enabled: mfa_enabled(claims),
        }
    }
}

/// A short word. What could name somebody is none: no `@`, no space, nothing that is long.
fn user_type(claims: &Map<String, Value>, path: &[Box<str>]) -> Option<Box<str>> {
    let claim = claims::at(claims, path)?;
    let text = claim.as_array().map_or(Some(claim), |list| list.first())?;
    let text = text.as_str()?;
    let is_word = |one: char| one.is_alphanumeric() || matches!(one, '-' | '_' | '.' | ':' | '/');
    let fits = (1..=USER_TYPE_CHARS_MAX).contains(&text.chars().count());
    (fits && text.chars().all(is_word)).then(|| text.into())
}

/// By `amr`, else by `acr`. None: the provider tells neither.
fn mfa_enabled(claims: &Map<String, Value>) -> Option<bool> {
    let is_strong = |word: &str| STRONG.contains(&word);
    let amr = claims.get("amr").and_then(Value::as_array);
    let by_amr = amr.map(|list| list.iter().filter_map(Value::as_str).any(is_strong));
    let acr = claims.get("acr").and_then(Value::as_str);
    let by_acr = acr.map(|acr| {
        let acr = acr
            .to_ascii_lowercase()
            .replace("multi-factor", "multifactor");
        let mut words = acr.split(|one: char| !one.is_ascii_alphanumeric());
        words.any(|word| STRONG_CLASSES.contains(&word))
    });
    match (by_amr, by_acr) {
        (None, None) => None,
        (amr, acr) => Some(amr.unwrap_or(false) || acr.unwrap_or(false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn more_than_one_factor_is_what_a_provider_says_it_is() {
        for (told, expected) in [
            (json!({}), None),
            (json!({"amr": "mfa"}), None),
            (json!({"amr": []}), Some(false)),
            (json!({"amr": ["pwd"]}), Some(false)),
            (json!({"amr": ["pwd", "otp"]}), Some(true)),
            (json!({"amr": ["hwk"]}), Some(true)),
            (json!({"acr": "1"}), Some(false)),
            (json!({"acr": "urn:edgespan:mfa"}), Some(true)),
            (
                json!({"acr": "http://schemas.openid.net/pape/policies/2007/06/multi-factor"}),
                Some(true),
            ),
            (json!({"acr": "phrh", "amr": ["pwd"]}), Some(true)),
            (json!({"acr": "mfaless"}), Some(false)),
            (json!({"acr": 2}), None),
        ] {
            assert_eq!(mfa_enabled(&claims(told.clone())), expected, "{told}");
        }
    }

    #[test]
    fn a_kind_of_user_is_a_word_and_never_an_address() {
        let path: [Box<str>; 1] = ["kind".into()];
        let check = |value: Value| user_type(&claims(json!({"kind": value})), &path);
        assert_eq!(check(json!("staff")).as_deref(), Some("staff"));
        assert_eq!(check(json!(["guest", "x"])).as_deref(), Some("guest"));
        for none in [
            json!("ada@example.com"),
            json!("Ada Lovelace"),
            json!(""),
            json!("x".repeat(65)),
            json!(7),
            json!([]),
            json!({"a": 1}),
        ] {
            assert_eq!(check(none.clone()), None, "{none}");
        }
        assert_eq!(user_type(&claims(json!({})), &path), None);
    }
}
