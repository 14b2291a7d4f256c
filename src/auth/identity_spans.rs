//! What spans learn of who a client is, where the file asks for it.
//!
//! A trace is read by more people than an application's accounts are, so that an e-mail address is
//! left out unless the file asks for the claim `email` itself.

use super::identity_headers::{at, scalar};
use super::{Identity, IdentityPart, IdentitySettings};
use serde_json::Value;

/// Most elements of a list. A longer one is left out.
const ELEMENTS_MAX: usize = 64;

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// One text.
    Text(String),
    /// A list.
    Texts(Vec<String>),
}

impl IdentitySettings {
    /// The attributes of which something is known and may be told.
    pub fn attributes<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> impl Iterator<Item = (&'a str, Told)> {
        let attributes = self.span_attributes.iter();
        attributes.filter_map(|(name, part)| Some((&**name, told(part, identity)?)))
    }
}

fn told(part: &IdentityPart, identity: &Identity) -> Option<Told> {
    let (told, is_asked_for) = match part {
        IdentityPart::Subject => (Told::Text(identity.subject.as_ref()?.to_string()), false),
        IdentityPart::Groups => {
            let groups = identity.groups.iter().map(ToString::to_string);
            (Told::Texts(groups.collect()), false)
        }
        IdentityPart::Proof => (Told::Text(identity.proof.name().to_owned()), false),
        IdentityPart::Policy => (Told::Text(identity.policy.to_string()), false),
        IdentityPart::Claim(path) => {
            let claim = at(identity, path)?;
            let told = if let Value::Array(all) = claim {
                Told::Texts(all.iter().map(scalar).collect::<Option<_>>()?)
            } else {
                Told::Text(scalar(claim)?)
            };
            (told, path.last().is_some_and(|name| **name == *"email"))
        }
    };
    let texts = match &told {
        Told::Text(text) => std::slice::from_ref(text),
        Told::Texts(texts) => texts.as_slice(),
    };
    let has_address = texts.iter().any(|text| text.contains('@'));
    let fits = !texts.is_empty() && texts.len() <= ELEMENTS_MAX;
    (fits && (is_asked_for || !has_address)).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Proof;
    use serde_json::json;
    use std::sync::Arc;

    fn said(part: &str, subject: &str, claims: Value) -> Option<Told> {
        let Value::Object(claims) = claims else {
            panic!("claims are an object");
        };
        let identity = Identity {
            subject: Some(Arc::from(subject)),
            groups: vec![Arc::from("ops"), Arc::from("dev")],
            claims,
            proof: Proof::Jwt,
            policy: Arc::from("api"),
        };
        let settings = IdentitySettings {
            span_attributes: vec![("app.who".into(), IdentityPart::parse(part).unwrap())],
            ..IdentitySettings::default()
        };
        let mut all = settings.attributes(&identity);
        all.next().map(|(name, told)| {
            assert_eq!(name, "app.who");
            told
        })
    }

    fn text(text: &str) -> Option<Told> {
        Some(Told::Text(text.to_owned()))
    }

    #[test]
    fn a_part_of_an_identity_becomes_an_attribute_and_a_list_a_list() {
        let claims = json!({"org": {"unit": "a", "level": 3}, "roles": ["x", 7], "o": {}});
        let said = |part: &str| said(part, "ada", claims.clone());

        assert_eq!(said("subject"), text("ada"));
        assert_eq!(said("proof"), text("jwt"));
        assert_eq!(said("policy"), text("api"));
        assert_eq!(said("claims.org.unit"), text("a"));
        assert_eq!(said("claims.org.level"), text("3"));
        let list = |all: &[&str]| Some(Told::Texts(all.iter().map(ToString::to_string).collect()));
        assert_eq!(said("groups"), list(&["ops", "dev"]));
        assert_eq!(said("claims.roles"), list(&["x", "7"]));
        assert_eq!(said("claims.o"), None);
        assert_eq!(said("claims.none"), None);
    }

    #[test]
    fn an_email_address_is_told_only_where_the_claim_email_is_asked_for() {
        let address = "ada@example.com";
        let claims = json!({"email": address, "upn": address, "all": ["x", address]});

        assert_eq!(said("claims.email", "ada", claims.clone()), text(address));
        assert_eq!(said("claims.upn", "ada", claims.clone()), None);
        assert_eq!(said("claims.all", "ada", claims.clone()), None);
        assert_eq!(said("subject", address, claims), None);
    }

    #[test]
    fn a_list_at_the_bound_is_told_and_a_longer_one_is_not() {
        for (count, is_told) in [(0, false), (1, true), (64, true), (65, false)] {
            let claims = json!({"roles": vec!["x"; count]});
            assert_eq!(
                said("claims.roles", "ada", claims).is_some(),
                is_told,
                "{count}"
            );
        }
    }
}
