//! The connection to a Redis that is well, gone, slow, or not of use any more.

use super::fake::FakeRedis;
use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// Longest wait for anything. A test that needs it all has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbers as an array of RESP.
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

async fn connected(line: &Line) {
    until("a connection", || line.is_up()).await;
}

/// A connection that knows one script.
fn start(settings: &RedisSettings) -> Arc<Line> {
    let line = Line::start(settings, Arc::default()).unwrap();
    line.teach(&script());
    line
}

fn script() -> Script {
    Script::new("return {1, 4, 0, 0}")
}

/// The second of four numbers.
async fn ask(line: &Line) -> Result<i64, StoreFault> {
    let script = script();
    let mut call = script.prepare_invoke();
    call.key("a");
    let read = |value| {
        let numbers: Vec<i64> = redis::from_redis_value(value).ok()?;
        <[i64; 4]>::try_from(numbers).ok().map(|numbers| numbers[1])
    };
    let patience = line.settings().timeout;
    line.call(Call::Script(&call), patience, read).await
}

#[tokio::test]
async fn a_redis_that_forgot_the_script_is_told_it_again() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let line = start(&redis.settings());
    connected(&line).await;
    redis.scripted.knows.store(false, Ordering::Relaxed);

    assert!(ask(&line).await.is_ok());
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
    let line = start(&settings);

    let asked = ask(&line).await;

    assert_eq!(
        asked,
        Err(StoreFault::Down),
        "at once, not after the time-out"
    );
    assert_eq!(line.shared.counts.faults(StoreFault::Down), 1);
}

#[tokio::test]
async fn a_redis_that_hangs_costs_three_requests_the_time_out_and_is_used_again_later() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let line = start(&redis.settings());
    connected(&line).await;
    redis.scripted.hangs.store(true, Ordering::Relaxed);

    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(ask(&line).await.unwrap_err());
    }
    redis.scripted.hangs.store(false, Ordering::Relaxed);
    connected(&line).await;

    assert_eq!(asked[..3], [StoreFault::Timeout; 3]);
    assert_eq!(asked[3], StoreFault::Down);
    assert!(ask(&line).await.is_ok());
}

#[tokio::test]
async fn a_redis_that_was_stopped_is_used_again_once_it_is_back() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let (address, line) = (redis.address, start(&redis.settings()));
    connected(&line).await;
    drop(redis);
    // Nobody asks: the keeper finds out by itself.
    until("the loss", || !line.is_up()).await;

    let _back = FakeRedis::at(address, &numbers(&[1, 3, 0, 0])).await;
    connected(&line).await;

    assert_eq!(ask(&line).await.unwrap(), 3);
}

#[tokio::test]
async fn what_is_no_answer_is_a_fault_and_three_of_them_a_new_connection() {
    for reply in [
        numbers(&[1, 2, 3]),
        "-READONLY You can't write.\r\n".to_owned(),
    ] {
        let redis = FakeRedis::start(&reply).await;
        let line = start(&redis.settings());
        connected(&line).await;

        for _ in 0..3 {
            assert_eq!(ask(&line).await, Err(StoreFault::Reply));
        }

        until("a new connection", || redis.commands("AUTH").len() == 2).await;
    }
}

#[tokio::test]
async fn one_request_too_many_does_without_redis() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let line = start(&redis.settings());
    connected(&line).await;

    for (waiting, busy) in [
        (WAITING_MAX - 2, false),
        (WAITING_MAX - 1, false),
        (WAITING_MAX, true),
    ] {
        line.shared.waiting.store(waiting, Ordering::Relaxed);
        let asked = ask(&line).await;
        assert_eq!(asked == Err(StoreFault::Busy), busy, "{waiting} wait");
        assert_eq!(line.shared.waiting.load(Ordering::Relaxed), waiting);
    }
}

#[tokio::test]
async fn a_redis_that_refuses_every_call_is_not_connected_to_ever_faster() {
    let redis = FakeRedis::start("-READONLY You can't write.\r\n").await;
    let line = start(&redis.settings());

    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_300) {
        let _answer = ask(&line).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // After 100, 200, 400 and 800 ms, each shorter by a quarter at most.
    let connections = redis.commands("AUTH").len();
    assert!(connections <= 5, "{connections} connections");
}

#[tokio::test]
async fn a_request_waits_for_redis_as_long_as_it_is_told_to() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let line = start(&RedisSettings {
        timeout: PATIENCE,
        ..redis.settings()
    });
    connected(&line).await;
    redis.scripted.hangs.store(true, Ordering::Relaxed);

    let asking = Arc::clone(&line);
    let asked = tokio::spawn(async move { ask(&asking).await });
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    redis.scripted.hangs.store(false, Ordering::Relaxed);

    assert!(asked.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_store_that_is_in_force_tells_whether_it_is_up() {
    let redis = FakeRedis::start(&numbers(&[1, 4, 0, 0])).await;
    let counts = Arc::<StoreCounts>::default();
    let start = || Line::start(&redis.settings(), Arc::clone(&counts)).unwrap();
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
    let line = start(&RedisSettings {
        tls: Some(tls),
        ..redis.settings()
    });
    until("a refusal", || {
        redis.scripted.turned_away.load(Ordering::Relaxed) > 0
    })
    .await;

    std::fs::write(&ca, new).unwrap();

    connected(&line).await;
    assert!(ask(&line).await.is_ok());
}
