//! What an issuer says of a token (RFC 7662).

use super::verify::Unproved;
use super::{Introspection, JwtIssuer, JwtSettings};
use crate::auth::DecisionSpan;
use crate::auth::jose::{Claims, TokenError, is_among};
use crate::auth::provider::{Provider, ProviderError};
use crate::clock;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// An answer about a token that is active.
pub(super) struct Told {
    answer: Claims,
    is_audience_required: bool,
}

impl Told {
    /// Asks its issuer.
    pub(super) async fn of(
        token: &str,
        rules: &Introspection,
        issuer: &JwtIssuer,
        provider: &Arc<Provider>,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Result<Self, Unproved> {
        let asked = provider.introspect(&rules.client, token, Some(span));
        // The call has a deadline of its own; this one holds whatever becomes of it.
        let patience = issuer.provider.timeout * 2;
        let answer = tokio::time::timeout(patience, asked).await;
        let late = || ProviderError::Unavailable("no answer in time".into());
        let answer = answer.map_err(|_| late())??;
        Self::read(answer, rules)
    }

    fn read(answer: Claims, rules: &Introspection) -> Result<Self, Unproved> {
        match answer.get("active") {
            Some(Value::Bool(true)) => Ok(Self {
                answer,
                is_audience_required: rules.audience_required,
            }),
            Some(Value::Bool(false)) => Err(Unproved::Inactive(rules.negative_ttl)),
            _ => Err(ProviderError::BadAnswer("it does not say `active`".into()).into()),
        }
    }

    /// What an answer says has to be right, and of the right kind (RFC 7662, section 4).
    pub(super) fn check(&self, issuer: &JwtIssuer, settings: &JwtSettings) -> Result<(), Unproved> {
        let is_of_another = |one: &Value| one.as_str() != Some(&*issuer.provider.issuer);
        if self.answer.get("iss").is_some_and(is_of_another) {
            return Err(TokenError::Claim("iss").into());
        }
        let audience = self.answer.get("aud");
        let is_for_us = match audience {
            None | Some(Value::Null) => !self.is_audience_required,
            told => is_among(told, &issuer.audiences),
        };
        if !is_for_us {
            return Err(TokenError::Claim("aud").into());
        }
        let now = Duration::from_nanos(clock::wall().as_unix_nanos()).as_secs_f64();
        let leeway = settings.leeway.as_secs_f64();
        if self.time("exp")?.is_some_and(|end| now >= end + leeway) {
            return Err(TokenError::Expired.into());
        }
        if self.time("nbf")?.is_some_and(|begin| now + leeway < begin) {
            return Err(TokenError::NotYet.into());
        }
        Ok(())
    }

    fn time(&self, name: &'static str) -> Result<Option<f64>, TokenError> {
        match self.answer.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(TokenError::Claim(name)),
        }
    }

    /// How long it is still valid by its own word.
    pub(super) fn left(&self, settings: &JwtSettings) -> Duration {
        let now = Duration::from_nanos(clock::wall().as_unix_nanos()).as_secs_f64();
        let end = self.time("exp").ok().flatten();
        let left = end.map_or(f64::MAX, |end| end + settings.leeway.as_secs_f64() - now);
        Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(Duration::MAX)
    }

    /// What it says of the client. Whoever was asked is the issuer, also where it does not say so.
    pub(super) fn into_claims(self, issuer: &str) -> Claims {
        let mut claims = self.answer;
        claims.remove("active");
        claims.entry("iss").or_insert_with(|| issuer.into());
        claims
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As if an issuer had answered so.
    pub(in crate::auth::jwt) fn told(
        answer: Value,
        rules: &Introspection,
    ) -> Result<Told, Unproved> {
        let Value::Object(answer) = answer else {
            panic!("an answer is an object");
        };
        Told::read(answer, rules)
    }
}
