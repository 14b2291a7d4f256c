//! Somebody who is logged in, with the cookies that a browser brings.

use edgespan::auth::seal::{SealKey, Sealer};
use edgespan::auth::session::{
    CookieSettings, Proves, Session, SessionSettings, SessionStore, SessionTokens, Sessions,
};
use edgespan::clock;
use edgespan::secret::Secret;
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// What seals the cookies.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The policy that they are of.
pub(crate) const POLICY: &str = "web";
/// Where the login was.
pub(crate) const ISSUER: &str = "http://127.0.0.1:1";

/// Those of a configuration with this key and nothing else about sessions. Has to run inside the
/// runtime.
pub(crate) fn sessions() -> Sessions {
    let settings = SessionSettings {
        store: SessionStore::Cookie,
        idle: Duration::from_hours(8),
        absolute: Duration::from_hours(24),
        cookie: CookieSettings {
            name: "edgespan".into(),
            domain: None,
            same_site: "Lax",
        },
    };
    let sealer = Sealer::new(&[SealKey::parse(KEY).unwrap()]);
    Sessions::new(settings, Arc::new(sealer), None, Arc::default(), None)
}

/// The line of `Cookie` of a browser that has just logged in and got tokens of this many bytes,
/// under a host of `https` or a loopback one of `http`.
pub(crate) fn cookies(runtime: &Runtime, secure: bool, token_bytes: usize) -> String {
    let begun = runtime.block_on(async {
        let session = session(token_bytes);
        sessions().begin(session, &HeaderMap::new(), secure).await
    });
    let set = begun.unwrap();
    let pairs = set
        .iter()
        .map(|one| one.to_str().unwrap().split(';').next());
    pairs.map(Option::unwrap).collect::<Vec<_>>().join("; ")
}

fn session(token_bytes: usize) -> Session {
    let now = clock::wall().as_unix_nanos() / 1_000_000_000;
    let claims = serde_json::json!({
        "sub": "248289761001", "email": "ada@example.com", "email_verified": true,
        "name": "Ada Lovelace", "groups": ["ops", "dev", "on-call"], "acr": "urn:mace:mfa",
        "amr": ["pwd", "otp"], "auth_time": now, "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
    });
    Session {
        id: "XKdXKoWQbwdS1bb2Q6RW-g".into(),
        policy: POLICY.into(),
        issuer: ISSUER.into(),
        subject: "248289761001".into(),
        sid: Some("08a5019c-17e1-4977-8f42-65a12843ea02".into()),
        claims: claims.as_object().cloned().unwrap(),
        tokens: SessionTokens {
            access: None,
            access_until: None,
            id: Some(Secret::new("x".repeat(token_bytes))),
            refresh: None,
        },
        began: now,
        seen: now,
        proves: Proves::default(),
    }
}
