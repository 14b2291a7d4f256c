//! One token: whose it is, whether that one signed it, and whom it names.

use super::introspect::Told;
use super::{Asking, JwtIssuer, JwtSettings, Tokens, bad, challenge, noted, refused};
use crate::auth::cache::{Decided, Keep};
use crate::auth::jose::{Claims, Expected, TokenError, Unverified, is_signed};
use crate::auth::provider::{Provider, ProviderError};
use crate::auth::{Asked, DecisionSpan, Identity, Proof, Verdict, claims};
use crate::clock;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The claim that binds a token to a key.
const CONFIRMATION: &str = "cnf";

/// Claims that were verified, and how long they count.
pub(super) struct Proved {
    pub(super) claims: Claims,
    pub(super) lasts: Duration,
}

/// Why a token proves nothing here.
pub(super) enum Unproved {
    /// It is no good.
    Bad(TokenError),
    /// Its issuer says that it is none, or not any more.
    Inactive(Duration),
    /// No issuer of this policy has it; another policy may know whose it is.
    Unknown,
    /// Nobody could be asked.
    Unanswered(ProviderError),
}

impl From<TokenError> for Unproved {
    fn from(error: TokenError) -> Self {
        Self::Bad(error)
    }
}

impl From<ProviderError> for Unproved {
    fn from(error: ProviderError) -> Self {
        Self::Unanswered(error)
    }
}

impl Tokens {
    pub(super) async fn verify(
        &self,
        asking: Asking<'_>,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Decided {
        let outcome = if is_signed(asking.token) {
            self.signed(asking, span).await
        } else {
            self.opaque(asking, span).await
        };
        let policy = asking.policy;
        let invalid = |why| challenge::invalid(policy, why);
        match outcome {
            Ok(proved) => proved.decided(asking),
            Err(Unproved::Bad(error)) => {
                let challenge = invalid(challenge::description(&error));
                Decided::of_token(refused(error.name(), challenge))
            }
            Err(Unproved::Inactive(lasts)) => {
                let refused = refused("inactive", invalid("the token is not active"));
                Decided {
                    keep: Keep::Stored {
                        at_most: Some(lasts),
                    },
                    ..Decided::of_token(refused)
                }
            }
            Err(Unproved::Unknown) => {
                let denial = bad(invalid("the token is of no issuer known here"));
                Decided::of_token((Verdict::Abstain(denial), noted("unknown_issuer")))
            }
            Err(Unproved::Unanswered(error)) => Decided::unknown(&error),
        }
    }

    /// The issuer of this name, and what it was made of.
    fn issuer<'a>(
        &'a self,
        settings: &'a JwtSettings,
        is_meant: impl Fn(&JwtIssuer) -> bool,
    ) -> Option<(&'a JwtIssuer, Option<&'a Arc<Provider>>)> {
        let mut all = settings.issuers.iter().zip(&self.issuers);
        let (issuer, provider) = all.find(|(issuer, _)| is_meant(issuer))?;
        Some((issuer, provider.as_ref()))
    }

    async fn signed(
        &self,
        asking: Asking<'_>,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Result<Proved, Unproved> {
        let settings = asking.settings;
        let read = Unverified::read(asking.token)?;
        let named = read.issuer()?;
        let found = self.issuer(settings, |one| *one.provider.issuer == *named);
        let (issuer, provider) = found.ok_or(Unproved::Unknown)?;
        let provider = provider.ok_or_else(nobody)?;
        // Before its issuer is asked for keys that it need not have.
        let header = read.header();
        if !issuer.algorithms.contains(&header.algorithm) {
            return Err(TokenError::Algorithm.into());
        }
        if settings.types.is_empty() && is_for_something_else(header.typ.as_deref()) {
            return Err(TokenError::Claim("typ").into());
        }
        let keys = provider.keys(header, Some(&mut *span)).await?;
        let expected = Expected {
            issuer: &issuer.provider.issuer,
            audiences: &issuer.audiences,
            algorithms: &issuer.algorithms,
            types: &settings.types,
            leeway: settings.leeway,
            age_max: settings.age_max,
            nonce: None,
        };
        let claims = read.verify(&keys, &expected, clock::wall())?;
        let mut lasts = left(&claims, settings).min(issuer.provider.refresh);
        if let Some(rules) = issuer.introspection.as_ref().filter(|one| one.jwts_too) {
            let told = Told::of(asking.token, rules, issuer, provider, span).await?;
            told.check(issuer, settings)?;
            lasts = lasts.min(rules.ttl);
        }
        Ok(Proved { claims, lasts })
    }

    /// A token that only its issuer can read. With one of them, at most, so that none gets to see
    /// another one's tokens.
    async fn opaque(
        &self,
        asking: Asking<'_>,
        span: &mut DecisionSpan<'_, '_>,
    ) -> Result<Proved, Unproved> {
        let settings = asking.settings;
        let found = self.issuer(settings, |one| one.introspection.is_some());
        let (issuer, provider) = found.ok_or(Unproved::Unknown)?;
        let rules = issuer.introspection.as_ref().ok_or(Unproved::Unknown)?;
        let provider = provider.ok_or_else(nobody)?;
        let told = Told::of(asking.token, rules, issuer, provider, span).await?;
        told.check(issuer, settings)?;
        let lasts = told.left(settings).min(rules.ttl);
        Ok(Proved {
            claims: told.into_claims(&issuer.provider.issuer),
            lasts,
        })
    }
}

/// Its settings name an issuer that nothing was made of.
fn nobody() -> Unproved {
    Unproved::Unanswered(ProviderError::Unavailable("nothing is known of it".into()))
}

/// Whether a token says that it is neither a plain one nor an access token (RFC 8725, section
/// 3.11): one that ends a session, say, for the same audience.
fn is_for_something_else(typ: Option<&str>) -> bool {
    typ.is_some_and(|typ| typ.ends_with("+jwt") && typ != "at+jwt")
}

/// How long claims are still valid.
fn left(claims: &Claims, settings: &JwtSettings) -> Duration {
    let now = Duration::from_nanos(clock::wall().as_unix_nanos()).as_secs_f64();
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    let end = time("exp").map(|end| end + settings.leeway.as_secs_f64() - now);
    let age = settings.age_max.zip(time("iat"));
    let age = age.map(|(most, issued)| issued + (most + settings.leeway).as_secs_f64() - now);
    let left = end.unwrap_or_default().min(age.unwrap_or(f64::MAX));
    Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(Duration::MAX)
}

impl Proved {
    fn decided(self, asking: Asking<'_>) -> Decided {
        let settings = asking.settings;
        let mut grant = settings.removals();
        grant.is_bound = self.claims.contains_key(CONFIRMATION);
        grant.identity = Some(Arc::new(identity(asking.policy, settings, self.claims)));
        let keep = Keep::Stored {
            at_most: Some(self.lasts),
        };
        Decided::new(Verdict::Allow(Box::new(grant)), keep)
    }
}

/// Whom claims name.
fn identity(policy: &Arc<str>, settings: &JwtSettings, claims: Claims) -> Identity {
    Identity {
        subject: claims::subject(&claims, &settings.subject),
        groups: claims::groups(&claims, &settings.groups),
        claims,
        proof: Proof::Jwt,
        policy: Arc::clone(policy),
    }
}

/// A token that is bound to a key (RFC 7800) is good for nobody who only has the token. Of the ways
/// to show the key, a client's certificate (RFC 8705) is the one that is looked at.
pub(super) fn bound_to_its_holder(
    verdict: Verdict,
    policy: &Arc<str>,
    asked: &Asked<'_>,
    span: &mut DecisionSpan<'_, '_>,
) -> Verdict {
    let grant = match &verdict {
        Verdict::Allow(grant) if grant.is_bound => grant,
        Verdict::Allow(_) | Verdict::Deny(_) | Verdict::Abstain(_) => return verdict,
    };
    let claims = grant.identity.as_ref().map(|identity| &identity.claims);
    let confirmation = claims.and_then(|claims| claims.get(CONFIRMATION));
    let members = confirmation
        .and_then(Value::as_object)
        .filter(|members| members.len() == 1);
    let wanted = members
        .and_then(|members| members.get("x5t#S256"))
        .and_then(Value::as_str);
    let shown = asked.certificate.and_then(|one| thumbprint(&one.sha256));
    if wanted.is_some() && wanted == shown.as_deref() {
        return verdict;
    }
    let challenge = challenge::invalid(policy, "the token is bound to a key that was not shown");
    let (refused, notes) = refused("bound", challenge);
    span.decided(Decided {
        notes,
        ..Decided::of_one_request(refused)
    })
}

/// A digest in hex as `x5t#S256` has it.
fn thumbprint(hex: &str) -> Option<String> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = hex.as_bytes().chunks_exact(2);
    let bytes = pairs.map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    });
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}
