//! What a token has to say.

use super::{Algorithm, TokenError};
use crate::clock::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// Claims of a verified token, as they stand in it.
pub type Claims = Map<String, Value>;

/// What is expected of a token.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// `iss`, exactly.
    pub issuer: &'a str,
    /// One of them has to be in `aud`. Never empty.
    pub audiences: &'a [Arc<str>],
    /// By which algorithms it may be signed. Never empty.
    pub algorithms: &'a [Algorithm],
    /// `typ` that it may have, without `application/` and without case; empty: whatever.
    pub types: &'a [Arc<str>],
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// How old it may be by `iat`; None: as old as it is valid.
    pub age_max: Option<Duration>,
    /// `nonce`, where one was sent; then it has to be there.
    pub nonce: Option<&'a str>,
}

/// Checks the registered claims (RFC 7519, section 4.1). One of the wrong kind is not taken as
/// absent: a token that says something that cannot be understood is refused.
pub(super) fn check(
    claims: &Claims,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<(), TokenError> {
    if text(claims, "iss")? != Some(expected.issuer) {
        return Err(TokenError::Claim("iss"));
    }
    if !is_among(claims.get("aud"), expected.audiences) {
        return Err(TokenError::Claim("aud"));
    }
    text(claims, "sub")?;
    text(claims, "jti")?;
    if let Some(nonce) = expected.nonce
        && text(claims, "nonce")? != Some(nonce)
    {
        return Err(TokenError::Claim("nonce"));
    }
    check_times(claims, expected, now)
}

/// The times of a token (RFC 7519, sections 4.1.4 to 4.1.6).
fn check_times(claims: &Claims, expected: &Expected<'_>, now: Timestamp) -> Result<(), TokenError> {
    let now = Duration::from_nanos(now.as_unix_nanos()).as_secs_f64();
    let leeway = expected.leeway.as_secs_f64();
    let end = time(claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
    let begin = time(claims, "nbf")?;
    let issued = time(claims, "iat")?;
    if now >= end + leeway {
        return Err(TokenError::Expired);
    }
    if begin.is_some_and(|begin| now + leeway < begin) {
        return Err(TokenError::NotYet);
    }
    if issued.is_some_and(|issued| now + leeway < issued) {
        return Err(TokenError::Claim("iat"));
    }
    if let Some(age_max) = expected.age_max {
        let issued = issued.ok_or(TokenError::Claim("iat"))?;
        if now - issued > age_max.as_secs_f64() + leeway {
            return Err(TokenError::Expired);
        }
    }
    Ok(())
}

/// A text, or nothing.
fn text<'a>(claims: &'a Claims, name: &'static str) -> Result<Option<&'a str>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// Seconds since 1970, also a part of one (`NumericDate`), or nothing.
fn time(claims: &Claims, name: &'static str) -> Result<Option<f64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(seconds) if seconds.is_finite() => Ok(Some(seconds)),
            _ => Err(TokenError::Claim(name)),
        },
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// A text, or a list of nothing but texts; one of ours is in it.
pub(in crate::auth) fn is_among(audience: Option<&Value>, ours: &[Arc<str>]) -> bool {
    let is_ours = |one: &str| ours.iter().any(|own| **own == *one);
    match audience {
        Some(Value::String(one)) => is_ours(one),
        Some(Value::Array(all)) => {
            let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
            texts.is_some_and(|texts| texts.into_iter().any(is_ours))
        }
        _ => false,
    }
}
