//! A Redis of our own for tests: it speaks RESP2, keeps what it is given by a clock that a test
//! moves, and can be gone, hang, or say what a test wants.

use super::RedisSettings;
use super::lock::{RELEASE, RENEW};
use crate::secret::Secret;
use redis::Script;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// What a test sees and says.
#[derive(Default)]
pub(crate) struct Scripted {
    /// Answer of every script call, as RESP; empty: what the script does.
    pub(crate) reply: Mutex<String>,
    /// Whether scripts are known.
    pub(crate) knows: AtomicBool,
    pub(crate) hangs: AtomicBool,
    /// Handshakes that came to nothing.
    pub(crate) turned_away: AtomicUsize,
    pub(crate) commands: Mutex<Vec<Vec<String>>>,
    kept: Mutex<Kept>,
    /// Milliseconds by which its clock is ahead.
    ahead: AtomicU64,
}

/// All that it keeps.
#[derive(Default)]
struct Kept {
    texts: HashMap<String, (Vec<u8>, Option<u64>)>,
    sets: HashMap<String, BTreeMap<String, f64>>,
    stream: Vec<(u64, Vec<String>)>,
}

pub(crate) struct FakeRedis {
    pub(crate) address: SocketAddr,
    pub(crate) scripted: Arc<Scripted>,
    task: AbortHandle,
}

impl Drop for FakeRedis {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeRedis {
    pub(crate) async fn start(reply: &str) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), reply).await
    }

    pub(crate) async fn at(address: SocketAddr, reply: &str) -> Self {
        Self::speaking(None, address, reply).await
    }

    /// In the clear, or over TLS.
    pub(crate) async fn speaking(
        tls: Option<TlsAcceptor>,
        address: SocketAddr,
        reply: &str,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let scripted = Arc::new(Scripted::default());
        *scripted.reply.lock().unwrap() = reply.to_owned();
        let shared = Arc::clone(&scripted);
        // Aborting it drops the set, and with it all connections.
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, shared) = (tls.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, shared).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, shared).await,
                            Err(_) => drop(shared.turned_away.fetch_add(1, Ordering::Relaxed)),
                        },
                    }
                });
            }
        });
        Self {
            address,
            scripted,
            task: task.abort_handle(),
        }
    }

    /// The commands of this name that it got, in order.
    pub(crate) fn commands(&self, name: &str) -> Vec<Vec<String>> {
        let commands = self.scripted.commands.lock().unwrap();
        let named = commands.iter().filter(|command| command[0] == name);
        named.cloned().collect()
    }

    /// Its clock moves on.
    pub(crate) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.scripted.ahead.fetch_add(millis, Ordering::Relaxed);
    }

    /// It forgets everything, as one that restarted without a file does.
    pub(crate) fn empty(&self) {
        *self.scripted.kept.lock().unwrap() = Kept::default();
    }

    /// What is kept in it, as anybody sees who reads it.
    pub(crate) fn dump(&self) -> HashMap<String, Vec<u8>> {
        let kept = self.scripted.kept.lock().unwrap();
        let texts = kept.texts.iter();
        texts
            .map(|(key, (text, _))| (key.clone(), text.clone()))
            .collect()
    }

    pub(crate) fn settings(&self) -> RedisSettings {
        RedisSettings {
            host: Arc::from("127.0.0.1"),
            port: self.address.port(),
            database: 2,
            tls: None,
            username: None,
            password: Some(Secret::new("hunter2")),
            timeout: Duration::from_millis(200),
            prefix: Arc::from("{edgespan}:"),
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, scripted: Arc<Scripted>) {
    let mut stream = BufReader::new(stream);
    while let Some(command) = read_command(&mut stream).await {
        let words: Vec<String> = command
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        scripted.commands.lock().unwrap().push(words.clone());
        while scripted.hangs.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let reply = scripted.answer(&words, &command);
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

impl Scripted {
    fn answer(&self, words: &[String], raw: &[Vec<u8>]) -> Vec<u8> {
        let reply = self.reply.lock().unwrap().clone();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["SCRIPT", "LOAD", source] => {
                self.knows.store(true, Ordering::Relaxed);
                bulk(Script::new(source).get_hash().as_bytes())
            }
            ["EVALSHA", ..] if !self.knows.load(Ordering::Relaxed) => {
                b"-NOSCRIPT No matching script.\r\n".to_vec()
            }
            ["EVALSHA", ..] if !reply.is_empty() => reply.into_bytes(),
            ["PING"] => b"+PONG\r\n".to_vec(),
            _ => self
                .do_it(&words, raw)
                .unwrap_or_else(|| b"+OK\r\n".to_vec()),
        }
    }

    /// As Redis does it, as far as we use it.
    fn do_it(&self, words: &[&str], raw: &[Vec<u8>]) -> Option<Vec<u8>> {
        let mut kept = self.kept.lock().unwrap();
        let now = self.now();
        kept.texts
            .retain(|_, (_, until)| until.is_none_or(|until| until > now));
        let after = |millis: &str| now + millis.parse::<u64>().unwrap();
        Some(match *words {
            ["GET", key] => kept.texts.get(key).map_or_else(nil, |(text, _)| bulk(text)),
            ["GETDEL", key] => kept
                .texts
                .remove(key)
                .map_or_else(nil, |(text, _)| bulk(&text)),
            ["PTTL", key] => number(kept.texts.get(key).map_or(-2, |(_, until)| {
                until.map_or(-1, |until| i64::try_from(until - now).unwrap())
            })),
            ["SET", key, _, "PX", ttl, ref rest @ ..] => {
                let there = kept.texts.contains_key(key);
                if (rest == ["NX"] && there) || (rest == ["XX"] && !there) {
                    return Some(nil());
                }
                let entry = (raw[2].clone(), Some(after(ttl)));
                kept.texts.insert(key.to_owned(), entry);
                b"+OK\r\n".to_vec()
            }
            ["PEXPIRE", key, ttl] => number(match kept.texts.get_mut(key) {
                Some(entry) => {
                    entry.1 = Some(after(ttl));
                    1
                }
                None => 0,
            }),
            ["DEL", ref keys @ ..] => {
                let mut gone = 0;
                for key in keys {
                    gone += i64::from(kept.texts.remove(*key).is_some());
                    gone += i64::from(kept.sets.remove(*key).is_some());
                }
                number(gone)
            }
            ["EVALSHA", hash, "1", key, owner, ref rest @ ..] => {
                let held = kept
                    .texts
                    .get(key)
                    .is_some_and(|(text, _)| text == owner.as_bytes());
                if held && hash == Script::new(RELEASE).get_hash() {
                    kept.texts.remove(key);
                } else if held && hash == Script::new(RENEW).get_hash() {
                    kept.texts.get_mut(key)?.1 = Some(after(rest[0]));
                }
                number(i64::from(held))
            }
            ["XADD", _, "MAXLEN", "~", _, "*", ref fields @ ..] => {
                let id = kept.stream.last().map_or(1, |(id, _)| id + 1);
                let fields = fields.iter().map(|field| (*field).to_owned()).collect();
                kept.stream.push((id, fields));
                bulk(format!("{id}-0").as_bytes())
            }
            ["XRANGE", _, from, "+", "COUNT", _] => {
                let from = from.trim_start_matches('(').trim_end_matches("-0");
                let from = from.parse().unwrap_or(0);
                let news: Vec<_> = kept.stream.iter().filter(|(id, _)| *id > from).collect();
                let mut reply = format!("*{}\r\n", news.len()).into_bytes();
                for (id, fields) in news {
                    reply.extend(b"*2\r\n");
                    reply.extend(bulk(format!("{id}-0").as_bytes()));
                    reply.extend(list(fields.iter()));
                }
                reply
            }
            _ => return kept.sorted(words),
        })
    }

    fn now(&self) -> u64 {
        let now = crate::clock::wall().as_unix_nanos() / 1_000_000;
        now + self.ahead.load(Ordering::Relaxed)
    }
}

impl Kept {
    /// What is asked of sorted sets.
    fn sorted(&mut self, words: &[&str]) -> Option<Vec<u8>> {
        Some(match *words {
            ["ZADD", key, score, member] => {
                let set = self.sets.entry(key.to_owned()).or_default();
                set.insert(member.to_owned(), score.parse().unwrap());
                number(1)
            }
            ["ZREM", key, member] => {
                let set = self.sets.entry(key.to_owned()).or_default();
                number(i64::from(set.remove(member).is_some()))
            }
            ["ZRANGE", key, "0", "-1"] => {
                list(self.sets.get(key).into_iter().flat_map(BTreeMap::keys))
            }
            ["ZREMRANGEBYSCORE", key, "-inf", until] => {
                let until: f64 = until.parse().unwrap();
                let set = self.sets.entry(key.to_owned()).or_default();
                set.retain(|_, score| *score > until);
                number(0)
            }
            _ => return None,
        })
    }
}

fn nil() -> Vec<u8> {
    b"$-1\r\n".to_vec()
}

fn number(number: i64) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    let mut text = format!("${}\r\n", bytes.len()).into_bytes();
    text.extend(bytes);
    text.extend(b"\r\n");
    text
}

fn list<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<u8> {
    let texts: Vec<Vec<u8>> = texts.map(|text| bulk(text.as_bytes())).collect();
    let mut list = format!("*{}\r\n", texts.len()).into_bytes();
    list.extend(texts.concat());
    list
}

async fn read_command(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<Vec<u8>>> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let count: usize = line.trim().strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let length: usize = line.trim().strip_prefix('$')?.parse().ok()?;
        let mut bytes = vec![0; length + 2];
        stream.read_exact(&mut bytes).await.ok()?;
        bytes.truncate(length);
        words.push(bytes);
    }
    Some(words)
}
