//! A stand-in for a provider: answers each path as it is told, and remembers what it was asked.

use crate::telemetry::metrics::ProviderCounts;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::super::{Endpoints, KeySource, Provider, ProviderSettings};
use crate::client::ClientTlsSettings;

/// A public key of Ed25519, for sets of keys of any name.
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

pub(super) const DISCOVERY: &str = "/.well-known/openid-configuration";

/// How a path is answered.
#[derive(Clone)]
pub(super) enum Act {
    /// With this status, head and body.
    Say(u16, &'static str, String),
    /// The same, when a permit is there.
    Gated(Arc<Semaphore>, String),
    /// Not at all.
    Hang,
    /// By closing the connection.
    Close,
    /// With a head that promises more than comes.
    Half(String),
    /// With a body that never ends.
    Endless,
    /// A byte now and then.
    Drip,
}

/// What it was asked.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) path: String,
    /// With the request line.
    pub(super) head: String,
    pub(super) body: String,
}

#[derive(Default)]
struct Script {
    acts: Mutex<HashMap<String, Act>>,
    heard: Mutex<Vec<Heard>>,
    is_down: Mutex<bool>,
}

pub(super) struct Stand {
    pub(super) address: SocketAddr,
    script: Arc<Script>,
    serving: JoinHandle<()>,
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Stand {
    /// Says of itself what a whole provider says, with a key of the name `a`.
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Script::default());
        let shared = Arc::clone(&script);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        let stand = Self {
            address,
            script,
            serving,
        };
        stand.json(DISCOVERY, &stand.metadata());
        stand.keys(&["a"]);
        stand
    }

    pub(super) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn metadata(&self) -> Value {
        let issuer = self.issuer();
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "userinfo_endpoint": format!("{issuer}/me"),
            "introspection_endpoint": format!("{issuer}/introspect"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "pushed_authorization_request_endpoint": format!("{issuer}/par"),
        })
    }

    pub(super) fn set(&self, path: &str, act: Act) {
        let mut acts = self.script.acts.lock().unwrap();
        acts.insert(path.to_owned(), act);
    }

    pub(super) fn json(&self, path: &str, body: &Value) {
        self.set(path, Act::Say(200, "", body.to_string()));
    }

    pub(super) fn keys(&self, names: &[&str]) {
        self.json("/jwks", &jwks(names));
    }

    /// Closes every connection at once, or does not any more.
    pub(super) fn down(&self, is_down: bool) {
        *self.script.is_down.lock().unwrap() = is_down;
    }

    pub(super) fn heard(&self, path: &str) -> Vec<Heard> {
        let heard = self.script.heard.lock().unwrap();
        let at = heard.iter().filter(|one| one.path == path);
        at.cloned().collect()
    }

    /// The only thing that was asked at a path.
    #[track_caller]
    pub(super) fn heard_once(&self, path: &str) -> Heard {
        let mut heard = self.heard(path);
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }

    /// Until it was asked there so often.
    pub(super) async fn asked(&self, path: &str, times: usize) {
        until(|| self.heard(path).len() >= times).await;
    }

    pub(super) fn settings(&self) -> ProviderSettings {
        ProviderSettings {
            issuer: self.issuer().into(),
            keys: KeySource::Discovery,
            endpoints: Endpoints::default(),
            tls: ClientTlsSettings::default(),
            timeout: Duration::from_millis(500),
            refresh: Duration::from_hours(1),
            cooldown: Duration::from_secs(30),
            is_rehearsed: false,
        }
    }

    /// A provider that knows its keys.
    pub(super) async fn provider(&self) -> (Arc<Provider>, Arc<ProviderCounts>) {
        let settings = self.settings();
        let counts = ProviderCounts::unlisted(&settings.issuer);
        let provider = Provider::go_on(settings, Arc::clone(&counts), None);
        provider.came().await;
        (provider, counts)
    }
}

pub(super) fn jwks(names: &[&str]) -> Value {
    let keys: Vec<Value> = names
        .iter()
        .map(|name| json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": name}))
        .collect();
    json!({ "keys": keys })
}

/// Until it holds; far longer than it takes.
pub(super) async fn until(holds: impl Fn() -> bool) {
    let held = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(20), held).await;
    held.expect("it never held");
}

async fn serve(mut stream: TcpStream, script: Arc<Script>) {
    if *script.is_down.lock().unwrap() {
        return;
    }
    let Some(heard) = hear(&mut stream).await else {
        return;
    };
    let act = script.acts.lock().unwrap().get(&heard.path).cloned();
    script.heard.lock().unwrap().push(heard);
    let head = |status: u16, more: &str, length: usize| {
        format!(
            "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n"
        )
    };
    let text = match act {
        None => head(404, "", 0),
        Some(Act::Say(status, more, body)) => head(status, more, body.len()) + &body,
        Some(Act::Gated(gate, body)) => {
            gate.acquire().await.unwrap().forget();
            head(200, "", body.len()) + &body
        }
        Some(Act::Close) => return,
        Some(Act::Half(body)) => head(200, "", body.len() + 1) + &body,
        Some(Act::Hang) => return std::future::pending().await,
        Some(Act::Endless) => {
            let start = head(200, "", usize::MAX >> 1);
            let mut sent = stream.write_all(start.as_bytes()).await;
            while sent.is_ok() {
                sent = stream.write_all(&[b' '; 4096]).await;
            }
            return;
        }
        Some(Act::Drip) => {
            let start = head(200, "", 1_000);
            let mut sent = stream.write_all(start.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                sent = stream.write_all(b" ").await;
            }
            return;
        }
    };
    // Whoever asked may have left.
    let _sent = stream.write_all(text.as_bytes()).await;
}

async fn hear(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(Heard {
                    path: head.split(' ').nth(1)?.to_owned(),
                    head: head.to_owned(),
                    body: body.to_owned(),
                });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
