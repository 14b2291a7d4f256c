//! What a client is told whose token is missing or no good (RFC 6750, section 3). Fixed texts: what
//! a token says itself is never repeated.

use crate::auth::jose::TokenError;
use crate::auth::proof::quoted;
use http::HeaderValue;

/// A challenge of this policy with these parameters; those of which nothing is said are left out.
pub(in crate::auth) fn bearer(policy: &str, parameters: &[(&str, &str)]) -> HeaderValue {
    let realm = [("realm", policy)];
    let all = realm.iter().chain(parameters);
    let said = all.filter(|(_, value)| !value.is_empty());
    let said = said.filter_map(|(name, value)| Some(format!("{name}={}", quoted(value)?)));
    let said: Vec<String> = said.collect();
    let challenge = HeaderValue::try_from(format!("Bearer {}", said.join(", ")).trim_end());
    challenge.unwrap_or(HeaderValue::from_static("Bearer"))
}

/// Of a token that proves nothing.
pub(super) fn invalid(policy: &str, why: &'static str) -> HeaderValue {
    let error = ("error", "invalid_token");
    bearer(policy, &[error, ("error_description", why)])
}

/// Of a request with several tokens: which one somebody behind us reads would be anybody's guess.
pub(super) fn several(policy: &str) -> HeaderValue {
    let error = ("error", "invalid_request");
    bearer(
        policy,
        &[error, ("error_description", "more than one token")],
    )
}

/// What a client is told of why.
pub(super) const fn description(error: &TokenError) -> &'static str {
    match error {
        TokenError::Malformed | TokenError::Critical => "the token cannot be read",
        TokenError::Algorithm => "the token is signed by an algorithm that is not allowed",
        TokenError::UnknownKey | TokenError::Signature => "the token is not signed by its issuer",
        TokenError::Claim(_) => "a claim of the token is missing or wrong",
        TokenError::Expired => "the token has expired",
        TokenError::NotYet => "the token is not valid yet",
    }
}
