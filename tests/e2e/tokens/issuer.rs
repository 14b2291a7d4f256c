//! Whoever signs tokens in these tests, on a real socket: it tells of itself, of its keys and of
//! opaque tokens.

use crate::support::origin::{Origin, text, with_headers};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A private key with a name.
pub struct Key {
    pub kid: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    pub fn new(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid, pair }
    }

    pub fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// A token of these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.kid}).to_string();
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(&header), encode(&claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.unwrap());
        format!("{signed}.{signature}")
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs()
}

/// An issuer that is there.
pub struct Issuer {
    pub origin: Origin,
    published: Arc<Mutex<Vec<Value>>>,
    told: Arc<Mutex<Value>>,
}

impl Issuer {
    pub async fn start(keys: &[&Key]) -> Self {
        let published = Arc::new(Mutex::new(
            keys.iter().map(|key| key.jwk()).collect::<Vec<_>>(),
        ));
        let told = Arc::new(Mutex::new(json!({"active": false})));
        let (keys, answer) = (Arc::clone(&published), Arc::clone(&told));
        let origin = Origin::answering(move |received| {
            let host = received.one("host");
            let json = |value: Value| {
                with_headers(
                    200,
                    &[("content-type", "application/json")],
                    &value.to_string(),
                )
            };
            match received.uri.path() {
                "/.well-known/openid-configuration" => json(json!({
                    "issuer": format!("http://{host}"),
                    "jwks_uri": format!("http://{host}/jwks"),
                    "introspection_endpoint": format!("http://{host}/introspect"),
                })),
                "/jwks" => json(json!({"keys": keys.lock().unwrap().clone()})),
                "/introspect" => json(answer.lock().unwrap().clone()),
                _ => text(404, "nothing here"),
            }
        })
        .await;
        Self {
            origin,
            published,
            told,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.origin.address)
    }

    /// What it publishes from now on.
    pub fn publish(&self, keys: &[&Key]) {
        *self.published.lock().unwrap() = keys.iter().map(|key| key.jwk()).collect();
    }

    /// What it says of opaque tokens from now on.
    pub fn tell(&self, answer: Value) {
        *self.told.lock().unwrap() = answer;
    }

    /// How often it was asked at this path.
    pub fn asked(&self, path: &str) -> usize {
        let received = self.origin.received();
        received.iter().filter(|one| one.uri.path() == path).count()
    }

    /// Good claims for `orders`, but for these.
    pub fn claims(&self, changes: Value) -> Value {
        let mut claims = json!({
            "iss": self.url(), "aud": "orders", "sub": "ada",
            "iat": now(), "exp": now() + Duration::from_mins(10).as_secs(),
        });
        let more = changes.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(more);
        claims
    }
}
