//! Tokens and keys that tests sign with, and what holds of them.

mod differential;
mod keys;
mod matrix;
mod reading;

use super::{Algorithm, Expected, KeySet};
use crate::clock::Timestamp;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// What time it is in these tests: 2026-11-22T00:00:00Z, in seconds.
pub(in crate::auth) const NOW: u64 = 1_795_305_600;
pub(in crate::auth) const ISSUER: &str = "https://id.example.com";
pub(in crate::auth) const AUDIENCE: &str = "orders";

/// An issuer's private key.
pub(in crate::auth) enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

pub(in crate::auth) static RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
pub(in crate::auth) static P256: LazyLock<Signer> = LazyLock::new(|| {
    Signer::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
});
pub(in crate::auth) static P384: LazyLock<Signer> = LazyLock::new(|| {
    Signer::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
});
pub(in crate::auth) static ED25519: LazyLock<Signer> =
    LazyLock::new(|| Signer::Ed25519(Ed25519KeyPair::generate().unwrap()));

pub(in crate::auth) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The numbers of `SEQUENCE { INTEGER, INTEGER }` (PKCS#1's public key), without sign bytes.
fn two_numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn element(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, rest) = match der[1] {
            0x81 => (usize::from(der[2]), &der[3..]),
            0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), &der[4..]),
            short => (usize::from(short), &der[2..]),
        };
        rest.split_at(length)
    }
    let (sequence, _) = element(der);
    let (n, rest) = element(sequence);
    let (e, _) = element(rest);
    let bare = |number: &[u8]| number.strip_prefix(&[0]).unwrap_or(number).to_vec();
    (bare(n), bare(e))
}

impl Signer {
    /// The key for an algorithm.
    pub(in crate::auth) fn for_algorithm(algorithm: Algorithm) -> &'static Self {
        match algorithm {
            Algorithm::Es256 => &P256,
            Algorithm::Es384 => &P384,
            Algorithm::EdDsa => &ED25519,
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => &RSA,
        }
    }

    /// What is published of it, without `kid`, `use` and `alg`.
    pub(in crate::auth) fn jwk(&self) -> Value {
        let on_curve = |curve: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            json!({"kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y)})
        };
        match self {
            Self::Rsa(pair) => {
                let (n, e) = two_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": encoded(n), "e": encoded(e)})
            }
            Self::P256(pair) => on_curve("P-256", pair.public_key().as_ref()),
            Self::P384(pair) => on_curve("P-384", pair.public_key().as_ref()),
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key())})
            }
        }
    }

    /// The same with these members beside.
    pub(in crate::auth) fn jwk_with(&self, members: Value) -> Value {
        let mut jwk = self.jwk();
        let Value::Object(members) = members else {
            panic!("members are an object");
        };
        jwk.as_object_mut().unwrap().extend(members);
        jwk
    }

    fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    Algorithm::Ps384 => &RSA_PSS_SHA384,
                    Algorithm::Ps512 => &RSA_PSS_SHA512,
                    Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => {
                        &RSA_PKCS1_SHA256
                    }
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::P256(pair) | Self::P384(pair) => {
                pair.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of a header and claims as they are written, good or bad.
    pub(in crate::auth) fn sign(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let signature = self.signature(algorithm, signed.as_bytes());
        format!("{signed}.{}", encoded(signature))
    }
}

/// The keys of the issuer: one of each kind, each with a name.
pub(in crate::auth) fn jwks() -> Value {
    json!({"keys": [
        RSA.jwk_with(json!({"kid": "r", "use": "sig"})),
        P256.jwk_with(json!({"kid": "p", "key_ops": ["verify"]})),
        P384.jwk_with(json!({"kid": "q"})),
        ED25519.jwk_with(json!({"kid": "e", "alg": "EdDSA"})),
    ]})
}

pub(in crate::auth) fn key_set() -> KeySet {
    KeySet::parse(jwks().to_string().as_bytes()).unwrap()
}

/// Claims that are all right.
pub(in crate::auth) fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "iat": NOW - 60,
        "nbf": NOW - 60,
        "exp": NOW + 600,
    })
}

/// Claims that are all right but for these.
pub(in crate::auth) fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    let Value::Object(changes) = changes else {
        panic!("changes are an object");
    };
    claims.as_object_mut().unwrap().extend(changes);
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// A token of these claims, by the key of P-256.
pub(in crate::auth) fn token(claims: &Value) -> String {
    let header = r#"{"alg":"ES256","kid":"p","typ":"JWT"}"#;
    P256.sign(Algorithm::Es256, header, &claims.to_string())
}

pub(in crate::auth) fn now() -> Timestamp {
    Timestamp::from_unix_nanos(NOW * 1_000_000_000)
}

static AUDIENCES: LazyLock<Vec<Arc<str>>> =
    LazyLock::new(|| vec![Arc::from("other"), Arc::from(AUDIENCE)]);

fn expected() -> Expected<'static> {
    Expected {
        issuer: ISSUER,
        audiences: &AUDIENCES,
        algorithms: &Algorithm::ALL,
        types: &[],
        leeway: Duration::from_secs(30),
        age_max: None,
        nonce: None,
    }
}
