//! A login comes back from its provider: the code becomes tokens, the tokens a session.

use super::flow::Flow;
use super::person;
use super::request::session_id;
use super::{Oidc, OidcSettings};
use crate::auth::DecisionSpan;
use crate::auth::jose::{self, Algorithm, Claims, Expected, TokenError, TokenHeader};
use crate::auth::provider::{Metadata, ProviderError, Tokens};
use crate::auth::session::{Proves, Session, SessionTokens};
use crate::clock::Timestamp;
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Claims that were for the moment of the login, or are kept elsewhere.
const OF_THE_MOMENT: [&str; 11] = [
    "nonce", "at_hash", "c_hash", "s_hash", "jti", "azp", "iat", "nbf", "exp", "sid", "rt_hash",
];
/// Claims that userinfo has no say in.
const OF_THE_TOKEN: [&str; 8] = [
    "iss",
    "sub",
    "aud",
    "acr",
    "amr",
    "auth_time",
    "sid",
    "events",
];

/// Why no session comes of an answer of a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The answer is not from the provider that was asked (RFC 9207).
    #[error("the answer is from another issuer, or does not say from which")]
    Issuer,
    /// The provider was of no help.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// There is no ID token.
    #[error("the provider gave no ID token")]
    NoIdToken,
    /// The ID token proves nothing.
    #[error("the ID token proves nothing: {0}")]
    Token(#[from] TokenError),
    /// A claim is missing or not as it has to be; which one.
    #[error("the login's `{0}` is missing or wrong")]
    Claim(&'static str),
    /// Userinfo is of somebody else.
    #[error("userinfo is of another subject than the ID token")]
    Userinfo,
    /// The login is older than was asked for.
    #[error("the login is older than was asked for")]
    TooOld,
    /// It was not proved in the way that was asked for.
    #[error("the login was not of the class that was asked for")]
    Acr,
    /// The system has no randomness.
    #[error("no randomness")]
    Random,
}

impl LoginError {
    /// A word of low cardinality, for spans, metrics and audits.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Provider(ProviderError::Unavailable(_)) => "provider_unavailable",
            Self::Provider(ProviderError::Refused(_)) => "provider_refused",
            Self::Provider(_) => "provider_answer",
            Self::NoIdToken => "no_id_token",
            Self::Token(error) => error.name(),
            Self::Claim(_) => "claim",
            Self::Userinfo => "userinfo_subject",
            Self::TooOld => "too_old",
            Self::Acr => "acr",
            Self::Random => "random",
        }
    }

    /// Whether trying again may help.
    pub const fn is_temporary(&self) -> bool {
        if let Self::Provider(error) = self {
            error.is_temporary()
        } else {
            false
        }
    }
}

/// A login of which no session comes. Its `Debug` text says nothing of whose it is.
pub struct Unfinished {
    /// Why.
    pub fault: LoginError,
    /// What a person knows the account by that was shown, where it is known for sure: a page may
    /// tell its own browser so.
    pub account: Option<Box<str>>,
}

impl From<LoginError> for Unfinished {
    fn from(fault: LoginError) -> Self {
        Self {
            fault,
            account: None,
        }
    }
}

impl From<ProviderError> for Unfinished {
    fn from(fault: ProviderError) -> Self {
        LoginError::from(fault).into()
    }
}

impl std::fmt::Debug for Unfinished {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Unfinished({})", self.fault.name())
    }
}

impl Oidc {
    /// Makes a session of a code. `iss` is that of the answer, if it says one.
    ///
    /// # Errors
    /// [`Unfinished`]
    pub async fn complete(
        &self,
        flow: &Flow,
        code: &str,
        iss: Option<&str>,
        now: Timestamp,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Result<Session, Unfinished> {
        let metadata = self.provider.metadata(Some(&mut *span)).await?;
        self.check_issuer(&metadata, iss)?;
        let tokens = self
            .provider
            .redeem(
                &self.settings.client,
                code,
                &flow.verifier,
                &flow.redirect_uri,
                Some(&mut *span),
            )
            .await?;
        let nonce = Some(flow.nonce.as_str());
        let mut claims = self.id_claims(&tokens, nonce, now, span).await?;
        let within = age_max(&self.settings, flow);
        let strong = check_age(within, self.settings.leeway, &claims, now);
        let strong = strong.and_then(|()| check_class(flow, &claims));
        strong.map_err(|fault| Unfinished {
            account: self.account(&claims).map(String::into_boxed_str),
            fault,
        })?;
        if self.settings.userinfo {
            let told = self.provider.userinfo(&tokens.access, Some(&mut *span));
            add_userinfo(&mut claims, told.await?)?;
        }
        Ok(self.session(claims, tokens, now)?)
    }

    /// Whose answer it is: without a word, no mix-up can be told from an answer of a provider that
    /// always says who it is.
    fn check_issuer(&self, metadata: &Metadata, iss: Option<&str>) -> Result<(), LoginError> {
        match iss {
            Some(iss) if *iss == *self.provider.settings().issuer => Ok(()),
            None if !metadata.names_itself => Ok(()),
            Some(_) | None => Err(LoginError::Issuer),
        }
    }

    /// Claims of a verified ID token (OpenID Connect Core 1.0, section 3.1.3.7). With a refresh
    /// there is no `nonce` (section 12.2).
    pub(super) async fn id_claims(
        &self,
        tokens: &Tokens,
        nonce: Option<&str>,
        now: Timestamp,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Result<Claims, LoginError> {
        let id = tokens.id.as_ref().ok_or(LoginError::NoIdToken)?;
        let header = TokenHeader::read(id.expose())?;
        let keys = self.provider.keys(&header, Some(&mut *span)).await?;
        let expected = Expected {
            issuer: &self.provider.settings().issuer,
            audiences: std::slice::from_ref(&self.settings.client.id),
            algorithms: &self.settings.algorithms,
            types: &[],
            leeway: self.settings.leeway,
            age_max: None,
            nonce,
        };
        let claims = jose::verify(id.expose(), &keys, &expected, now)?;
        check_party(&claims, &self.settings.client.id)?;
        check_hash(&claims, header.algorithm, tokens.access.expose())?;
        Ok(claims)
    }

    fn session(
        &self,
        mut claims: Claims,
        tokens: Tokens,
        now: Timestamp,
    ) -> Result<Session, LoginError> {
        let text = |claims: &Claims, name: &str| {
            let value = claims.get(name).and_then(Value::as_str);
            value.filter(|text| !text.is_empty()).map(Arc::<str>::from)
        };
        let subject = text(&claims, "sub").ok_or(LoginError::Claim("sub"))?;
        let sid = text(&claims, "sid");
        if person::subject(&self.settings, &claims).is_none() {
            return Err(LoginError::Claim("subject"));
        }
        forget_moment(&mut claims);
        let seconds = seconds(now);
        Ok(Session {
            id: Arc::from(session_id().ok_or(LoginError::Random)?),
            policy: Arc::clone(&self.name),
            issuer: Arc::clone(&self.provider.settings().issuer),
            subject,
            sid,
            claims,
            tokens: SessionTokens {
                access_until: tokens
                    .expires_in
                    .map(|left| seconds.saturating_add(left.as_secs())),
                access: Some(tokens.access),
                id: tokens.id,
                refresh: tokens.refresh,
            },
            began: seconds,
            seen: seconds,
            proves: Proves::default(),
        })
    }
}

/// Unix seconds.
pub(super) const fn seconds(now: Timestamp) -> u64 {
    now.as_unix_nanos() / 1_000_000_000
}

/// Of a token for several, we have to be the one that it was made for.
fn check_party(claims: &Claims, client: &str) -> Result<(), LoginError> {
    let several = claims
        .get("aud")
        .and_then(Value::as_array)
        .is_some_and(|list| list.len() > 1);
    match claims.get("azp") {
        Some(Value::String(party)) if *party == *client => Ok(()),
        None if !several => Ok(()),
        Some(_) | None => Err(LoginError::Claim("azp")),
    }
}

/// `at_hash`, where it is there, is that of the access token that came along.
fn check_hash(claims: &Claims, algorithm: Algorithm, access: &str) -> Result<(), LoginError> {
    let Some(told) = claims.get("at_hash") else {
        return Ok(());
    };
    let by = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => &SHA256,
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => &SHA384,
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::EdDsa => &SHA512,
    };
    let sum = digest::digest(by, access.as_bytes());
    let half = sum.as_ref().split_at(sum.as_ref().len() / 2).0;
    if told.as_str() == Some(&*URL_SAFE_NO_PAD.encode(half)) {
        Ok(())
    } else {
        Err(LoginError::Claim("at_hash"))
    }
}

/// How old the login at the provider may be. A link may ask for a newer one than the file does,
/// never for an older one.
pub(super) fn age_max(settings: &OidcSettings, flow: &Flow) -> Option<Duration> {
    let asked = flow.offers.first().and_then(|offer| offer.age_max);
    let both = [asked, settings.login_age_max];
    both.into_iter().flatten().min()
}

/// `auth_time` is within what was asked for.
fn check_age(
    within: Option<Duration>,
    leeway: Duration,
    claims: &Claims,
    now: Timestamp,
) -> Result<(), LoginError> {
    let Some(age_max) = within else {
        return Ok(());
    };
    let at = claims.get("auth_time").and_then(Value::as_f64);
    let at = at.ok_or(LoginError::Claim("auth_time"))?;
    let oldest = seconds(now)
        .saturating_sub(age_max.as_secs())
        .saturating_sub(leeway.as_secs());
    // Exact for every second that anybody lives to see.
    #[expect(clippy::cast_precision_loss, reason = "seconds fit into 52 bits")]
    if at >= oldest as f64 {
        Ok(())
    } else {
        Err(LoginError::TooOld)
    }
}

/// A step-up that did not step up would begin again and again.
fn check_class(flow: &Flow, claims: &Claims) -> Result<(), LoginError> {
    let wanted = flow
        .offers
        .first()
        .map_or(&[][..], |offer| &offer.acr_values);
    let told = claims.get("acr").and_then(Value::as_str);
    if wanted.is_empty() || wanted.iter().any(|one| Some(&**one) == told) {
        Ok(())
    } else {
        Err(LoginError::Acr)
    }
}

/// Leaves out what is of no use once a login is complete.
pub(super) fn forget_moment(claims: &mut Claims) {
    for name in OF_THE_MOMENT {
        claims.remove(name);
    }
}

/// What userinfo adds. Whoever it is of has to be the token's subject (section 5.3.2).
pub(super) fn add_userinfo(claims: &mut Claims, told: Claims) -> Result<(), LoginError> {
    if told.get("sub").and_then(Value::as_str) != claims.get("sub").and_then(Value::as_str) {
        return Err(LoginError::Userinfo);
    }
    for (name, value) in told {
        if !OF_THE_TOKEN.contains(&name.as_str()) {
            claims.insert(name, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::LoginOffer;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        let Value::Object(claims) = value else {
            panic!("an object");
        };
        claims
    }

    #[test]
    fn a_token_for_several_has_to_be_made_for_us() {
        let check = |value| check_party(&claims(value), "us").is_ok();

        assert!(check(json!({"aud": "us"})));
        assert!(check(json!({"aud": ["us"]})));
        assert!(check(json!({"aud": ["us", "them"], "azp": "us"})));
        assert!(!check(json!({"aud": ["us", "them"]})));
        assert!(!check(json!({"aud": "us", "azp": "them"})));
        assert!(!check(json!({"aud": "us", "azp": 1})));
    }

    /// OpenID Connect Core 1.0, appendix A.3 has these values.
    #[test]
    fn an_access_token_of_another_login_is_found_out_by_its_hash() {
        let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        let told = claims(json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}));

        assert_eq!(check_hash(&told, Algorithm::Rs256, access), Ok(()));
        assert!(check_hash(&told, Algorithm::Rs256, "another").is_err());
        assert!(check_hash(&told, Algorithm::Rs512, access).is_err());
        assert!(check_hash(&claims(json!({"at_hash": 1})), Algorithm::Rs256, access).is_err());
        assert_eq!(
            check_hash(&claims(json!({})), Algorithm::Rs256, access),
            Ok(())
        );
    }

    #[test]
    fn userinfo_of_another_subject_is_refused_and_of_the_same_adds_only_what_is_its_to_say() {
        let mut own = claims(json!({"sub": "ada", "acr": "1"}));

        let other = add_userinfo(&mut own, claims(json!({"sub": "eve", "email": "x"})));
        assert_eq!(other, Err(LoginError::Userinfo));
        assert_eq!(
            add_userinfo(&mut own, claims(json!({"email": "x"}))),
            Err(LoginError::Userinfo)
        );
        let same = claims(json!({"sub": "ada", "acr": "mfa", "email": "a@b"}));
        assert_eq!(add_userinfo(&mut own, same), Ok(()));
        assert_eq!(
            Value::Object(own),
            json!({"sub": "ada", "acr": "1", "email": "a@b"})
        );
    }

    #[test]
    fn a_login_is_as_old_as_was_asked_for_beside_what_clocks_may_be_apart_and_no_older() {
        let now = Timestamp::from_unix_nanos(10_000 * 1_000_000_000);
        let check = |told: Value, within: Option<u64>| {
            let within = within.map(Duration::from_secs);
            check_age(within, Duration::from_secs(30), &claims(told), now)
        };
        let at = |second: u64| json!({ "auth_time": second });

        assert_eq!(check(at(9_911), Some(60)), Ok(()));
        assert_eq!(check(at(9_910), Some(60)), Ok(()), "at the bound");
        assert_eq!(check(at(9_909), Some(60)), Err(LoginError::TooOld));
        assert_eq!(check(at(9_970), Some(0)), Ok(()));
        for told in [json!({}), json!({"auth_time": "9999"})] {
            let missing = Err(LoginError::Claim("auth_time"));
            assert_eq!(check(told, Some(60)), missing);
        }
        assert_eq!(check(json!({}), None), Ok(()));
    }

    #[test]
    fn a_step_up_has_to_have_stepped_up() {
        let mut offer = LoginOffer::of("staff".into());
        offer.acr_values = vec!["mfa".into(), "hwk".into()];
        let flow = Flow::begin(vec![offer], String::new(), 0).unwrap();

        assert_eq!(check_class(&flow, &claims(json!({"acr": "hwk"}))), Ok(()));
        for told in [json!({}), json!({"acr": "pwd"}), json!({"acr": ["mfa"]})] {
            assert_eq!(check_class(&flow, &claims(told)), Err(LoginError::Acr));
        }
    }
}
