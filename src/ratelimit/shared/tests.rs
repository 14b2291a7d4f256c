//! A Redis of our own: it speaks RESP2, does what a test says, and can be gone or hang.

use super::*;
use crate::ratelimit::settings::{Password, RedisTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// Longest wait for anything. A test that needs it all has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Scripted {
    /// Answer of every script call, as RESP.
    reply: Mutex<String>,
    /// Whether the script is known.
    knows: AtomicBool,
    hangs: AtomicBool,
    /// Handshakes that came to nothing.
    turned_away: AtomicUsize,
    commands: Mutex<Vec<Vec<String>>>,
}

struct FakeRedis {
    address: SocketAddr,
    scripted: Arc<Scripted>,
    task: AbortHandle,
}

impl Drop for FakeRedis {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeRedis {
    async fn start(reply: &str) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), reply).await
    }

    async fn at(address: SocketAddr, reply: &str) -> Self {
        Self::speaking(None, address, reply).await
    }

    /// In the clear, or over TLS.
    async fn speaking(tls: Option<TlsAcceptor>, address: SocketAddr, reply: &str) -> Self {
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

    fn commands(&self, name: &str) -> Vec<Vec<String>> {
        let commands = self.scripted.commands.lock().unwrap();
        let named = commands.iter().filter(|command| command[0] == name);
        named.cloned().collect()
    }

    fn settings(&self) -> RedisSettings {
        RedisSettings {
            host: Arc::from("127.0.0.1"),
            port: self.address.port(),
            database: 2,
            tls: None,
            username: None,
            password: Some(Password::new("hunter2")),
            timeout: Duration::from_millis(200),
            prefix: Arc::from("{edgespan}:"),
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, scripted: Arc<Scripted>) {
    let mut stream = BufReader::new(stream);
    while let Some(command) = read_command(&mut stream).await {
        scripted.commands.lock().unwrap().push(command.clone());
        while scripted.hangs.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let reply = match command[0].as_str() {
            "SCRIPT" => {
                scripted.knows.store(true, Ordering::Relaxed);
                let hash = script::script().get_hash().to_owned();
                format!("${}\r\n{hash}\r\n", hash.len())
            }
            "EVALSHA" if scripted.knows.load(Ordering::Relaxed) => {
                scripted.reply.lock().unwrap().clone()
            }
            "EVALSHA" => "-NOSCRIPT No matching script.\r\n".to_owned(),
            "PING" => "+PONG\r\n".to_owned(),
            _ => "+OK\r\n".to_owned(),
        };
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_command(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<String>> {
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
        words.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
    }
    Some(words)
}

/// One limit's numbers as an array of RESP.
fn numbers(numbers: &[i64]) -> String {
    let mut text = format!("*{}\r\n", numbers.len());
    for number in numbers {
        text.push_str(&format!(":{number}\r\n"));
    }
    text
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn connected(store: &SharedStore) {
    until("a connection", || store.line.connection.load().is_some()).await;
}

fn start(settings: &RedisSettings) -> Arc<SharedStore> {
    SharedStore::start(settings, Arc::default()).unwrap()
}

async fn ask(store: &SharedStore, keys: &[&str]) -> Result<Vec<Verdict>, StoreFault> {
    let ask = |key| Ask {
        key,
        quota: Quota::new(10, Duration::from_secs(1), 5),
        enforce: true,
    };
    store.ask(keys.iter().copied().map(ask)).await
}

#[tokio::test]
async fn all_buckets_of_a_request_are_asked_for_with_one_call() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 100_000, 0, 0, 50_000, 500_000])).await;
    let store = start(&redis.settings());
    connected(&store).await;

    let verdicts = ask(&store, &["{edgespan}:a:1", "{edgespan}:b:2"])
        .await
        .unwrap();

    assert_eq!(verdicts.len(), 2);
    assert!(verdicts[0].admitted && !verdicts[1].admitted);
    assert_eq!(verdicts[1].retry_after, Duration::from_millis(50));
    let calls = redis.commands("EVALSHA");
    assert_eq!(calls.len(), 1);
    let expected = [
        "2",
        "{edgespan}:a:1",
        "{edgespan}:b:2",
        "100000.000",
        "5",
        "1",
    ];
    assert_eq!(calls[0][2..8], expected);
    assert_eq!(redis.commands("AUTH")[0][1..], ["hunter2"]);
    assert_eq!(redis.commands("SELECT")[0][1..], ["2"]);
}

#[tokio::test]
async fn a_redis_that_forgot_the_script_is_told_it_again() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let store = start(&redis.settings());
    connected(&store).await;
    redis.scripted.knows.store(false, Ordering::Relaxed);

    assert!(ask(&store, &["a"]).await.unwrap()[0].admitted);
    assert_eq!(redis.commands("SCRIPT").len(), 2);
}

#[tokio::test]
async fn without_a_redis_no_request_waits() {
    let gone = FakeRedis::start("").await;
    let settings = RedisSettings {
        timeout: PATIENCE,
        ..gone.settings()
    };
    drop(gone);
    let store = start(&settings);

    let asked = ask(&store, &["a"]).await;

    assert_eq!(
        asked,
        Err(StoreFault::Down),
        "at once, not after the time-out"
    );
    assert_eq!(store.line.counts.faults(StoreFault::Down), 1);
}

#[tokio::test]
async fn a_redis_that_hangs_costs_three_requests_the_time_out_and_is_used_again_later() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let store = start(&redis.settings());
    connected(&store).await;
    redis.scripted.hangs.store(true, Ordering::Relaxed);

    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(ask(&store, &["a"]).await.unwrap_err());
    }
    redis.scripted.hangs.store(false, Ordering::Relaxed);
    connected(&store).await;

    assert_eq!(asked[..3], [StoreFault::Timeout; 3]);
    assert_eq!(asked[3], StoreFault::Down);
    assert!(ask(&store, &["a"]).await.unwrap()[0].admitted);
}

#[tokio::test]
async fn a_redis_that_was_stopped_is_used_again_once_it_is_back() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let (address, store) = (redis.address, start(&redis.settings()));
    connected(&store).await;
    drop(redis);
    // Nobody asks: the keeper finds out by itself.
    until("the loss", || store.line.connection.load().is_none()).await;

    let _back = FakeRedis::at(address, &numbers(&[1, 3, 0, 0])).await;
    connected(&store).await;

    assert_eq!(ask(&store, &["a"]).await.unwrap()[0].remaining, 3);
}

#[tokio::test]
async fn what_is_no_answer_is_a_fault_and_three_of_them_a_new_connection() {
    for reply in [
        numbers(&[1, 2, 3]),
        "-READONLY You can't write.\r\n".to_owned(),
    ] {
        let redis = FakeRedis::start(&reply).await;
        let store = start(&redis.settings());
        connected(&store).await;

        for _ in 0..3 {
            assert_eq!(ask(&store, &["a"]).await, Err(StoreFault::Reply));
        }

        until("a new connection", || redis.commands("AUTH").len() == 2).await;
    }
}

#[tokio::test]
async fn one_request_too_many_does_without_redis() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let store = start(&redis.settings());
    connected(&store).await;

    for (waiting, busy) in [
        (WAITING_MAX - 2, false),
        (WAITING_MAX - 1, false),
        (WAITING_MAX, true),
    ] {
        store.line.waiting.store(waiting, Ordering::Relaxed);
        let asked = ask(&store, &["a"]).await;
        assert_eq!(asked == Err(StoreFault::Busy), busy, "{waiting} wait");
        assert_eq!(store.line.waiting.load(Ordering::Relaxed), waiting);
    }
}

#[tokio::test]
async fn a_redis_that_refuses_every_call_is_not_connected_to_ever_faster() {
    let redis = FakeRedis::start("-READONLY You can't write.\r\n").await;
    let store = start(&redis.settings());

    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_300) {
        drop(ask(&store, &["a"]).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // After 100, 200, 400 and 800 ms, each shorter by a quarter at most.
    let connections = redis.commands("AUTH").len();
    assert!(connections <= 5, "{connections} connections");
}

#[tokio::test]
async fn a_request_waits_for_redis_as_long_as_it_is_told_to() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let store = start(&RedisSettings {
        timeout: PATIENCE,
        ..redis.settings()
    });
    connected(&store).await;
    redis.scripted.hangs.store(true, Ordering::Relaxed);

    let asking = Arc::clone(&store);
    let asked = tokio::spawn(async move { ask(&asking, &["a"]).await });
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    redis.scripted.hangs.store(false, Ordering::Relaxed);

    assert!(asked.await.unwrap().unwrap()[0].admitted);
}

#[tokio::test]
async fn the_store_that_is_in_force_tells_whether_it_is_up() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let counts = Arc::<StoreCounts>::default();
    let start = || SharedStore::start(&redis.settings(), Arc::clone(&counts)).unwrap();
    let old = start();
    connected(&old).await;
    assert!(!counts.is_up(), "nothing is in force");
    old.come_into_force();
    assert!(counts.is_up());

    // One that a reload made which failed.
    let failed = start();
    connected(&failed).await;
    drop(failed);
    assert!(counts.is_up());

    let new = start();
    connected(&new).await;
    new.come_into_force();
    drop(old);
    assert!(counts.is_up());
    drop(redis);
    until("the loss", || !counts.is_up()).await;
}

/// An authority as PEM, and TLS with its certificate for 127.0.0.1.
fn authority() -> (String, TlsAcceptor) {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().unwrap();
    let authority = CertifiedIssuer::self_signed(parameters, key()).unwrap();
    let (own, parameters) = (key(), CertificateParams::new(vec!["127.0.0.1".to_owned()]));
    let certificate = parameters.unwrap().signed_by(&own, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = PrivateKeyDer::try_from(own.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn an_authority_that_is_renewed_counts_from_the_next_connection_on() {
    let ((old, _), (new, acceptor)) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, old).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let redis = FakeRedis::speaking(Some(acceptor), any, &numbers(&[1, 4, 0, 0])).await;
    let tls = RedisTls {
        ca: Some(ca.clone()),
        identity: None,
    };
    let store = start(&RedisSettings {
        tls: Some(tls),
        ..redis.settings()
    });
    until("a refusal", || {
        redis.scripted.turned_away.load(Ordering::Relaxed) > 0
    })
    .await;

    std::fs::write(&ca, new).unwrap();

    connected(&store).await;
    assert!(ask(&store, &["a"]).await.unwrap()[0].admitted);
}
