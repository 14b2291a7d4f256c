//! Keys that sign, and what is published of them.

use super::SigningAlgorithm;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value, json};
use std::fmt;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

/// Keys that are published at most: those that sign, and those that signed before.
const PUBLISHED_MAX: usize = 8;

/// The provider's keys.
pub(super) struct Keys {
    signing: Vec<Key>,
    /// Public halves, those that sign first.
    published: Vec<Value>,
    /// One that nobody knows.
    unknown: Key,
}

struct Key {
    pair: Pair,
    kid: String,
    public: Value,
    /// `SubjectPublicKeyInfo`, for whoever takes it for a secret.
    der: Vec<u8>,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

/// By which key a token is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedBy {
    /// The first of the provider's keys.
    First,
    /// One that nobody knows.
    Unknown,
    /// HS256, with the text of the public key for a secret.
    PublicKeyAsSecret,
    /// Nobody: `alg: none`.
    Nobody,
}

impl Keys {
    /// Makes a key for each algorithm. An RSA key takes some tenths of a second.
    pub(super) fn generate(algorithms: &[SigningAlgorithm]) -> Result<Self, Unspecified> {
        let first = algorithms.first().copied();
        let mut keys = Self {
            signing: Vec::new(),
            published: Vec::new(),
            // Of another kind, it would be refused for that.
            unknown: Key::generate(first.unwrap_or(SigningAlgorithm::Es256))?,
        };
        keys.replace(algorithms, false)?;
        Ok(keys)
    }

    /// Makes new keys that sign from now on; the old ones stay published or go.
    pub(super) fn replace(
        &mut self,
        algorithms: &[SigningAlgorithm],
        keeps_old: bool,
    ) -> Result<(), Unspecified> {
        let made: Result<Vec<Key>, Unspecified> =
            algorithms.iter().map(|one| Key::generate(*one)).collect();
        self.signing = made?;
        let old = std::mem::take(&mut self.published);
        self.published = self.signing.iter().map(|key| key.public.clone()).collect();
        if keeps_old {
            self.published.extend(old);
            self.published.truncate(PUBLISHED_MAX);
        }
        Ok(())
    }

    /// A JWK Set (RFC 7517, section 5).
    pub(super) fn published(&self, hides_signing: bool) -> Value {
        let from = if hides_signing { self.signing.len() } else { 0 };
        let keys: Vec<&Value> = self.published.iter().skip(from).collect();
        json!({ "keys": keys })
    }

    /// A token in compact form (RFC 7515). `alg` and `kid` of the header are set unless there.
    pub(super) fn sign(
        &self,
        by: SignedBy,
        mut header: Map<String, Value>,
        claims: &Value,
    ) -> Result<String, Unspecified> {
        let own = self.signing.first().ok_or(Unspecified)?;
        let key = if by == SignedBy::Unknown {
            &self.unknown
        } else {
            own
        };
        let algorithm = match by {
            SignedBy::First | SignedBy::Unknown => key.algorithm().name(),
            SignedBy::PublicKeyAsSecret => "HS256",
            SignedBy::Nobody => "none",
        };
        header.entry("alg").or_insert_with(|| json!(algorithm));
        header.entry("kid").or_insert_with(|| json!(key.kid));
        let mut text = [Value::Object(header).to_string(), claims.to_string()]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".");
        let signature = match by {
            SignedBy::First | SignedBy::Unknown => key.sign(text.as_bytes())?,
            SignedBy::PublicKeyAsSecret => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, pem(&key.der).as_bytes());
                hmac::sign(&secret, text.as_bytes()).as_ref().to_vec()
            }
            SignedBy::Nobody => Vec::new(),
        };
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(text)
    }

    /// The claims of a token that one of the published keys has signed, however old it is.
    pub(super) fn read_own(&self, token: &str) -> Option<Map<String, Value>> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let kid = header.kid.as_deref()?;
        let mut published = self.published.iter();
        verify(token, published.find(|key| key["kid"] == kid)?)
    }
}

/// The claims of a token that the owner of `jwk` has signed. Times are the caller's to look at.
pub(super) fn verify(token: &str, jwk: &Value) -> Option<Map<String, Value>> {
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).ok()?;
    let algorithm = jsonwebtoken::decode_header(token).ok()?.alg;
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let mut rules = Validation::new(algorithm);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    let data = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &rules).ok()?;
    Some(data.claims)
}

impl Key {
    fn generate(algorithm: SigningAlgorithm) -> Result<Self, Unspecified> {
        match algorithm {
            SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
                Self::es256(pair).ok_or(Unspecified)
            }
            SigningAlgorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
                Self::rs256(pair).ok_or(Unspecified)
            }
        }
    }

    fn es256(pair: EcdsaKeyPair) -> Option<Self> {
        let public = pair.public_key();
        // Uncompressed: 4, then x and y of 32 bytes each (SEC 1, section 2.3.3).
        let point = public.as_ref().strip_prefix(&[4])?;
        let (x, y) = point.split_at_checked(32)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let der: PublicKeyX509Der<'_> = public.as_der().ok()?;
        let members = json!({"crv": "P-256", "kty": "EC", "x": x, "y": y});
        let der = der.as_ref().to_vec();
        Some(Self::new(Pair::Es256(pair), members, der))
    }

    fn rs256(pair: RsaKeyPair) -> Option<Self> {
        let public = pair.public_key();
        let (_, numbers) = RSAPublicKey::from_der(public.as_ref()).ok()?;
        // DER has a zero in front where the first bit is set; a JWK has not (RFC 7518, 6.3.1.1).
        let number = |bytes: &[u8]| {
            let bytes = bytes.strip_prefix(&[0]).unwrap_or(bytes);
            URL_SAFE_NO_PAD.encode(bytes)
        };
        let (n, e) = (number(numbers.modulus), number(numbers.exponent));
        let der: PublicKeyX509Der<'_> = public.as_der().ok()?;
        let der = der.as_ref().to_vec();
        let members = json!({"e": e, "kty": "RSA", "n": n});
        Some(Self::new(Pair::Rs256(pair), members, der))
    }

    /// `members` are those that the thumbprint is made of, in their order (RFC 7638, section 3.2).
    fn new(pair: Pair, members: Value, der: Vec<u8>) -> Self {
        let thumbprint = digest(&SHA256, members.to_string().as_bytes());
        let mut key = Self {
            pair,
            kid: URL_SAFE_NO_PAD.encode(thumbprint.as_ref()),
            public: members,
            der,
        };
        let (kid, algorithm) = (json!(key.kid), key.algorithm().name());
        if let Some(public) = key.public.as_object_mut() {
            public.insert("kid".to_owned(), kid);
            public.insert("use".to_owned(), json!("sig"));
            public.insert("alg".to_owned(), json!(algorithm));
        }
        key
    }

    const fn algorithm(&self) -> SigningAlgorithm {
        match self.pair {
            Pair::Es256(_) => SigningAlgorithm::Es256,
            Pair::Rs256(_) => SigningAlgorithm::Rs256,
        }
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => Ok(pair.sign(&random, text)?.as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

/// As public keys are passed around, and mistaken for secrets.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for (at, letter) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push_str("\n-----END PUBLIC KEY-----\n");
    pem
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Keys({})", self.signing.len())
    }
}
