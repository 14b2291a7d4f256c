//! One token: its header, its signature.

use super::claims::check;
use super::key::KID_BYTES_MAX;
use super::{Algorithm, Claims, Expected, KeySet, TOKEN_BYTES_MAX, strict};
use crate::clock::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt;

/// Longest `typ` that is compared, in bytes.
const TYP_BYTES_MAX: usize = 128;

/// The protected header of a token, as far as it is looked at. Keys and addresses of keys that a
/// token brings along (`jwk`, `jku`, `x5u`, `x5c`) are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHeader {
    /// By what it says that it is signed.
    pub algorithm: Algorithm,
    /// Which key.
    pub kid: Option<Box<str>>,
    /// What it is, without `application/`, in lower case.
    pub typ: Option<Box<str>>,
}

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of three parts, too large, or not written as one.
    #[error("it is no signed token")]
    Malformed,
    /// `alg` is none that is allowed.
    #[error("it is signed by an algorithm that is not allowed")]
    Algorithm,
    /// `crit`: it is not to be read by who does not know an extension (RFC 7515, section 4.1.11).
    #[error("it asks for an extension that is not known")]
    Critical,
    /// The issuer has no such key.
    #[error("its issuer has no such key")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("its signature is wrong")]
    Signature,
    /// A claim is missing, of the wrong kind, or not as expected; which one.
    #[error("its `{0}` is missing or wrong")]
    Claim(&'static str),
    /// It was valid.
    #[error("it has expired")]
    Expired,
    /// It will be valid.
    #[error("it is not valid yet")]
    NotYet,
}

impl TokenError {
    /// A word of low cardinality for spans and metrics: never anything of the token.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Critical => "crit",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claim(name) => name,
            Self::Expired => "expired",
            Self::NotYet => "not_yet_valid",
        }
    }
}

impl TokenHeader {
    /// Reads the header of a token.
    ///
    /// # Errors
    /// [`TokenError::Malformed`], [`TokenError::Critical`] or [`TokenError::Algorithm`]
    pub fn read(token: &str) -> Result<Self, TokenError> {
        Self::parse(Parts::of(token)?.header)
    }

    fn parse(encoded: &str) -> Result<Self, TokenError> {
        let json = decode(encoded).ok_or(TokenError::Malformed)?;
        let mut members = strict::object(&json).ok_or(TokenError::Malformed)?;
        if members.contains_key("crit") {
            return Err(TokenError::Critical);
        }
        // An unencoded payload (RFC 7797) has to be named in `crit`; without it, it is a trap.
        if members.get("b64").is_some_and(|one| *one != true) {
            return Err(TokenError::Malformed);
        }
        let algorithm = members.get("alg").and_then(Value::as_str);
        let algorithm = Algorithm::of(algorithm.ok_or(TokenError::Malformed)?);
        let kid = text(&mut members, "kid", KID_BYTES_MAX)?;
        let typ = text(&mut members, "typ", TYP_BYTES_MAX)?;
        Ok(Self {
            algorithm: algorithm.ok_or(TokenError::Algorithm)?,
            kid: kid.map(String::into_boxed_str),
            typ: typ.map(|typ| {
                let typ = typ.to_ascii_lowercase();
                Box::from(typ.strip_prefix("application/").unwrap_or(&typ))
            }),
        })
    }
}

fn text(
    members: &mut Map<String, Value>,
    name: &str,
    bytes_max: usize,
) -> Result<Option<String>, TokenError> {
    match members.get_mut(name).map(Value::take) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= bytes_max => Ok(Some(text)),
        Some(_) => Err(TokenError::Malformed),
    }
}

/// The three parts of a token.
#[derive(Clone, Copy)]
struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    /// What is signed: the first two, with their dot.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let parts = token.rsplit_once('.').and_then(|(signed, signature)| {
            let (header, claims) = signed.split_once('.')?;
            let is_three = !claims.contains('.')
                && [header, claims, signature]
                    .iter()
                    .all(|one| !one.is_empty());
            is_three.then_some(Self {
                header,
                claims,
                signature,
                signed,
            })
        });
        parts.ok_or(TokenError::Malformed)
    }
}

/// Without padding, and with no bits that nothing is written in.
fn decode(encoded: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(encoded).ok()
}

/// Whether it is meant to be a signed token, well written or not: three parts, the first of which
/// is JSON. Anything else only whoever made it can read.
pub(in crate::auth) fn is_signed(token: &str) -> bool {
    let parts = Parts::of(token);
    let header = parts.ok().and_then(|parts| decode(parts.header));
    header.is_some_and(|json| serde_json::from_slice::<serde::de::IgnoredAny>(&json).is_ok())
}

/// A token that was read, and says nothing yet: neither is its signature known to hold, nor are its
/// claims looked at.
#[derive(Clone)]
pub struct Unverified<'a> {
    parts: Parts<'a>,
    header: TokenHeader,
    claims: Claims,
}

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Unverified({:?})", self.header)
    }
}

impl<'a> Unverified<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError::Malformed`], [`TokenError::Critical`] or [`TokenError::Algorithm`]
    pub fn read(token: &'a str) -> Result<Self, TokenError> {
        let parts = Parts::of(token)?;
        let header = TokenHeader::parse(parts.header)?;
        let claims = decode(parts.claims).and_then(|json| strict::object(&json));
        Ok(Self {
            parts,
            header,
            claims: claims.ok_or(TokenError::Malformed)?,
        })
    }

    /// Its header.
    pub const fn header(&self) -> &TokenHeader {
        &self.header
    }

    /// Who it says that it is of, to know whose keys to ask for. Believe it after
    /// [`Self::verify`] with that issuer expected.
    ///
    /// # Errors
    /// It does not say, or not as a text.
    pub fn issuer(&self) -> Result<&str, TokenError> {
        let issuer = self.claims.get("iss").and_then(Value::as_str);
        issuer.ok_or(TokenError::Claim("iss"))
    }

    /// Verifies it by keys of one issuer.
    ///
    /// # Errors
    /// [`TokenError`]; [`TokenError::UnknownKey`] says that a newer set of keys may have it.
    pub fn verify(
        self,
        keys: &KeySet,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        let algorithm = self.header.algorithm;
        if !expected.algorithms.contains(&algorithm) {
            return Err(TokenError::Algorithm);
        }
        let typ = self.header.typ.as_deref();
        let mut types = expected.types.iter();
        if !expected.types.is_empty() && !types.any(|one| Some(&**one) == typ) {
            return Err(TokenError::Claim("typ"));
        }
        if !keys.has(&self.header) {
            return Err(TokenError::UnknownKey);
        }
        let signature = decode(self.parts.signature).ok_or(TokenError::Malformed)?;
        let signed = self.parts.signed.as_bytes();
        let mut candidates = keys.candidates(&self.header);
        if !candidates.any(|key| key.verifies(algorithm, signed, &signature)) {
            return Err(TokenError::Signature);
        }
        check(&self.claims, expected, now)?;
        Ok(self.claims)
    }
}
