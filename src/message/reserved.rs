//! Names of header fields that only edgespan writes: those by which origins learn who a client is.
//!
//! What a client sends under such a name is removed from every request, before anything looks at
//! it, and under every spelling that some server reads as the same name: `X_Auth_User` passes a
//! proxy that looks for `X-Auth-User`, and is the same variable to CGI, WSGI and PHP.

use super::forwarded::{is_spelling_of, is_spelt_behind};
use http::{HeaderMap, HeaderName};

/// Lengths at and above this one share a bit.
const LONGEST: usize = 63;

/// Such names. Empty in most configurations, and then nothing is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    names: Box<[HeaderName]>,
    /// Beginnings of further names.
    prefixes: Box<[Box<str>]>,
    /// One bit for each length that a name has: most fields of a request need no second look.
    lengths: u64,
}

impl Reserved {
    /// These names. One that is another spelling of one before it is left out.
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut held: Vec<HeaderName> = Vec::new();
        for name in names {
            let known = |held: &HeaderName| is_spelling_of(name.as_str(), held.as_str());
            if !held.iter().any(known) {
                held.push(name);
            }
        }
        let lengths = held.iter().fold(0, |bits, name| bits | bit_of(name));
        Self {
            names: held.into_boxed_slice(),
            prefixes: Box::default(),
            lengths,
        }
    }

    /// Reserves every name that begins like one of these, too.
    #[must_use]
    pub fn with_prefixes<'a>(mut self, prefixes: impl IntoIterator<Item = &'a str>) -> Self {
        self.prefixes = prefixes.into_iter().map(Box::from).collect();
        self
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.names.is_empty() && self.prefixes.is_empty()
    }

    /// The names that are known whole, each in the spelling of the configuration.
    pub fn names(&self) -> &[HeaderName] {
        &self.names
    }

    /// Whether a name is one of these, under whatever spelling.
    pub fn holds(&self, name: &HeaderName) -> bool {
        let spelt = |held: &HeaderName| is_spelling_of(name.as_str(), held.as_str());
        self.lengths & bit_of(name) != 0 && self.names.iter().any(spelt)
            || self
                .prefixes
                .iter()
                .any(|prefix| is_spelt_behind(name.as_str(), prefix))
    }

    /// The names of this kind that are there, as they are spelt.
    pub fn found(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        if self.is_empty() {
            return Vec::new();
        }
        let found = headers.keys().filter(|name| self.holds(name));
        found.cloned().collect()
    }

    /// Removes every field of such a name. Returns how many names were there.
    pub fn strip(&self, headers: &mut HeaderMap) -> usize {
        let found = self.found(headers);
        for name in &found {
            headers.remove(name);
        }
        found.len()
    }
}

fn bit_of(name: &HeaderName) -> u64 {
    1 << name.as_str().len().min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn reserved() -> Reserved {
        let names = ["x-auth-user", "x-groups", "remote-user"];
        Reserved::new(names.map(HeaderName::from_static))
    }

    fn headers(names: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in names {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_static("mallory"));
        }
        headers
    }

    /// What a CGI server makes of fields: the variable's name, all else than letters and digits
    /// read as `_`, with every value that it gets (RFC 3875 section 4.1.18, and PHP's reading).
    fn cgi(headers: &HeaderMap) -> HashMap<String, Vec<String>> {
        let mut variables: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in headers {
            let fold = |one: char| match one.to_ascii_uppercase() {
                letter if letter.is_ascii_alphanumeric() => letter,
                _ => '_',
            };
            let name = name.as_str().chars().map(fold).collect::<String>();
            let values = variables.entry(format!("HTTP_{name}")).or_default();
            values.push(value.to_str().unwrap().to_owned());
        }
        variables
    }

    #[test]
    fn a_reserved_name_goes_under_every_spelling_and_as_often_as_it_stands() {
        for spelling in [
            "x-auth-user",
            "X-Auth-User",
            "X_Auth_User",
            "x_auth-user",
            "x.auth.user",
            "x-auth.user",
            "x~auth!user",
        ] {
            let mut found = headers(&[spelling, spelling, "accept"]);

            let stripped = reserved().strip(&mut found);

            assert_eq!(stripped, 1, "{spelling}");
            assert_eq!(found, headers(&["accept"]), "{spelling}");
        }
    }

    #[test]
    fn other_names_stay_whatever_they_resemble() {
        let names = [
            "x-auth-users",
            "x-auth-use",
            "auth-user",
            "xauthuser",
            "x-auth-user2",
        ];
        let mut found = headers(&names);

        assert_eq!(reserved().strip(&mut found), 0);
        assert_eq!(found, headers(&names));
        assert_eq!(Reserved::default().strip(&mut found), 0);
    }

    #[test]
    fn a_beginning_reserves_every_name_behind_it_under_every_spelling() {
        let reserved = Reserved::default().with_prefixes(["x-auth-"]);
        let mut found = headers(&[
            "X_Auth_User",
            "x-auth-",
            "x-auth.groups",
            "x-aut",
            "x-author",
        ]);

        assert_eq!(reserved.strip(&mut found), 3);
        assert_eq!(found, headers(&["x-aut", "x-author"]));
    }

    #[test]
    fn two_spellings_are_one_name_and_the_first_stays() {
        let names = ["x-user", "x_user", "x-team"];

        let reserved = Reserved::new(names.map(HeaderName::from_static));

        let names: Vec<&str> = reserved.names().iter().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-user", "x-team"]);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_a_cgi_server_sees_none_of_it(
            names in proptest::collection::vec(
                "[xX][-_.!#$%&'*+^`|~][aA][uU][tT][hH][-_.!#$%&'*+^`|~][uU]ser|[a-zA-Z_.-]{1,12}",
                0..12,
            ),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut found = headers(&names);

            reserved().strip(&mut found);

            let seen = cgi(&found);
            for variable in ["HTTP_X_AUTH_USER", "HTTP_X_GROUPS", "HTTP_REMOTE_USER"] {
                prop_assert!(!seen.contains_key(variable), "{variable}: {seen:?}");
            }
        }

        #[test]
        fn what_we_set_afterwards_stands_there_exactly_once(
            names in proptest::collection::vec("[xX][-_.][aA]uth[-_.][uU]ser|[a-z-]{1,9}", 0..9),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut found = headers(&names);

            reserved().strip(&mut found);
            let ours = HeaderValue::from_static("ada");
            found.insert(HeaderName::from_static("x-auth-user"), ours);

            prop_assert_eq!(&cgi(&found)["HTTP_X_AUTH_USER"], &["ada".to_owned()]);
        }
    }
}
