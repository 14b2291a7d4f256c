//! What a provider's answers say. Words of its own never leave here: its refusals become words of
//! the specification, since what it writes beside them may hold anything.

use super::ProviderError;
use super::calls::Tokens;
use super::line::Reply;
use crate::secret::Secret;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};
use std::time::Duration;

/// Largest token that is taken, in bytes.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// Largest `request_uri` that is taken, in bytes.
const REQUEST_URI_BYTES_MAX: usize = 2 * 1024;
/// Longest life of a token that is believed.
const LIFE_MAX: Duration = Duration::from_hours(24 * 366);

/// `error` of RFC 6749 (sections 4.1.2.1, 5.2), RFC 6750 (3.1), RFC 7009 (2.2.1), RFC 9126 (2.3),
/// RFC 8707, and OpenID Connect Core 1.0 (3.1.2.6).
const ERRORS: [&str; 22] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
    "unsupported_response_type",
    "server_error",
    "temporarily_unavailable",
    "invalid_token",
    "insufficient_scope",
    "unsupported_token_type",
    "interaction_required",
    "login_required",
    "account_selection_required",
    "consent_required",
    "invalid_request_uri",
    "invalid_request_object",
    "request_not_supported",
    "invalid_target",
    "unmet_authentication_requirements",
];

/// A word of the specifications, or `other`: never the provider's own text.
pub fn error_word(error: &str) -> &'static str {
    let known = ERRORS.into_iter().find(|word| *word == error);
    known.unwrap_or("other")
}

pub(super) fn tokens(reply: &Reply) -> Result<Tokens, ProviderError> {
    let members = granted(reply)?;
    let kind = text(&members, "token_type")?.ok_or_else(|| bad("it has no `token_type`"))?;
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(bad("its tokens are no bearer tokens"));
    }
    let access = token(&members, "access_token")?;
    Ok(Tokens {
        access: access.ok_or_else(|| bad("it has no `access_token`"))?,
        id: token(&members, "id_token")?,
        refresh: token(&members, "refresh_token")?,
        expires_in: life(&members)?,
        scope: text(&members, "scope")?.map(Box::from),
        claims: Map::new(),
    })
}

/// What was pushed is called so from here on (RFC 9126, section 2.2).
pub(super) fn request_uri(reply: &Reply) -> Result<String, ProviderError> {
    let members = granted(reply)?;
    let uri = text(&members, "request_uri")?.unwrap_or_default();
    if uri.is_empty() || uri.len() > REQUEST_URI_BYTES_MAX {
        return Err(bad("it has no `request_uri` of use"));
    }
    Ok(uri.to_owned())
}

/// Claims of who logged in. As a signed token they are not asked for, and not taken.
pub(super) fn userinfo(reply: &Reply) -> Result<Map<String, Value>, ProviderError> {
    match reply.status {
        StatusCode::UNAUTHORIZED => return Err(ProviderError::Refused("invalid_token")),
        StatusCode::FORBIDDEN => return Err(ProviderError::Refused("insufficient_scope")),
        _ => {}
    }
    let kind = reply
        .headers
        .get(CONTENT_TYPE)
        .map(http::HeaderValue::as_bytes);
    let signed = b"application/jwt";
    let begins = kind.and_then(|kind| kind.get(..signed.len()));
    if begins.is_some_and(|begin| begin.eq_ignore_ascii_case(signed)) {
        return Err(bad(
            "its userinfo is a signed token; register the client without it",
        ));
    }
    let members = granted(reply)?;
    let subject = text(&members, "sub")?;
    if subject.is_none_or(str::is_empty) {
        return Err(bad("its userinfo has no `sub`"));
    }
    Ok(members)
}

/// Whether a token is valid; `active` is there and says so or not (RFC 7662, section 2.2).
pub(super) fn introspection(reply: &Reply) -> Result<Map<String, Value>, ProviderError> {
    let members = granted(reply)?;
    if members
        .get("active")
        .is_none_or(|active| !active.is_boolean())
    {
        return Err(bad("its `active` is neither true nor false"));
    }
    Ok(members)
}

/// Whatever it says beside the status does not matter (RFC 7009, section 2.2).
pub(super) fn revocation(reply: &Reply) -> Result<(), ProviderError> {
    if reply.status.is_success() {
        return Ok(());
    }
    Err(refusal(reply))
}

/// The members of an answer that gives what was asked for.
fn granted(reply: &Reply) -> Result<Map<String, Value>, ProviderError> {
    if !matches!(reply.status, StatusCode::OK | StatusCode::CREATED) {
        return Err(refusal(reply));
    }
    serde_json::from_slice(&reply.body).map_err(|_| bad("it is no JSON object"))
}

/// Why there is nothing: by `error` (RFC 6749, section 5.2), else by the status.
fn refusal(reply: &Reply) -> ProviderError {
    let members: Option<Map<String, Value>> = serde_json::from_slice(&reply.body).ok();
    let word = members
        .as_ref()
        .and_then(|members| members.get("error")?.as_str())
        .map(error_word);
    match word {
        Some(word @ ("server_error" | "temporarily_unavailable")) => {
            ProviderError::Unavailable(word.into())
        }
        Some(word) if reply.status.is_client_error() => ProviderError::Refused(word),
        _ if reply.status == StatusCode::UNAUTHORIZED => ProviderError::Refused("invalid_client"),
        _ => bad(&format!("it answers {}", reply.status.as_u16())),
    }
}

fn bad(text: &str) -> ProviderError {
    ProviderError::BadAnswer(text.into())
}

/// A member that is a text. `null` is as good as absent.
fn text<'m>(
    members: &'m Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'m str>, ProviderError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(&format!("its `{name}` is no text"))),
    }
}

/// A token fits into a header field: visible characters alone (RFC 6749, appendix A.12).
fn token(
    members: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Secret>, ProviderError> {
    let Some(token) = text(members, name)? else {
        return Ok(None);
    };
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !is_visible(token) {
        return Err(bad(&format!("its `{name}` is none that can be sent")));
    }
    Ok(Some(Secret::new(token)))
}

fn is_visible(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `expires_in`, also as a text of digits, as some providers write it.
fn life(members: &Map<String, Value>) -> Result<Option<Duration>, ProviderError> {
    let seconds = match members.get("expires_in") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok()
        }
        Some(_) => None,
    };
    let seconds = seconds.ok_or_else(|| bad("its `expires_in` is no number of seconds"))?;
    Ok(Some(Duration::from_secs(seconds).min(LIFE_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;
    use serde_json::json;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
        }
    }

    fn with(name: &str, value: Value) -> Result<Tokens, ProviderError> {
        let mut members = json!({"access_token": "a", "token_type": "Bearer"});
        members[name] = value;
        tokens(&reply(200, &members.to_string()))
    }

    #[test]
    fn tokens_are_read_with_their_life() {
        let read = tokens(&reply(
            200,
            r#"{"access_token":"a","token_type":"bearer","id_token":"b.c.d","refresh_token":null,
                "expires_in":3600,"scope":"openid","extra":[1]}"#,
        ));
        let read = read.unwrap();
        assert_eq!(read.access.expose(), "a");
        assert_eq!(read.id.unwrap().expose(), "b.c.d");
        assert!(read.refresh.is_none());
        assert_eq!(read.expires_in, Some(Duration::from_hours(1)));
        assert_eq!(
            with("expires_in", json!("60"))
                .unwrap()
                .expires_in
                .unwrap()
                .as_secs(),
            60
        );
        assert_eq!(
            with("expires_in", json!(u64::MAX)).unwrap().expires_in,
            Some(LIFE_MAX)
        );
    }

    #[test]
    fn a_member_of_the_wrong_kind_makes_no_tokens() {
        for (name, value) in [
            ("access_token", json!(null)),
            ("access_token", json!("")),
            ("access_token", json!(7)),
            ("access_token", json!("a\nx-user: root")),
            ("access_token", json!("a".repeat(TOKEN_BYTES_MAX + 1))),
            ("token_type", json!(null)),
            ("token_type", json!("DPoP")),
            ("id_token", json!({})),
            ("refresh_token", json!("a b")),
            ("expires_in", json!(-1)),
            ("expires_in", json!(1.5)),
            ("expires_in", json!("soon")),
            ("expires_in", json!("")),
            ("scope", json!(["openid"])),
        ] {
            assert!(with(name, value.clone()).is_err(), "{name}: {value}");
        }
        assert!(with("access_token", json!("a".repeat(TOKEN_BYTES_MAX))).is_ok());
        for body in [
            "",
            "[]",
            "null",
            "access_token=a&token_type=bearer",
            "<html>",
        ] {
            assert!(tokens(&reply(200, body)).is_err(), "{body}");
        }
    }

    #[test]
    fn a_refusal_is_a_word_of_the_specification_and_nothing_else_of_it() {
        let refused = |status, body: &str| tokens(&reply(status, body)).unwrap_err();
        assert_eq!(
            refused(
                400,
                r#"{"error":"invalid_grant","error_description":"SECRET"}"#
            ),
            ProviderError::Refused("invalid_grant")
        );
        assert_eq!(
            refused(400, r#"{"error":"SECRET"}"#),
            ProviderError::Refused("other")
        );
        assert_eq!(
            refused(401, "SECRET"),
            ProviderError::Refused("invalid_client")
        );
        assert_eq!(
            refused(400, r#"{"error":"temporarily_unavailable"}"#),
            ProviderError::Unavailable("temporarily_unavailable".into())
        );
        assert_eq!(refused(404, "SECRET"), bad("it answers 404"));
        assert_eq!(refused(204, ""), bad("it answers 204"));
    }

    #[test]
    fn userinfo_is_json_of_somebody() {
        let mut signed = reply(200, "a.b.c");
        let kind = http::HeaderValue::from_static("Application/JWT; charset=utf-8");
        signed.headers.insert(CONTENT_TYPE, kind);
        let words = userinfo(&signed).unwrap_err().to_string();
        assert!(words.contains("signed token"), "{words}");
        assert_eq!(userinfo(&reply(200, r#"{"sub":"a"}"#)).unwrap()["sub"], "a");
        for nobody in ["{}", r#"{"sub":""}"#, r#"{"sub":1}"#, r#"{"sub":null}"#] {
            assert!(userinfo(&reply(200, nobody)).is_err(), "{nobody}");
        }
        let refused = userinfo(&reply(401, "")).unwrap_err();
        assert_eq!(refused, ProviderError::Refused("invalid_token"));
    }

    #[test]
    fn an_introspection_that_does_not_say_whether_is_none() {
        for unsaid in [
            "{}",
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":null}"#,
        ] {
            assert!(introspection(&reply(200, unsaid)).is_err(), "{unsaid}");
        }
        for said in [r#"{"active":false}"#, r#"{"active":true,"sub":"a"}"#] {
            assert!(introspection(&reply(200, said)).is_ok(), "{said}");
        }
    }

    #[test]
    fn what_was_pushed_has_a_name_of_bounded_length() {
        let pushed = |uri: &str| {
            let body = json!({"request_uri": uri, "expires_in": 60});
            request_uri(&reply(201, &body.to_string()))
        };
        assert_eq!(pushed("urn:a").unwrap(), "urn:a");
        assert!(pushed(&"a".repeat(REQUEST_URI_BYTES_MAX)).is_ok());
        assert!(pushed(&"a".repeat(REQUEST_URI_BYTES_MAX + 1)).is_err());
        assert!(pushed("").is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(status in 200_u16..600, body in "\\PC*") {
            let reply = reply(status, &body);
            prop_assert!(tokens(&reply).is_err());
            prop_assert!(userinfo(&reply).is_err());
            prop_assert!(introspection(&reply).is_err());
            prop_assert!(request_uri(&reply).is_err());
        }

        #[test]
        fn an_error_is_told_by_a_word_of_ours(word in "[a-z_]{0,40}") {
            let told = error_word(&word);
            prop_assert!(told == "other" || told == word);
        }
    }
}
