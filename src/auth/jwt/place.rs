//! Where a request carries its token.

use super::TokenPlace;
use crate::auth::jose::TOKEN_BYTES_MAX;
use crate::auth::places::{in_cookies, in_query};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::borrow::Cow;

/// What a request carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carried<'a> {
    Nothing,
    /// More than one, equal or not; or `Authorization` twice.
    Several,
    /// What no token is written like.
    Malformed,
    Token(Cow<'a, str>),
}

/// Looks at every place.
pub(super) fn carried<'a>(
    places: &[TokenPlace],
    headers: &'a HeaderMap,
    query: Option<&'a str>,
) -> Carried<'a> {
    let mut found = None;
    for place in places {
        let is_unrivalled = match place {
            TokenPlace::Bearer => {
                let mut fields = headers.get_all(AUTHORIZATION).iter();
                let field = fields.next();
                let token = field.and_then(|field| bearer(field.as_bytes()));
                fields.next().is_none() && is_sole(&mut found, token.map(Cow::Borrowed))
            }
            TokenPlace::Header(name) => {
                let values = headers.get_all(name).iter();
                let values = values.map(|value| Cow::Borrowed(value.as_bytes().trim_ascii()));
                is_sole(&mut found, values)
            }
            // A cookie that says nothing is how one is taken away.
            TokenPlace::Cookie(name) => {
                let values = in_cookies(name, headers).filter(|value| !value.is_empty());
                is_sole(&mut found, values)
            }
            TokenPlace::Query(name) => is_sole(&mut found, in_query(name, query)),
        };
        if !is_unrivalled {
            return Carried::Several;
        }
    }
    found.map_or(Carried::Nothing, token)
}

/// Whether what is found here is the first thing that is found anywhere, or nothing.
fn is_sole<'a>(
    found: &mut Option<Cow<'a, [u8]>>,
    here: impl IntoIterator<Item = Cow<'a, [u8]>>,
) -> bool {
    let mut here = here.into_iter();
    here.all(|one| found.replace(one).is_none())
}

/// What stands behind the scheme `Bearer`, whose case does not matter (RFC 9110, section 11.1).
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let field = field.trim_ascii();
    let (scheme, rest) = field.split_at_checked("bearer".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer")
        && rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    is_bearer.then(|| rest.trim_ascii())
}

/// One word of printable characters (RFC 6750 has fewer of them still).
fn token(bytes: Cow<'_, [u8]>) -> Carried<'_> {
    // Without a branch for each byte: a token is looked at with every request that shows it.
    let is_graphic =
        |all: bool, byte: &u8| all & byte.is_ascii_graphic() & (*byte != b',') & (*byte != b'"');
    let is_word =
        (1..=TOKEN_BYTES_MAX).contains(&bytes.len()) && bytes.iter().fold(true, is_graphic);
    if !is_word {
        return Carried::Malformed;
    }
    let text = match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    };
    text.map_or(Carried::Malformed, Carried::Token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn everywhere() -> [TokenPlace; 4] {
        [
            TokenPlace::Bearer,
            TokenPlace::Header(HeaderName::from_static("cf-access-jwt-assertion")),
            TokenPlace::Cookie("CF_Authorization".into()),
            TokenPlace::Query("access_token".into()),
        ]
    }

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    #[track_caller]
    fn finds(fields: &[(&'static str, &str)], query: &str, wanted: &Carried<'_>) {
        let headers = map(fields);
        let found = carried(&everywhere(), &headers, Some(query));
        assert_eq!(found, *wanted, "{fields:?} {query}");
    }

    fn a_token() -> Carried<'static> {
        Carried::Token("a.b.c".into())
    }

    #[test]
    fn a_token_is_found_in_each_place() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            finds(
                &[("authorization", &format!("{scheme} a.b.c"))],
                "",
                &a_token(),
            );
        }
        finds(&[("authorization", "Bearer   a.b.c")], "", &a_token());
        finds(&[("cf-access-jwt-assertion", "a.b.c")], "", &a_token());
        finds(
            &[("cookie", "x=1; CF_Authorization=a.b.c; y")],
            "",
            &a_token(),
        );
        finds(&[], "x=1&access_token=a.b.c", &a_token());
        finds(&[], "access%5Ftoken=a%2Eb.c", &a_token());
    }

    #[test]
    fn what_is_no_token_of_these_places_is_nothing() {
        for fields in [
            &[][..],
            &[("authorization", "Basic YTpi")],
            &[("authorization", "Bearerx a.b.c")],
            &[("authorization", "")],
            &[("x-token", "a.b.c")],
            &[("cookie", "cf_authorization=a.b.c")],
            &[("cookie", "CF_Authorization=")],
        ] {
            finds(fields, "Access_Token=a.b.c", &Carried::Nothing);
        }
        let headers = map(&[("cookie", "CF_Authorization=a.b.c")]);
        let found = carried(&[TokenPlace::Bearer], &headers, Some("access_token=a.b.c"));
        assert_eq!(found, Carried::Nothing, "a place that nobody asked for");
    }

    #[test]
    fn two_tokens_and_two_fields_of_authorization_are_several() {
        let token = "Bearer a.b.c";
        for (fields, query) in [
            (
                &[("authorization", token), ("authorization", token)][..],
                "",
            ),
            (
                &[("authorization", token), ("authorization", "Basic YTpi")],
                "",
            ),
            (
                &[("authorization", "Basic YTpi"), ("authorization", token)],
                "",
            ),
            (
                &[
                    ("authorization", token),
                    ("cf-access-jwt-assertion", "a.b.c"),
                ],
                "",
            ),
            (&[("cookie", "CF_Authorization=a; CF_Authorization=a")], ""),
            (
                &[
                    ("cookie", "CF_Authorization=a"),
                    ("cookie", "CF_Authorization=b"),
                ],
                "",
            ),
            (&[("authorization", token)], "access_token=a.b.c"),
            (&[], "access_token=a&access%5ftoken=b"),
        ] {
            finds(fields, query, &Carried::Several);
        }
    }

    #[test]
    fn what_no_token_is_written_like_is_told_from_nothing() {
        for field in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a,b",
            "Bearer a.b.c, Bearer d.e.f",
            "Bearer \"a\"",
        ] {
            finds(&[("authorization", field)], "", &Carried::Malformed);
        }
        finds(&[], "access_token=", &Carried::Malformed);
        finds(&[], "access_token=a%00b", &Carried::Malformed);
        for (bytes, is_token) in [(TOKEN_BYTES_MAX, true), (TOKEN_BYTES_MAX + 1, false)] {
            let field = format!("Bearer {}", "a".repeat(bytes));
            let headers = map(&[("authorization", &field)]);
            let found = carried(&everywhere(), &headers, None);
            assert_eq!(matches!(found, Carried::Token(_)), is_token, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_never_more_than_one_printable_word(
            field in "[ -~\t]{0,40}", cookie in "[ -~]{0,40}", query in "[!-~]{0,40}",
        ) {
            let headers = map(&[("authorization", &field), ("cookie", &cookie)]);
            if let Carried::Token(token) = carried(&everywhere(), &headers, Some(&query)) {
                prop_assert!(!token.is_empty());
                prop_assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
