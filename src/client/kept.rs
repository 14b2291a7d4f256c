//! Questions over connections that are kept: for a server that is asked again and again.
//!
//! HTTP/1.1 alone. A connection that has been idle may be closed by the other side at the very
//! moment of the next question. So only what may be asked twice is asked over one, and is asked
//! again over a new one if the old one breaks.

use super::exchange::{Driver, held};
use super::{Answer, Client, ClientError, Manner, Speak, Target};
use crate::clock;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Most connections that are kept idle, of all servers together.
const IDLE_MAX: usize = 8;
/// How long one is kept idle: shorter than most servers wait.
const IDLE_FOR: Duration = Duration::from_secs(4);

/// A client that keeps connections.
pub struct KeptClient {
    client: Client,
    idle: Mutex<Vec<Idle>>,
}

/// A connection without a question.
struct Idle {
    target: (String, u16, bool),
    line: Line,
    since: Instant,
}

struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// Ends with the connection.
    driver: Driver,
    peer: SocketAddr,
}

impl KeptClient {
    /// Keeps connections that `client` makes.
    pub const fn new(client: Client) -> Self {
        Self {
            client,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Asks as [`Client::ask`] does, by HTTP/1.1. What `is_repeatable` may go over a connection
    /// that was used before; everything else has a new one, and goes once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask(
        &self,
        target: &Target,
        (method, headers, body): (Method, HeaderMap, Bytes),
        manner: Manner,
        is_repeatable: bool,
    ) -> Result<Answer, ClientError> {
        let began = clock::instant();
        let asked = async {
            if is_repeatable {
                while let Some(line) = self.take(target) {
                    let question = question(target, &method, &headers, &body);
                    if let Ok(answer) = self.over(line, target, question, manner, began).await {
                        return Ok(answer);
                    }
                }
            }
            let line = self.open(target).await?;
            let question = question(target, &method, &headers, &body);
            let answered = self.over(line, target, question, manner, began).await;
            answered.map_err(|source| ClientError::Exchange {
                authority: target.shown(),
                source,
            })
        };
        let late = |_| ClientError::Late {
            authority: target.shown(),
            timeout: manner.timeout,
        };
        timeout(manner.timeout, asked).await.map_err(late)?
    }

    async fn open(&self, target: &Target) -> Result<Line, ClientError> {
        let connected = self.client.connect(target, Speak::Http1).await?;
        let peer = connected.peer;
        let (sender, connection) = http1::handshake(connected.io).await.map_err(|source| {
            let authority = target.shown();
            ClientError::Exchange { authority, source }
        })?;
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        Ok(Line {
            sender,
            driver,
            peer,
        })
    }

    async fn over(
        &self,
        mut line: Line,
        target: &Target,
        question: Request<Full<Bytes>>,
        manner: Manner,
        began: Instant,
    ) -> Result<Answer, hyper::Error> {
        line.sender.ready().await?;
        let head = line.sender.send_request(question).await?;
        let (parts, incoming) = head.into_parts();
        let body = held(incoming, manner.body_bytes_max).await?;
        let peer = line.peer;
        // Of a body that was left in the middle nobody knows where it ends.
        if !body.is_cut {
            self.put(target, line);
        }
        Ok(Answer {
            status: parts.status,
            version: parts.version,
            headers: parts.headers,
            body,
            peer,
            took: began.elapsed(),
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one to this server that was used last.
    fn take(&self, target: &Target) -> Option<Line> {
        let mut idle = self.idle();
        idle.retain(Idle::is_of_use);
        let mut kept = idle.iter();
        let place = kept.rposition(|one| one.target == key(target))?;
        Some(idle.remove(place).line)
    }

    fn put(&self, target: &Target, line: Line) {
        let mut idle = self.idle();
        idle.retain(Idle::is_of_use);
        if idle.len() < IDLE_MAX {
            idle.push(Idle {
                target: key(target),
                line,
                since: clock::instant(),
            });
        }
    }
}

impl Idle {
    fn is_of_use(&self) -> bool {
        let is_open = !self.line.sender.is_closed() && !self.line.driver.0.is_finished();
        is_open && self.since.elapsed() < IDLE_FOR
    }
}

fn key(target: &Target) -> (String, u16, bool) {
    (target.host.clone(), target.port, target.tls)
}

fn question(
    target: &Target,
    method: &Method,
    headers: &HeaderMap,
    body: &Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = method.clone();
    // `url` has escaped what no URI may have.
    *request.uri_mut() = target.origin_form().unwrap_or_default();
    request.headers_mut().clone_from(headers);
    if !headers.contains_key(HOST) {
        let host = HeaderValue::from_str(target.authority.as_str());
        request
            .headers_mut()
            .extend(host.ok().map(|host| (HOST, host)));
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Answers every question on every connection, `most` of them on each; the address, and how
    /// many connections there were.
    async fn server(most: usize) -> (Target, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let connections = Arc::clone(&count);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    for _ in 0..most {
                        while !seen.ends_with(b"\r\n\r\n") {
                            if stream.read_buf(&mut seen).await.unwrap() == 0 {
                                return;
                            }
                        }
                        assert!(seen.starts_with(b"GET /a?b HTTP/1.1\r\n"));
                        seen.clear();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        (Target::of(&url.parse().unwrap()).unwrap(), count)
    }

    async fn ask(client: &KeptClient, target: &Target, is_repeatable: bool) {
        let parts = (Method::GET, HeaderMap::new(), Bytes::new());
        let asked = client.ask(target, parts, Manner::default(), is_repeatable);
        assert_eq!(asked.await.unwrap().body.bytes, "hi");
    }

    #[tokio::test]
    async fn what_may_be_repeated_goes_over_a_connection_that_is_there() {
        let (target, connections) = server(usize::MAX).await;
        let client = KeptClient::new(Client::without_tls());
        for _ in 0..3 {
            ask(&client, &target, true).await;
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1);
        ask(&client, &target, false).await;
        assert_eq!(connections.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_is_replaced() {
        let (target, connections) = server(1).await;
        let client = KeptClient::new(Client::without_tls());
        for _ in 0..5 {
            ask(&client, &target, true).await;
        }
        assert_eq!(connections.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn no_more_connections_are_kept_than_the_bound() {
        let (target, connections) = server(usize::MAX).await;
        let client = Arc::new(KeptClient::new(Client::without_tls()));
        for _ in 0..=IDLE_MAX {
            ask(&client, &target, false).await;
        }
        assert_eq!(connections.load(Ordering::Relaxed), IDLE_MAX + 1);
        assert_eq!(client.idle().len(), IDLE_MAX);
    }
}
