//! An HTTP/1.1 origin that does what a test says, request after request.

use super::{PATIENCE, until};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the origin does with one request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes these bytes and keeps the connection.
    Say(String),
    /// The same, and closes.
    SayAndClose(String),
    /// The same, once this many requests have come in all.
    SayAfter(usize, String),
    /// Closes without a word.
    Close,
    /// Says nothing until the other side closes.
    Silence,
}

/// A whole answer.
pub fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} Any\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// That answer as a step.
pub fn say(status: u16, body: &str) -> Step {
    Step::Say(answer(status, "", body))
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// On which connection, counted from zero.
    pub connection: usize,
    pub head: String,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The span id of its `traceparent`.
    pub fn span_id(&self) -> String {
        let parent = self.header("traceparent").expect("a traceparent");
        parent.split('-').nth(2).expect("a span id").to_owned()
    }
}

/// What the origin has seen.
#[derive(Clone)]
pub struct Scripted {
    pub address: SocketAddr,
    steps: Arc<Mutex<VecDeque<Step>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    /// Takes one step a request; behind the last one every answer is 200 and `done`.
    pub async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            steps: Arc::new(Mutex::new(steps.into_iter().collect())),
            seen: Arc::default(),
        };
        let this = origin.clone();
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().connection(stream, number));
                number += 1;
            }
        });
        origin
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub async fn wait_for(&self, count: usize) {
        until(&format!("{count} requests"), || {
            self.seen.lock().unwrap().len() >= count
        })
        .await;
    }

    async fn connection(self, mut stream: TcpStream, number: usize) {
        let mut bytes = Vec::new();
        while let Some(seen) = request(&mut stream, &mut bytes, number).await {
            // Step and number belong together, whatever connection they meet on.
            let step = {
                let mut all = self.seen.lock().unwrap();
                all.push(seen);
                self.steps.lock().unwrap().pop_front()
            };
            let (words, keep) = match step.unwrap_or_else(|| say(200, "done")) {
                Step::Say(words) => (words, true),
                Step::SayAndClose(words) => (words, false),
                Step::SayAfter(count, words) => {
                    self.wait_for(count).await;
                    (words, true)
                }
                Step::Close => return,
                Step::Silence => {
                    let silence =
                        async { while stream.read(&mut [0; 64]).await.unwrap_or(0) > 0 {} };
                    drop(tokio::time::timeout(PATIENCE, silence).await);
                    return;
                }
            };
            if stream.write_all(words.as_bytes()).await.is_err() || !keep {
                return;
            }
        }
    }
}

/// The next request of a connection; None at its end.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    loop {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let mut seen = Seen {
                connection,
                head: head.to_owned(),
                body: String::new(),
            };
            let length = match (
                seen.header("content-length"),
                seen.header("transfer-encoding"),
            ) {
                (Some(length), _) => Some(length.parse().unwrap()),
                (None, Some(_)) => chunked_length(rest),
                (None, None) => Some(0),
            };
            if let Some(length) = length.filter(|&length| rest.len() >= length) {
                seen.body = rest[..length].to_owned();
                *bytes = rest.as_bytes()[length..].to_vec();
                return Some(seen);
            }
        }
        if stream.read_buf(bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Where a chunked body ends, trailers included.
fn chunked_length(body: &str) -> Option<usize> {
    let last = body.find("\r\n0\r\n")? + 3;
    body[last..].find("\r\n\r\n").map(|end| last + end + 4)
}
