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
    /// What stands where a token belongs; [`token`] tells whether it can be one.
    Text(Cow<'a, [u8]>),
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
    found.map_or(Carried::Nothing, Carried::Text)
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

/// A text as a token: one word of printable characters (RFC 6750 has fewer of them still). None: no
/// token is written like it.
pub(super) fn token(text: &[u8]) -> Option<&str> {
    let is_graphic = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'"');
    let is_word = can_be_one(text) && text.iter().all(is_graphic);
    std::str::from_utf8(text).ok().filter(|_| is_word)
}

/// Whether it is as long as a token may be.
pub(super) fn can_be_one(text: &[u8]) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&text.len())
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

    #[derive(Debug, PartialEq)]
    enum Found {
        Nothing,
        Several,
        Malformed,
        Token(String),
    }

    fn found(headers: &HeaderMap, query: &str) -> Found {
        match carried(&everywhere(), headers, Some(query)) {
            Carried::Nothing => Found::Nothing,
            Carried::Several => Found::Several,
            Carried::Text(text) => match token(&text) {
                None => Found::Malformed,
                Some(token) => Found::Token(token.to_owned()),
            },
        }
    }

    #[track_caller]
    fn finds(fields: &[(&'static str, &str)], query: &str, wanted: &Found) {
        let headers = map(fields);
        let found = found(&headers, query);
        assert_eq!(found, *wanted, "{fields:?} {query}");
    }

    fn a_token() -> Found {
        Found::Token("a.b.c".into())
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
            finds(fields, "Access_Token=a.b.c", &Found::Nothing);
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
            finds(fields, query, &Found::Several);
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
            finds(&[("authorization", field)], "", &Found::Malformed);
        }
        finds(&[], "access_token=", &Found::Malformed);
        finds(&[], "access_token=a%00b", &Found::Malformed);
        for (bytes, is_token) in [(TOKEN_BYTES_MAX, true), (TOKEN_BYTES_MAX + 1, false)] {
            let field = format!("Bearer {}", "a".repeat(bytes));
            let headers = map(&[("authorization", &field)]);
            let found = found(&headers, "");
            assert_eq!(matches!(found, Found::Token(_)), is_token, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_never_more_than_one_printable_word(
            field in "[ -~\t]{0,40}", cookie in "[ -~]{0,40}", query in "[!-~]{0,40}",
        ) {
            let headers = map(&[("authorization", &field), ("cookie", &cookie)]);
            if let Found::Token(token) = found(&headers, &query) {
                prop_assert!(!token.is_empty());
                prop_assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
