//! A provider's word that somebody has logged out (OpenID Connect Back-Channel Logout 1.0).

use super::Logins;
use super::Oidc;
use super::complete::seconds;
use crate::auth::DecisionSpan;
use crate::auth::jose::{self, Claims, Expected, TOKEN_BYTES_MAX, TokenError, TokenHeader};
use crate::auth::provider::ProviderError;
use crate::clock::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// What `events` has to hold.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a token may be: it is sent as soon as it is made.
const AGE_MAX: Duration = Duration::from_mins(5);
/// How long a token's `jti` is remembered: as long as it could be taken.
const REMEMBERED: u64 = 15 * 60;

/// Who has logged out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedOut {
    /// The policy whose client it was told.
    pub policy: Arc<str>,
    /// `iss`
    pub issuer: Arc<str>,
    /// `sub`
    pub subject: Option<String>,
    /// `sid`
    pub sid: Option<String>,
    /// `jti`
    pub jti: String,
}

/// Why a logout token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// No policy of ours has its issuer and audience.
    #[error("it is none of a provider of ours")]
    NobodysHere,
    /// It proves nothing.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It is an ID token, or something else.
    #[error("its `{0}` is missing, wrong, or may not be there")]
    Claim(&'static str),
    /// It came before.
    #[error("it came before")]
    Replayed,
    /// The keys cannot be had.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl LogoutTokenError {
    /// A word of low cardinality, for audits.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NobodysHere => "nobodys_here",
            Self::Token(error) => error.name(),
            Self::Claim(_) => "claim",
            Self::Replayed => "replayed",
            Self::Provider(_) => "provider_unavailable",
        }
    }
}

impl Logins {
    /// The policies that a token could be for, by what it says before anything of it is believed.
    pub fn policies_of(&self, token: &str) -> Vec<Arc<Oidc>> {
        let Some(claims) = peek(token) else {
            return Vec::new();
        };
        let issuer = claims.get("iss").and_then(Value::as_str);
        let is_for = |client: &str| match claims.get("aud") {
            Some(Value::String(one)) => one == client,
            Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(client)),
            _ => false,
        };
        let policies = self.policies.iter().filter(|policy| {
            Some(&*policy.provider.settings().issuer) == issuer
                && is_for(&policy.settings.client.id)
        });
        policies.cloned().collect()
    }

    /// Whether a token was taken before. One that could not be followed was not: its provider is
    /// told to send it again.
    pub fn knows_logout(&self, left: &LoggedOut) -> bool {
        self.used.holds(&left.used_as())
    }

    /// From now on this token is one that was taken before.
    pub fn done_logout(&self, left: &LoggedOut, now: Timestamp) {
        let now = seconds(now);
        self.used
            .take(&left.used_as(), now.saturating_add(REMEMBERED), now);
    }
}

impl LoggedOut {
    /// By what it is remembered. With its issuer, so that no provider uses up another one's.
    fn used_as(&self) -> String {
        format!("jti {} {} {}", self.issuer.len(), self.issuer, self.jti)
    }
}

impl Oidc {
    /// Verifies a logout token of this policy's provider: who has logged out.
    ///
    /// # Errors
    /// [`LogoutTokenError`]
    pub async fn logged_out(
        &self,
        token: &str,
        now: Timestamp,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Result<LoggedOut, LogoutTokenError> {
        let header = TokenHeader::read(token)?;
        if header
            .typ
            .as_deref()
            .is_some_and(|typ| !["logout+jwt", "jwt"].contains(&typ))
        {
            return Err(LogoutTokenError::Claim("typ"));
        }
        let keys = self.provider.keys(&header, Some(span)).await?;
        let expected = Expected {
            age_max: Some(AGE_MAX),
            ..self.expected()
        };
        let claims = jose::verify(token, &keys, &expected, now)?;
        let (subject, sid, jti) = read(&claims)?;
        Ok(LoggedOut {
            policy: Arc::clone(&self.name),
            issuer: Arc::clone(&self.provider.settings().issuer),
            subject,
            sid,
            jti,
        })
    }
}

/// The claims without a look at the signature.
fn peek(token: &str) -> Option<Claims> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

type Who = (Option<String>, Option<String>, String);

/// What is said of a logout in claims that are verified (section 2.6).
fn read(claims: &Claims) -> Result<Who, LogoutTokenError> {
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(LogoutTokenError::Claim("events"));
    }
    if claims.contains_key("nonce") {
        return Err(LogoutTokenError::Claim("nonce"));
    }
    if !claims.get("iat").is_some_and(Value::is_number) {
        return Err(LogoutTokenError::Claim("iat"));
    }
    let text = |name: &'static str| match claims.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        None => Ok(None),
        Some(_) => Err(LogoutTokenError::Claim(name)),
    };
    let (subject, sid) = (text("sub")?, text("sid")?);
    if subject.is_none() && sid.is_none() {
        return Err(LogoutTokenError::Claim("sub"));
    }
    let jti = text("jti")?.ok_or(LogoutTokenError::Claim("jti"))?;
    Ok((subject, sid, jti))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({"iat": 1, "jti": "a", "sub": "ada", "sid": "s", "events": {EVENT: {}}})
    }

    fn read_value(value: &Value) -> Result<Who, LogoutTokenError> {
        read(value.as_object().unwrap())
    }

    #[test]
    fn a_logout_token_says_who_has_left() {
        let told = read_value(&good()).unwrap();

        assert_eq!(told, (Some("ada".into()), Some("s".into()), "a".into()));
    }

    #[test]
    fn no_provider_uses_up_the_logout_tokens_of_another_one() {
        let of = |issuer: &str, jti: &str| LoggedOut {
            policy: "web".into(),
            issuer: issuer.into(),
            subject: None,
            sid: None,
            jti: jti.into(),
        };
        let names =
            [of("a", "1"), of("b", "1"), of("a", "1 1"), of("a 1", "1")].map(|left| left.used_as());
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[test]
    fn an_id_token_logs_nobody_out_and_neither_does_half_a_logout_token() {
        for (name, value) in [
            ("events", None),
            ("events", Some(json!({}))),
            ("events", Some(json!({EVENT: true}))),
            ("events", Some(json!([EVENT]))),
            ("nonce", Some(json!("n"))),
            ("nonce", Some(json!(null))),
            ("jti", None),
            ("jti", Some(json!(1))),
            ("iat", None),
            ("sub", Some(json!(1))),
            ("sid", Some(json!(["s"]))),
        ] {
            let mut claims = good();
            let object = claims.as_object_mut().unwrap();
            object.remove(name);
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }

            let refused = read_value(&claims);

            assert_eq!(refused, Err(LogoutTokenError::Claim(name)), "{claims}");
        }
        let mut nobody = good();
        let object = nobody.as_object_mut().unwrap();
        object.remove("sub");
        object.remove("sid");
        assert_eq!(read_value(&nobody), Err(LogoutTokenError::Claim("sub")));
    }
}
