//! Query parameters that a policy sets or removes on the way to the upstream.
//!
//! What it does not name stays byte for byte and in its order: a query may be signed, and servers
//! read repeated names in different ways. Path and route are not touched.

use http::Uri;
use http::uri::{InvalidUri, PathAndQuery};
use std::borrow::Cow;
use std::fmt::Write as _;
use url::form_urlencoded;

/// Changes the query of a target: sets, then removes, as Envoy does.
///
/// # Errors
/// The new target is longer than one can be.
pub(super) fn edit(
    uri: &mut Uri,
    set: &[(Box<str>, Box<str>)],
    remove: &[Box<str>],
) -> Result<(), InvalidUri> {
    if set.is_empty() && remove.is_empty() {
        return Ok(());
    }
    let before = uri.query().unwrap_or_default();
    let after = edited(before, set, remove);
    if after == before {
        return Ok(());
    }
    let mut target = uri.path().to_owned();
    if !after.is_empty() {
        target.push('?');
        target.push_str(&after);
    }
    *uri = Uri::from(PathAndQuery::try_from(target)?);
    Ok(())
}

fn edited(query: &str, set: &[(Box<str>, Box<str>)], remove: &[Box<str>]) -> String {
    let pieces = query.split('&').filter(|_| !query.is_empty());
    let mut pieces: Vec<Cow<'_, str>> = pieces.map(Cow::Borrowed).collect();
    for (name, value) in set {
        let written = Cow::Owned(format!("{}={}", escaped(name), escaped(value)));
        let place = pieces.iter().position(|piece| is_called(piece, name));
        let Some(place) = place else {
            pieces.push(written);
            continue;
        };
        // In place of the first; a second one would be the client's word beside ours.
        let mut index = 0;
        pieces.retain(|piece| {
            index += 1;
            index - 1 <= place || !is_called(piece, name)
        });
        if let Some(first) = pieces.get_mut(place) {
            *first = written;
        }
    }
    pieces.retain(|piece| !remove.iter().any(|name| is_called(piece, name)));
    pieces.join("&")
}

/// Whether a piece of a query is a parameter of this name, however its name is escaped.
fn is_called(piece: &str, name: &str) -> bool {
    let mut parsed = form_urlencoded::parse(piece.as_bytes());
    parsed.next().is_some_and(|(found, _)| found == name)
}

/// With everything escaped that is not unreserved (RFC 3986 section 2.3): a space as `%20`, which
/// every server reads as one.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Pairs = Vec<(String, String)>;

    fn pairs(query: &str) -> Pairs {
        form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect()
    }

    #[track_caller]
    fn check(target: &str, set: &[(&str, &str)], remove: &[&str], expected: &str) {
        let mut uri: Uri = target.parse().unwrap();
        let set: Vec<_> = set
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let remove: Vec<_> = remove.iter().map(|name| (*name).into()).collect();
        edit(&mut uri, &set, &remove).unwrap();
        assert_eq!(uri.to_string(), expected);
    }

    #[test]
    fn what_is_not_named_stays_as_it_is_and_where_it_is() {
        check("/a?x=%7e&&y&z=1;2", &[], &["w"], "/a?x=%7e&&y&z=1;2");
        check("/a?b=1&a=2", &[("a", "3")], &[], "/a?b=1&a=3");
        check("/a", &[("a", "3")], &[], "/a?a=3");
        check("/a?b", &[("a", "")], &[], "/a?b&a=");
        check("/a?token=t&b=1", &[], &["token"], "/a?b=1");
        check("/a?token=t", &[], &["token"], "/a");
    }

    #[test]
    fn a_name_is_found_however_it_is_escaped_and_as_often_as_it_stands() {
        check(
            "/?%75ser=m&user=m&u%73er",
            &[("user", "ada")],
            &[],
            "/?user=ada",
        );
        check("/?a=1&%61=2&A=3", &[], &["a"], "/?A=3");
        check("/?a+b=1&a%20b=2", &[], &["a b"], "/");
    }

    #[test]
    fn values_cannot_make_parameters_of_their_own() {
        let set = [("q", "1&admin=true#x"), ("ü", "a b+c")];
        check("/", &set, &[], "/?q=1%26admin%3Dtrue%23x&%C3%BC=a%20b%2Bc");
    }

    #[test]
    fn what_is_set_and_removed_is_gone() {
        check("/?a=1", &[("a", "2"), ("b", "3")], &["a"], "/?b=3");
    }

    #[test]
    fn a_target_that_grows_beyond_its_bound_is_an_error_and_stays() {
        let mut uri: Uri = "/a?b=1".parse().unwrap();
        let set = [("c".into(), "x".repeat(70_000).into())];
        assert!(edit(&mut uri, &set, &[]).is_err());
        assert_eq!(uri, "/a?b=1");
    }

    proptest! {
        #[test]
        fn an_origin_reads_what_was_set_once_and_the_rest_as_before(
            query in "[a-d=&%+0-9;~]{0,40}",
            set in proptest::collection::vec(("[a-d]{1,2}", "\\PC{0,8}"), 0..4),
            remove in proptest::collection::vec("[a-d]{1,2}", 0..3),
        ) {
            let uri: Result<Uri, _> = format!("/p?{query}").parse();
            prop_assume!(uri.is_ok());
            let mut uri = uri.unwrap();
            let set: Vec<(Box<str>, Box<str>)> =
                set.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let remove: Vec<Box<str>> = remove.into_iter().map(Into::into).collect();
            let before = pairs(uri.query().unwrap_or_default());
            edit(&mut uri, &set, &remove).unwrap();
            prop_assert_eq!(uri.path(), "/p");
            let after = pairs(uri.query().unwrap_or_default());
            let named = |name: &str| {
                set.iter().any(|(set, _)| &**set == name) || remove.iter().any(|one| &**one == name)
            };
            let rest = |pairs: &Pairs| -> Pairs {
                pairs.iter().filter(|(name, _)| !named(name)).cloned().collect()
            };
            prop_assert_eq!(rest(&before), rest(&after));
            for (name, _) in &set {
                let last = set.iter().rev().find(|(other, _)| other == name).unwrap();
                let found: Vec<_> = after.iter().filter(|(other, _)| **other == **name).collect();
                if remove.contains(name) {
                    prop_assert!(found.is_empty());
                } else {
                    prop_assert_eq!(found.len(), 1);
                    prop_assert_eq!(&*found[0].1, &*last.1);
                }
            }
        }
    }
}
