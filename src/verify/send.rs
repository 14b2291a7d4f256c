//! One request, and the account that comes back.

use super::arrival::{self, Account, Inquiry, Nonce, Opened, SharedSecret};
use super::compare::Line;
use super::echo::Echo;
use super::message;
use super::obstacle::{Obstacle, retry_after};
use super::way::Way;
use crate::client::{Answer, Client, ClientError, Manner, Target};
use crate::clock;
use crate::message::websocket::handshake;
use bytes::Bytes;
use http::header::{CONNECTION, LOCATION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::time::Duration;

/// Most bytes of an account, or of an echo, that are read.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How often a request is sent again because of 429.
const PATIENCE: usize = 4;
/// What a POST carries.
const POSTED: &[u8] = b"edgespan verify\n";

/// Who answers at the end of the way.
#[derive(Clone, Debug)]
pub enum Behind {
    /// An edgespan with this secret.
    Edgespan(Box<SharedSecret>),
    /// A service that echoes.
    Echo(Echo),
}

/// What is needed to send.
#[derive(Clone)]
pub struct Sender {
    /// Asks.
    pub client: Client,
    /// The address as it was given: the account's path stands below its host.
    pub url: url::Url,
    /// Who answers.
    pub behind: Behind,
    /// Sent with every request: credentials for hops, and headers that were given.
    pub always: Vec<(HeaderName, HeaderValue)>,
    /// For each request in all.
    pub timeout: Duration,
}

/// What came of one request.
pub(super) struct Got {
    pub(super) told: Result<Told, Obstacle>,
    /// Headers of the answer, if there was one.
    pub(super) answer: HeaderMap,
    /// Requests that were sent for it.
    pub(super) requests: usize,
}

/// What arrived, as the other end tells it.
pub(super) struct Told {
    pub(super) lines: Vec<Line>,
    pub(super) removed: Vec<String>,
    /// Of an edgespan.
    pub(super) reached: Option<Reached>,
}

/// Who told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Its listener.
    pub listener: String,
    /// Its version.
    pub version: String,
    /// Its key's name.
    pub key: String,
    /// Who connected to it.
    pub peer: String,
    /// The HTTP that arrived there.
    pub http: String,
}

/// What is read of an answer.
struct Read {
    told: Result<Told, Obstacle>,
    answer: HeaderMap,
    wait: Option<Duration>,
}

impl Sender {
    /// Sends one request with these headers in this way; waits where a hop asks to.
    pub(super) async fn send(&self, way: Way, headers: &HeaderMap) -> Got {
        let mut requests = 0;
        loop {
            let read = match (&self.behind, way) {
                (Behind::Edgespan(secret), Way::Redirect) => {
                    requests += 1;
                    self.redirected(secret, way, headers).await
                }
                (Behind::Edgespan(secret), _) => self.account(secret, way, headers, "").await,
                (Behind::Echo(echo), _) => self.echo(echo, way, headers).await,
            };
            requests += 1;
            match read.wait.filter(|_| requests <= PATIENCE) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    return Got {
                        told: read.told,
                        answer: read.answer,
                        requests,
                    };
                }
            }
        }
    }

    /// `?redirect=1`, and then where it leads.
    async fn redirected(&self, secret: &SharedSecret, way: Way, headers: &HeaderMap) -> Read {
        let query = format!("?{}=1", arrival::REDIRECT_KEY);
        let first = self.ask(secret, way, headers, &query).await;
        let (answer, _) = match first {
            Ok(answer) => answer,
            Err(obstacle) => return Read::nothing(obstacle),
        };
        let location = answer
            .headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let base = self.account_url("");
        let next = location.and_then(|location| base.join(location).ok());
        let Some(next) = next.filter(|_| answer.status.is_redirection()) else {
            let obstacle = match answer.status {
                StatusCode::OK => Obstacle::NoRedirect(200),
                _ => Obstacle::of_answer(&answer, self.host()),
            };
            return Read::of(obstacle, &answer);
        };
        if next.path() != arrival::PATH {
            return Read::of(Obstacle::of_answer(&answer, self.host()), &answer);
        }
        let query = next.query().map(|query| format!("?{query}"));
        self.account(secret, way, headers, &query.unwrap_or_default())
            .await
    }

    async fn account(
        &self,
        secret: &SharedSecret,
        way: Way,
        headers: &HeaderMap,
        query: &str,
    ) -> Read {
        match self.ask(secret, way, headers, query).await {
            Ok((answer, nonce)) => self.read_account(secret, way, &answer, nonce),
            Err(obstacle) => Read::nothing(obstacle),
        }
    }

    /// Asks for an account: signed, with a nonce that no cache can know.
    async fn ask(
        &self,
        secret: &SharedSecret,
        way: Way,
        headers: &HeaderMap,
        query: &str,
    ) -> Result<(Answer, Nonce), Obstacle> {
        let method = way.method();
        let now = clock::wall().as_unix_nanos() / 1_000_000_000;
        let nonce = Nonce::fresh();
        let nonce = nonce.ok_or_else(|| Obstacle::Broken("the system has no randomness".into()))?;
        let proof = Inquiry::sign(secret, &method, now, nonce);
        let mut headers = self.all(headers);
        headers.extend(proof.map(|proof| (arrival::VERIFY_HEADER, proof)));
        let url = self.account_url(query);
        let answer = self.exchange(way, &url, headers).await;
        answer
            .map(|answer| (answer, nonce))
            .map_err(|error| Obstacle::of_error(&error))
    }

    fn read_account(&self, secret: &SharedSecret, way: Way, answer: &Answer, nonce: Nonce) -> Read {
        let header = answer.headers.get(arrival::SIGNATURE_HEADER);
        let signature = header.and_then(|value| value.to_str().ok());
        let opened = if way == Way::WebSocket {
            if answer.status != StatusCode::SWITCHING_PROTOCOLS {
                return Read::of(no_upgrade(answer, self.host()), answer);
            }
            match message::first(&answer.body.bytes) {
                Some(text) => Account::open_message(secret, &text),
                None => return Read::of(Obstacle::NoUpgrade(101), answer),
            }
        } else {
            if answer.status != StatusCode::OK {
                return Read::of(Obstacle::of_answer(answer, self.host()), answer);
            }
            Account::open(secret, &answer.body.bytes, signature)
        };
        let obstacle = match opened {
            Opened::Account(account) if account.nonce == nonce.to_string() => {
                return Read {
                    told: Ok(Told::of(*account, secret)),
                    answer: answer.headers.clone(),
                    wait: None,
                };
            }
            Opened::Account(_) => Obstacle::Cached(cache_sign(&answer.headers)),
            Opened::OtherKey(id) => Obstacle::OtherKey(id),
            Opened::Forged => Obstacle::Forged,
            Opened::Unreadable => Obstacle::Unreadable,
            Opened::Unsigned if has_schema(&answer.body.bytes) => Obstacle::Unsigned,
            Opened::Unsigned => Obstacle::of_answer(answer, self.host()),
        };
        Read::of(obstacle, answer)
    }

    async fn echo(&self, echo: &Echo, way: Way, headers: &HeaderMap) -> Read {
        let answer = match self.exchange(way, &self.url, self.all(headers)).await {
            Ok(answer) => answer,
            Err(error) => return Read::nothing(Obstacle::of_error(&error)),
        };
        if !answer.status.is_success() {
            return Read::of(Obstacle::of_answer(&answer, self.host()), &answer);
        }
        let Some(lines) = echo.read(&answer.headers, &answer.body.bytes) else {
            return Read::of(Obstacle::NoEcho, &answer);
        };
        Read {
            told: Ok(Told {
                lines,
                removed: Vec::new(),
                reached: None,
            }),
            answer: answer.headers,
            wait: None,
        }
    }

    async fn exchange(
        &self,
        way: Way,
        url: &url::Url,
        mut headers: HeaderMap,
    ) -> Result<Answer, ClientError> {
        // Whoever made the sender has shown that its address is one.
        let target = Target::of(url).map_err(|source| ClientError::Connect {
            authority: url.to_string(),
            source: std::io::Error::other(source),
        })?;
        let manner = Manner {
            speak: way.speak(),
            timeout: self.timeout,
            body_bytes_max: BODY_BYTES_MAX,
        };
        if way == Way::WebSocket {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static(handshake::WEBSOCKET));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            headers.insert(SEC_WEBSOCKET_KEY, handshake::new_key());
            let asked = self
                .client
                .ask_upgrade(&target, headers, manner, message::is_whole);
            return asked.await;
        }
        let body = match way {
            Way::Post1 | Way::Post2 => Bytes::from_static(POSTED),
            Way::Get1 | Way::Get2 | Way::WebSocket | Way::Redirect => Bytes::new(),
        };
        let asked = self
            .client
            .ask(&target, way.method(), headers, body, manner);
        asked.await
    }

    /// Headers of one request with those of every request; what a check sends goes before.
    fn all(&self, headers: &HeaderMap) -> HeaderMap {
        let mut all = headers.clone();
        for (name, value) in &self.always {
            if !headers.contains_key(name) {
                all.append(name, value.clone());
            }
        }
        all
    }

    fn account_url(&self, query: &str) -> url::Url {
        let mut url = self.url.clone();
        url.set_path(arrival::PATH);
        url.set_query(query.strip_prefix('?'));
        url.set_fragment(None);
        url
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

impl Told {
    fn of(account: Account, secret: &SharedSecret) -> Self {
        Self {
            reached: Some(Reached {
                listener: account.listener,
                version: account.edgespan,
                key: secret.id(),
                peer: account.peer,
                http: account.http,
            }),
            lines: account.headers,
            removed: account.removed,
        }
    }
}

impl Read {
    fn nothing(obstacle: Obstacle) -> Self {
        Self {
            told: Err(obstacle),
            answer: HeaderMap::new(),
            wait: None,
        }
    }

    fn of(obstacle: Obstacle, answer: &Answer) -> Self {
        let wait = (obstacle == Obstacle::TooMany).then(|| retry_after(&answer.headers));
        Self {
            told: Err(obstacle),
            answer: answer.headers.clone(),
            wait,
        }
    }
}

/// An answer other than 101. Refusals that name their reason keep it.
fn no_upgrade(answer: &Answer, host: &str) -> Obstacle {
    let found = Obstacle::of_answer(answer, host);
    if let Obstacle::Status(code) | Obstacle::Page(code) = found {
        Obstacle::NoUpgrade(code)
    } else {
        found
    }
}

/// What tells of a cache.
fn cache_sign(headers: &HeaderMap) -> String {
    let signs = ["cf-cache-status", "x-cache", "x-vercel-cache", "age"];
    let found = signs.iter().find_map(|name| {
        let value = headers.get(*name)?.to_str().ok()?;
        Some(format!("{name}: {value}"))
    });
    found.unwrap_or_default()
}

fn has_schema(body: &[u8]) -> bool {
    let document: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    document.is_some_and(|document| {
        document.get("schema").and_then(serde_json::Value::as_str) == Some(arrival::SCHEMA)
    })
}
