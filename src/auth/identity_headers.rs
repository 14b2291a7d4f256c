//! What origins learn of who a client is: header fields made of its identity.
//!
//! A field says all of its value or is not there: what no header can hold, what would be read as
//! something else, and what is too long is left out and counted, never cut or escaped.

use super::{Identity, Proof, claims};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::sync::Arc;

/// Longest value of one field, in bytes. Many servers take heads of 8 KiB in all.
const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Which header fields are made of an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentitySettings {
    /// Fields by name.
    pub headers: Vec<(HeaderName, IdentityPart)>,
    /// What stands between the elements of a list.
    pub separator: Box<str>,
    /// The attribute of the SERVER span that names the subject, such as `enduser.id`; None: none
    /// does, since a subject may be an e-mail address.
    pub span_attribute: Option<&'static str>,
    /// Further attributes of the SERVER span by name.
    pub span_attributes: Vec<(Box<str>, IdentityPart)>,
}

/// One part of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityPart {
    /// The name it is known by.
    Subject,
    /// Its groups.
    Groups,
    /// How it was proved.
    Proof,
    /// The policy that proved it.
    Policy,
    /// A claim, by its path from the outermost object.
    Claim(Box<[Box<str>]>),
}

/// What becomes of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityField {
    /// It says this.
    Known(HeaderValue),
    /// There is nothing to say.
    Unknown,
    /// There is, and no field can say it.
    Unfit,
}

impl IdentitySettings {
    /// What becomes of each field, in the file's order.
    pub fn fields<'a>(
        &'a self,
        identity: Option<&'a Identity>,
    ) -> impl Iterator<Item = (&'a HeaderName, IdentityField)> {
        self.headers.iter().map(move |(name, part)| {
            let field = identity.map_or(IdentityField::Unknown, |identity| {
                part.field(identity, &self.separator)
            });
            (name, field)
        })
    }

    /// Writes the fields of which something is known; all of them were removed from what the
    /// client sent. Returns the names of those that cannot be said.
    pub fn write<'a>(
        &'a self,
        identity: Option<&'a Identity>,
        headers: &mut HeaderMap,
    ) -> Vec<&'a HeaderName> {
        let mut unfit = Vec::new();
        for (name, field) in self.fields(identity) {
            match field {
                IdentityField::Known(value) => {
                    headers.insert(name.clone(), value);
                }
                IdentityField::Unknown => {}
                IdentityField::Unfit => unfit.push(name),
            }
        }
        unfit
    }
}

impl IdentityPart {
    /// Reads `subject`, `groups`, `proof`, `policy` or `claims.NAME`, where dots lead into objects
    /// and a name that holds a dot itself stands in double quotes.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "subject" => Some(Self::Subject),
            "groups" => Some(Self::Groups),
            "proof" => Some(Self::Proof),
            "policy" => Some(Self::Policy),
            _ => claim_path(text.strip_prefix("claims.")?).map(Self::Claim),
        }
    }

    /// What a field says of this part of an identity.
    fn field(&self, identity: &Identity, separator: &str) -> IdentityField {
        match self {
            Self::Subject => text(identity.subject.as_deref().unwrap_or_default()),
            Self::Groups => list(identity.groups.iter().map(|group| &**group), separator),
            Self::Proof => text(identity.proof.name()),
            Self::Policy => text(&identity.policy),
            Self::Claim(path) => claim(identity, path, separator),
        }
    }
}

/// A path of names: `a.b`, or `"https://example.com/a".b`. None: it is none.
pub fn claim_path(text: &str) -> Option<Box<[Box<str>]>> {
    let mut path = Vec::new();
    let mut left = text;
    loop {
        let (name, rest) = match left.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => left.split_at(left.find('.').unwrap_or(left.len())),
        };
        if name.is_empty() || (!left.starts_with('"') && name.contains('"')) {
            return None;
        }
        path.push(Box::from(name));
        if rest.is_empty() {
            return Some(path.into_boxed_slice());
        }
        left = rest.strip_prefix('.')?;
    }
}

/// A claim by its path.
pub(super) fn at<'a>(identity: &'a Identity, path: &[Box<str>]) -> Option<&'a Value> {
    claims::at(&identity.claims, path)
}

fn claim(identity: &Identity, path: &[Box<str>], separator: &str) -> IdentityField {
    match at(identity, path) {
        None | Some(Value::Null) => IdentityField::Unknown,
        Some(Value::Array(elements)) => {
            let texts: Option<Vec<String>> = elements.iter().map(scalar).collect();
            match texts {
                Some(texts) => list(texts.iter().map(String::as_str), separator),
                None => IdentityField::Unfit,
            }
        }
        Some(Value::String(own)) => text(own),
        Some(other) => scalar(other).map_or(IdentityField::Unfit, |own| text(&own)),
    }
}

/// A value that is one word, and no list or object.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Elements with the separator between them. One that holds the separator would be read as two,
/// and one that begins or ends with a space as another one.
fn list<'a>(elements: impl Iterator<Item = &'a str>, separator: &str) -> IdentityField {
    let mut joined = String::new();
    for element in elements.filter(|element| !element.is_empty()) {
        if element.contains(separator.trim()) || element.trim() != element {
            return IdentityField::Unfit;
        }
        if !joined.is_empty() {
            joined.push_str(separator);
        }
        joined.push_str(element);
        if joined.len() > VALUE_BYTES_MAX {
            return IdentityField::Unfit;
        }
    }
    text(&joined)
}

/// One word. Servers trim what they read, so that outer space would make another word of it.
fn text(own: &str) -> IdentityField {
    if own.is_empty() {
        return IdentityField::Unknown;
    }
    if own.len() > VALUE_BYTES_MAX || own.trim() != own || own.contains(char::is_control) {
        return IdentityField::Unfit;
    }
    // UTF-8 goes as it is (RFC 9110 section 5.5 has `obs-text` for it).
    HeaderValue::from_bytes(own.as_bytes()).map_or(IdentityField::Unfit, IdentityField::Known)
}

impl Identity {
    /// The name and the policy that tell this client from all others; None: it has no name.
    pub fn known_as(&self) -> Option<(&Arc<str>, &Arc<str>)> {
        let subject = self
            .subject
            .as_ref()
            .filter(|subject| !subject.is_empty())?;
        Some((&self.policy, subject))
    }

    /// Which API key it was proved by, if it was by one. The claim of that name is only that of a
    /// key where the proof is.
    pub fn api_key(&self) -> Option<&str> {
        let by_key = self.proof == Proof::ApiKey;
        self.claims.get("key_id").filter(|_| by_key)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn identity(groups: &[&str], claims: Value) -> Identity {
        let Value::Object(claims) = claims else {
            panic!("claims are an object");
        };
        Identity {
            subject: Some(Arc::from("ada")),
            groups: groups.iter().map(|group| Arc::from(*group)).collect(),
            claims,
            proof: Proof::Basic,
            policy: Arc::from("ops"),
        }
    }

    fn said(part: &str, identity: &Identity) -> IdentityField {
        IdentityPart::parse(part).unwrap().field(identity, ",")
    }

    fn known(text: &str) -> IdentityField {
        IdentityField::Known(HeaderValue::from_bytes(text.as_bytes()).unwrap())
    }

    #[test]
    fn every_part_of_an_identity_can_be_said() {
        let claims = json!({
            "email": "ada@example.com",
            "level": 3,
            "staff": true,
            "gone": null,
            "org": {"unit": {"name": "ops"}, "tags": ["a", "b"]},
            "https://example.com/roles": ["x", 7],
        });
        let ada = identity(&["admins", "ops"], claims);

        assert_eq!(said("subject", &ada), known("ada"));
        assert_eq!(said("groups", &ada), known("admins,ops"));
        assert_eq!(said("proof", &ada), known("basic"));
        assert_eq!(said("policy", &ada), known("ops"));
        assert_eq!(said("claims.email", &ada), known("ada@example.com"));
        assert_eq!(said("claims.level", &ada), known("3"));
        assert_eq!(said("claims.staff", &ada), known("true"));
        assert_eq!(said("claims.org.unit.name", &ada), known("ops"));
        assert_eq!(said("claims.org.tags", &ada), known("a,b"));
        let roles = "claims.\"https://example.com/roles\"";
        assert_eq!(said(roles, &ada), known("x,7"));
        assert_eq!(said("claims.gone", &ada), IdentityField::Unknown);
        assert_eq!(said("claims.none.at.all", &ada), IdentityField::Unknown);
        assert_eq!(said("claims.org", &ada), IdentityField::Unfit);
    }

    #[test]
    fn what_is_no_part_is_not_read_as_one() {
        for text in [
            "",
            "name",
            "claims",
            "claims.",
            "claims..a",
            "claims.a.",
            "claims.a..b",
            "claims.\"a",
            "claims.\"a\"b",
            "claims.\"\"",
            "claims.a\"b\"",
            "Subject",
        ] {
            assert_eq!(IdentityPart::parse(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_in_a_name_becomes_another_field_or_another_name() {
        for subject in [
            "ada\r\nx-admin: 1",
            "ada\n",
            "a\0b",
            " ada",
            "ada ",
            "\u{85}",
            "a\tb",
        ] {
            let subject = Identity {
                subject: Some(Arc::from(subject)),
                ..identity(&[], json!({}))
            };

            assert_eq!(said("subject", &subject), IdentityField::Unfit);
        }
    }

    #[test]
    fn a_group_that_reads_as_two_leaves_the_whole_list_out() {
        for groups in [&["ops,admins"][..], &["ops", " admins"], &["a", "b\n"]] {
            let found = said("groups", &identity(groups, json!({})));

            assert_eq!(found, IdentityField::Unfit, "{groups:?}");
        }
        assert_eq!(
            said("groups", &identity(&["", "a", ""], json!({}))),
            known("a")
        );
        assert_eq!(
            said("groups", &identity(&[], json!({}))),
            IdentityField::Unknown
        );
    }

    #[test]
    fn a_value_at_the_bound_is_said_whole_and_one_byte_more_not_at_all() {
        for (bytes, fits) in [
            (VALUE_BYTES_MAX - 1, true),
            (VALUE_BYTES_MAX, true),
            (VALUE_BYTES_MAX + 1, false),
        ] {
            let name = "a".repeat(bytes);
            let long = identity(
                &[&name],
                json!({"one": name.as_str(), "list": ["a", &name]}),
            );

            assert_eq!(said("claims.one", &long) == known(&name), fits);
            assert_eq!(said("groups", &long) == known(&name), fits);
            assert_eq!(said("claims.list", &long), IdentityField::Unfit);
        }
    }

    #[test]
    fn fields_of_which_nothing_is_known_are_absent() {
        let settings = IdentitySettings {
            headers: vec![
                (HeaderName::from_static("x-user"), IdentityPart::Subject),
                (HeaderName::from_static("x-by"), IdentityPart::Proof),
            ],
            separator: ",".into(),
            span_attribute: None,
            span_attributes: Vec::new(),
        };
        let nobody = Identity {
            subject: None,
            ..identity(&[], json!({}))
        };
        let (mut headers, mut anonymous) = (HeaderMap::new(), HeaderMap::new());

        assert!(settings.write(Some(&nobody), &mut headers).is_empty());
        assert!(settings.write(None, &mut anonymous).is_empty());

        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-by"], "basic");
        assert!(anonymous.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_said_is_the_subject_byte_for_byte(subject in any::<String>()) {
            let one = Identity {
                subject: Some(Arc::from(subject.as_str())),
                ..identity(&[], json!({}))
            };

            if let IdentityField::Known(value) = said("subject", &one) {
                prop_assert_eq!(value.as_bytes(), subject.as_bytes());
                prop_assert!(!subject.contains(['\r', '\n', '\0']));
            }
        }

        #[test]
        fn a_list_splits_into_the_elements_it_was_made_of(
            groups in proptest::collection::vec("[a-c, ;]{1,4}", 0..5),
        ) {
            let texts: Vec<&str> = groups.iter().map(String::as_str).collect();

            if let IdentityField::Known(value) = said("groups", &identity(&texts, json!({}))) {
                let read: Vec<&str> = value.to_str().unwrap().split(',').map(str::trim).collect();
                prop_assert_eq!(read, texts);
            }
        }

        #[test]
        fn no_text_breaks_the_reader_of_paths(text in any::<String>()) {
            let _part = IdentityPart::parse(&text);
        }
    }
}
