//! An issuer of tokens with one key, whose set of keys is a file.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgespan::clock;

/// An issuer.
pub(crate) struct Issuer {
    key: EcdsaKeyPair,
    file: tempfile::NamedTempFile,
}

impl Issuer {
    /// One with a new key.
    pub(crate) fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = key.public_key().as_ref();
        let (x, y) = point.strip_prefix(&[4]).unwrap().split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let jwk = serde_json::json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y});
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), serde_json::json!({"keys": [jwk]}).to_string()).unwrap();
        Self { key, file }
    }

    /// A policy that takes its tokens, as a configuration has it.
    pub(crate) fn policy(&self) -> String {
        format!(
            "{{jwt: {{issuer: joe, audiences: [orders], jwks: {{file: '{}'}}}}}}",
            self.file.path().display()
        )
    }

    /// `Authorization` with a token of some 900 bytes, another one for each number.
    pub(crate) fn bearer(&self, number: u64) -> String {
        let now = clock::wall().as_unix_nanos() / 1_000_000_000;
        let claims = serde_json::json!({
            "iss": "joe", "aud": "orders", "sub": "ada", "exp": now + 3_600,
            "jti": number.to_string(), "scope": "orders.read orders.write profile email",
            "groups": ["ops", "dev", "on-call"], "session": "x".repeat(350),
        });
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.unwrap());
        format!("Bearer {signed}.{signature}")
    }
}
