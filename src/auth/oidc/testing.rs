//! Logins for tests, alone or as one of several replicas that share a Redis.

use super::{LoginSettings, Logins, PageSettings, ReturnTargets, Site};
use crate::auth::audit::{Audit, AuditSettings};
use crate::auth::seal::{SealKey, Sealer};
use crate::auth::session::{
    CookieSettings, Proves, Session, SessionSettings, SessionStore, SessionTokens, Sessions,
};
use crate::clock;
use crate::shared::Line;
use crate::shared::fake::FakeRedis;
use crate::telemetry::metrics::Metrics;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Logins of a process; all of them have one key. Sessions lie in cookies.
pub(super) async fn logins(redis: Option<&FakeRedis>) -> Logins {
    let settings = LoginSettings {
        path: "/oauth2".into(),
        callback_origin: None,
        keys: Vec::new(),
        session: SessionSettings {
            store: SessionStore::Cookie,
            idle: Duration::from_secs(1_000),
            absolute: Duration::from_secs(5_000),
            cookie: CookieSettings {
                name: "edgespan".into(),
                domain: None,
                same_site: "Lax",
            },
        },
        return_to: ReturnTargets::default(),
        flows_max: 7,
        flow_ttl: Duration::from_secs(600),
        attempts_max: 5,
        pages: PageSettings::default(),
        user_type: None,
        plain_subject: false,
        webhook: None,
    };
    let sealer = Arc::new(Sealer::new(&[SealKey::parse(KEY).unwrap()]));
    let line = redis.map(|redis| Line::start(&redis.settings(), Arc::default()).unwrap());
    if let Some(line) = &line {
        while !line.is_up() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let session = settings.session.clone();
    let (own, counts) = (Arc::clone(&sealer), Arc::default());
    let sessions = Sessions::new(session, own, line.as_ref(), counts, None);
    let audit = AuditSettings {
        plain_subject: false,
        webhook: None,
    };
    let audit = Arc::new(Audit::new(audit, sealer, Metrics::new().audit()));
    Logins::new(settings, Arc::new(sessions), Vec::new(), audit, None)
}

pub(super) fn site() -> Site {
    Site::new("https", "app.example.com", None).unwrap()
}

/// Somebody's session by the policy `staff`, from now on.
pub(super) fn session(subject: &str) -> Arc<Session> {
    let now = clock::wall().as_unix_nanos() / 1_000_000_000;
    Arc::new(Session {
        id: Arc::from(format!("id-of-{subject}")),
        policy: "staff".into(),
        issuer: "https://id.example".into(),
        subject: subject.into(),
        sid: None,
        claims: serde_json::Map::new(),
        tokens: SessionTokens::default(),
        began: now,
        seen: now,
        proves: Proves::default(),
    })
}

/// What a browser brings after these `Set-Cookie` values.
pub(super) fn browser(had: &HeaderMap, set: &[HeaderValue]) -> HeaderMap {
    let had = had.get(COOKIE).map(|line| line.to_str().unwrap());
    let mut jar: Vec<(String, String)> = had
        .into_iter()
        .flat_map(|line| line.split("; "))
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for line in set {
        let pair = line.to_str().unwrap().split(';').next().unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        jar.retain(|(one, _)| one != name);
        if !value.is_empty() {
            jar.push((name.to_owned(), value.to_owned()));
        }
    }
    let pairs: Vec<String> = jar
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut headers = HeaderMap::new();
    if !pairs.is_empty() {
        headers.insert(COOKIE, pairs.join("; ").parse().unwrap());
    }
    headers
}
