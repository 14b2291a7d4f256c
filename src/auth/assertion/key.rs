//! Keys that sign assertions, and what is published of them.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use std::fmt;

/// A private key, of which nothing but its public half is ever shown.
pub struct SigningKey {
    pub(super) algorithm: Algorithm,
    pub(super) encoding: EncodingKey,
    /// The thumbprint of its public half (RFC 7638).
    kid: Box<str>,
    public: Value,
}

/// Why a file is no key that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no private key in it.
    #[error("no `BEGIN PRIVATE KEY` in it")]
    NoKey,
    /// Nobody could be asked for its password.
    #[error("the key is encrypted; `openssl pkcs8 -topk8 -nocrypt` decrypts it")]
    Encrypted,
    /// It is not in the form of PKCS#8 (RFC 5208).
    #[error("the key is not PKCS#8; `openssl pkcs8 -topk8 -nocrypt` converts it")]
    NotPkcs8,
    /// It is of another kind, or damaged.
    #[error("the key is neither P-256 nor Ed25519")]
    Unsupported,
}

impl SigningKey {
    /// Reads a PEM file: PKCS#8 with a key of P-256 (ES256) or Ed25519 (`EdDSA`).
    ///
    /// # Errors
    /// Why it is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = match PrivateKeyDer::from_pem_slice(pem) {
            Ok(PrivateKeyDer::Pkcs8(der)) => der,
            Ok(_) => return Err(KeyError::NotPkcs8),
            Err(_) if is_encrypted(pem) => return Err(KeyError::Encrypted),
            Err(_) => return Err(KeyError::NoKey),
        };
        let der = der.secret_pkcs8_der();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Self::p256(der, pair.public_key().as_ref()).ok_or(KeyError::Unsupported);
        }
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| KeyError::Unsupported)?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        Ok(Self::new(
            Algorithm::EdDSA,
            EncodingKey::from_ed_der(der),
            &[("crv", "Ed25519"), ("kty", "OKP"), ("x", &x)],
        ))
    }

    /// `point` is uncompressed: 4, then x and y of 32 bytes each (SEC 1, section 2.3.3).
    fn p256(der: &[u8], point: &[u8]) -> Option<Self> {
        let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Some(Self::new(
            Algorithm::ES256,
            EncodingKey::from_ec_der(der),
            &[("crv", "P-256"), ("kty", "EC"), ("x", &x), ("y", &y)],
        ))
    }

    /// `members` are those that the thumbprint is made of, in their order (RFC 7638, section 3.2).
    fn new(algorithm: Algorithm, encoding: EncodingKey, members: &[(&str, &str)]) -> Self {
        let canonical: Value = members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect();
        let thumbprint = digest(&SHA256, canonical.to_string().as_bytes());
        let kid = URL_SAFE_NO_PAD.encode(thumbprint.as_ref());
        let mut public = canonical;
        if let Some(public) = public.as_object_mut() {
            public.insert("kid".to_owned(), json!(kid));
            public.insert("use".to_owned(), json!("sig"));
            public.insert("alg".to_owned(), json!(name(algorithm)));
        }
        Self {
            algorithm,
            encoding,
            kid: kid.into_boxed_str(),
            public,
        }
    }

    /// By what assertions name it.
    pub const fn kid(&self) -> &str {
        &self.kid
    }

    /// A token of these claims. None: it cannot be signed.
    pub(in crate::auth) fn sign(&self, claims: &Map<String, Value>) -> Option<String> {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.to_string());
        jsonwebtoken::encode(&header, claims, &self.encoding).ok()
    }

    /// What is published of it: a JWK (RFC 7517).
    pub const fn public(&self) -> &Value {
        &self.public
    }
}

fn is_encrypted(pem: &[u8]) -> bool {
    let mark = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    pem.windows(mark.len()).any(|part| part == mark)
}

/// `alg` of RFC 7518 and RFC 8037.
const fn name(algorithm: Algorithm) -> &'static str {
    if matches!(algorithm, Algorithm::EdDSA) {
        "EdDSA"
    } else {
        "ES256"
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.kid)
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.kid == other.kid
    }
}

impl Eq for SigningKey {}
