//! Which header fields are meant: by name, by how the name begins, or all.

use http::HeaderName;

/// Which header fields are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldPattern {
    /// All of them.
    All,
    /// Those whose lower-case name begins with this.
    Prefix(Box<str>),
    /// This one.
    Name(HeaderName),
}

impl FieldPattern {
    /// Reads a name, a beginning with `*` behind it, or `*` alone. None: it is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(prefix) = text.strip_suffix('*') else {
            return HeaderName::from_bytes(text.as_bytes()).ok().map(Self::Name);
        };
        if prefix.is_empty() {
            return Some(Self::All);
        }
        let prefix = HeaderName::from_bytes(prefix.as_bytes()).ok()?;
        Some(Self::Prefix(prefix.as_str().into()))
    }

    /// Whether it means this field by its exact name.
    pub fn names(&self, field: &HeaderName) -> bool {
        matches!(self, Self::Name(name) if name == field)
    }

    /// Whether it means this field as it is spelt.
    pub fn takes(&self, field: &HeaderName) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => field.as_str().starts_with(&**prefix),
            Self::Name(name) => name == field,
        }
    }

    /// Whether it means this field in some spelling that servers fold together.
    pub fn takes_folded(&self, field: &HeaderName) -> bool {
        let fold = |byte: u8| {
            if byte.is_ascii_alphanumeric() {
                byte
            } else {
                b'-'
            }
        };
        let begins = |with: &str| {
            let field = field.as_str();
            let mut pairs = field.bytes().zip(with.bytes());
            field.len() >= with.len() && pairs.all(|(left, right)| fold(left) == fold(right))
        };
        match self {
            Self::All => true,
            Self::Prefix(prefix) => begins(prefix),
            Self::Name(name) => {
                field.as_str().len() == name.as_str().len() && begins(name.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> FieldPattern {
        FieldPattern::parse(text).unwrap()
    }

    #[test]
    fn a_star_stands_at_the_end_or_alone() {
        assert_eq!(pattern("*"), FieldPattern::All);
        assert_eq!(pattern("X-Auth-*"), FieldPattern::Prefix("x-auth-".into()));
        assert!(matches!(pattern("Cookie"), FieldPattern::Name(_)));
        assert_eq!(FieldPattern::parse(""), None);
        assert_eq!(FieldPattern::parse("a b*"), None);
    }

    #[test]
    fn a_spelling_that_some_server_folds_is_the_same_field() {
        for (text, field, exact, folded) in [
            ("x-auth-user", "x-auth-user", true, true),
            ("x-auth-user", "x_auth_user", false, true),
            ("x-auth-user", "x-auth_user", false, true),
            ("x-auth-user", "x-auth-user2", false, false),
            ("x-auth-*", "x_auth-user", false, true),
            ("x-auth-*", "x-auth-", true, true),
            ("x-auth-*", "x-auth", false, false),
            ("*", "anything", true, true),
        ] {
            let name = HeaderName::from_static(field);
            assert_eq!(pattern(text).takes(&name), exact, "{text} {field}");
            assert_eq!(pattern(text).takes_folded(&name), folded, "{text} {field}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            drop(FieldPattern::parse(&text));
        }
    }
}
