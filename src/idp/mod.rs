//! A small OpenID Provider: for `edgespan demo`, which shows a login with no other program, and
//! for tests, which see by its faults what becomes of a login when a provider misbehaves.
//!
//! Everything is in memory, bounded, and gone with the process. People choose who they are by a
//! click: it protects nothing, and listens where it is told to, on loopback.
//!
//! Codes with PKCE, refresh tokens that rotate, userinfo, introspection, revocation, requests that
//! are left beforehand, step-up, logouts of all three kinds. Tokens are signed and read by its own
//! code, not by that of `auth`, so that the two can be held against each other.

mod ask;
mod authorize;
mod faults;
mod keys;
mod logout;
mod lookup;
mod metadata;
mod page;
mod record;
mod server;
mod settings;
mod shelf;
mod state;
mod token;

pub use faults::{BadIdToken, Faults, Trouble};
pub use record::{Call, Endpoint};
pub use settings::{
    ACR_MFA, ACR_PASSWORD, AccountChoice, Client, Person, Proof, Pushed, Redirect, Settings,
    SigningAlgorithm,
};

use crate::client::Client as HttpClient;
use crate::clock;
use crate::server::serve_plain;
use keys::{Keys, SignedBy};
use record::Record;
use serde_json::{Map, Value};
use state::State;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

/// A provider, serving until it is dropped.
pub struct IdentityProvider {
    address: SocketAddr,
    provider: Arc<Provider>,
    /// Dropped with it, and its connections with that.
    _serving: JoinSet<()>,
}

/// What its endpoints share. Locks are taken in the order of the fields, and never held across an
/// await.
struct Provider {
    settings: Settings,
    issuer: String,
    /// The path of the issuer, without a slash at the end.
    prefix: String,
    client: HttpClient,
    state: Mutex<State>,
    keys: Mutex<Keys>,
    faults: Mutex<Faults>,
    record: Mutex<Record>,
}

impl IdentityProvider {
    /// Makes its keys and serves on this listener.
    ///
    /// # Errors
    /// If the listener has no address, the issuer is none, or keys cannot be made.
    pub async fn start(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let issuer = match &settings.issuer {
            Some(issuer) => issuer.clone(),
            None => format!("http://{address}"),
        };
        let prefix = Url::parse(&issuer).map_err(io::Error::other)?;
        let prefix = prefix.path().trim_end_matches('/').to_owned();
        let client = match &settings.tls {
            Some(tls) => HttpClient::new(tls).map_err(io::Error::other)?,
            None => HttpClient::without_tls(),
        };
        let algorithms = settings.algorithms.clone();
        let keys = tokio::task::spawn_blocking(move || Keys::generate(&algorithms)).await?;
        let keys = keys.map_err(|_| io::Error::other("no keys could be made"))?;
        let provider = Arc::new(Provider {
            state: Mutex::new(State::new(&settings)),
            settings,
            issuer,
            prefix,
            client,
            keys: Mutex::new(keys),
            faults: Mutex::default(),
            record: Mutex::default(),
        });
        let mut serving = JoinSet::new();
        let serves = Arc::clone(&provider);
        let answer = move |request| server::answer(Arc::clone(&serves), request);
        serving.spawn(serve_plain(listener, "provider", answer));
        Ok(Self {
            address,
            provider,
            _serving: serving,
        })
    }

    /// What it calls itself.
    pub fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of an endpoint.
    pub fn url(&self, endpoint: Endpoint) -> String {
        self.provider.url(endpoint)
    }

    /// Takes on a client, in place of one of the same name.
    pub fn register(&self, client: Client) {
        let mut state = self.provider.state();
        state.clients.insert(client.id.clone(), client);
    }

    /// Makes things go wrong from now on; `Faults::default()` mends them.
    pub fn set_faults(&self, faults: Faults) {
        *lock(&self.provider.faults) = faults;
    }

    /// The last calls (4,096 of them), oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.provider.record).all()
    }

    /// How many calls there were of an endpoint.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        let calls = self.calls();
        calls.iter().filter(|one| one.endpoint == endpoint).count()
    }

    /// How many refresh tokens were brought.
    pub fn refreshes(&self) -> usize {
        let calls = self.calls();
        let is_refresh = |call: &&Call| call.grant.as_deref() == Some("refresh_token");
        calls.iter().filter(is_refresh).count()
    }

    /// Signs with new keys from now on. The old ones stay published, or they do not. RSA keys take
    /// some tenths of a second.
    ///
    /// # Errors
    /// If keys cannot be made.
    pub fn rotate_keys(&self, keeps_old: bool) -> io::Result<()> {
        let algorithms = &self.provider.settings.algorithms;
        lock(&self.provider.keys)
            .replace(algorithms, keeps_old)
            .map_err(|_| io::Error::other("no keys could be made"))
    }

    /// Signs any claims with the first key; members of `header` stand in place of its own.
    ///
    /// # Errors
    /// If the machine has no randomness to give.
    pub fn sign(&self, header: Map<String, Value>, claims: &Value) -> io::Result<String> {
        let keys = self.provider.keys();
        let signed = keys.sign(SignedBy::First, header, claims);
        signed.map_err(|_| io::Error::other("nothing could be signed"))
    }

    /// What it publishes of its keys: a JWK Set.
    pub fn jwks(&self) -> Value {
        self.provider.keys().published(false)
    }

    /// Ends all logins of somebody, takes back what came of them, and tells the clients. How many
    /// of them heard it.
    pub async fn log_out(&self, subject: &str) -> usize {
        let told = {
            let mut state = self.provider.state();
            let ended = state.sessions.drain(|login| login.subject == subject);
            ended
                .iter()
                .flat_map(|login| self.provider.ended(&mut state, login))
                .collect()
        };
        self.provider.tell(told).await
    }
}

impl Provider {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        lock(&self.keys)
    }

    fn faults(&self) -> Faults {
        lock(&self.faults).clone()
    }

    fn note(&self, call: Call) {
        lock(&self.record).note(call);
    }

    fn person(&self, subject: &str) -> Option<&Person> {
        let mut people = self.settings.people.iter();
        people.find(|person| person.subject == subject)
    }

    fn url(&self, endpoint: Endpoint) -> String {
        let issuer = self.issuer.trim_end_matches('/');
        format!("{issuer}{}", endpoint.path())
    }

    /// Seconds since the Unix epoch.
    fn now(&self) -> u64 {
        Duration::from_nanos(clock::wall().as_unix_nanos()).as_secs()
    }
}

/// What a panic left behind is still whole: nothing is changed in two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
