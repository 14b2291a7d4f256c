//! Checks over real sockets; verdicts and pauses are tested beside their code.

use super::*;
use crate::upstream::ClusterSettings;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers each request with the status that stands there at the moment, and keeps its head.
struct Origin {
    address: SocketAddr,
    status: Arc<Mutex<&'static str>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    async fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            status: Arc::new(Mutex::new(status)),
            heads: Arc::default(),
        };
        let (status, heads) = (Arc::clone(&origin.status), Arc::clone(&origin.heads));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4_096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&head[..read]).into_owned();
                heads.lock().unwrap().push(text);
                let status = *status.lock().unwrap();
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        origin
    }
}

fn settings(address: SocketAddr, check: HealthCheck) -> ClusterSettings {
    ClusterSettings {
        health: Some(HealthSettings {
            interval: Duration::from_millis(10),
            timeout: Duration::from_secs(5),
            ..HealthSettings::new(check)
        }),
        ..ClusterSettings::local([address.port()])
    }
}

fn http(path: &'static str) -> HealthCheck {
    HealthCheck::Http(HttpCheck {
        path: http::uri::PathAndQuery::from_static(path),
        host: Some(HeaderValue::from_static("health.example.com")),
        headers: vec![(
            http::HeaderName::from_static("x-check"),
            HeaderValue::from_static("1"),
        )],
        statuses: Vec::new(),
    })
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for {what}");
}

#[tokio::test]
async fn an_endpoint_goes_bad_is_seen_and_comes_back() {
    let origin = Origin::start("204 No Content").await;
    let metrics = Metrics::new();
    let cluster = Cluster::new(settings(origin.address, http("/healthz")), &metrics).unwrap();
    let endpoint = Arc::clone(&cluster.endpoints()[0]);
    assert_eq!(endpoint.standing.health(), Health::Unchecked);
    assert!(endpoint.standing.is_available());

    until("a first verdict", || {
        endpoint.standing.health() == Health::Healthy
    })
    .await;
    *origin.status.lock().unwrap() = "503 Service Unavailable";
    until("the fall", || !endpoint.standing.is_available()).await;
    assert_eq!(
        &*endpoint.standing.last_failure().unwrap().reason,
        "status 503"
    );
    *origin.status.lock().unwrap() = "200 OK";
    until("the return", || endpoint.standing.is_available()).await;

    let head = origin
        .heads
        .lock()
        .unwrap()
        .first()
        .cloned()
        .unwrap()
        .to_lowercase();
    assert!(head.starts_with("get /healthz http/1.1\r\n"), "{head}");
    for line in [
        "host: health.example.com\r\n",
        "user-agent: edgespan-health\r\n",
        "x-check: 1\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    assert!(!head.contains("traceparent"), "{head}");
}

#[tokio::test]
async fn who_refuses_connections_fails_every_kind_of_check() {
    let dead = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let grpc = HealthCheck::Grpc { service: "".into() };
    for check in [http("/"), grpc, HealthCheck::Tcp] {
        let cluster = Cluster::new(settings(dead, check), &Metrics::new()).unwrap();
        let endpoint = Arc::clone(&cluster.endpoints()[0]);

        until("a verdict", || {
            endpoint.standing.health() == Health::Unhealthy
        })
        .await;

        let failure = endpoint.standing.last_failure().unwrap();
        assert!(failure.reason.contains("refused"), "{}", failure.reason);
    }
}

#[tokio::test]
async fn a_listener_that_says_nothing_passes_a_tcp_check_and_fails_the_others() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let checked = async |check| {
        let settings = settings(address, HealthCheck::Tcp);
        let mut health = settings.health.clone().unwrap();
        let cluster = Cluster::new(
            ClusterSettings {
                health: None,
                ..settings
            },
            &Metrics::new(),
        )
        .unwrap();
        health.check = check;
        health.timeout = Duration::from_millis(200);
        let endpoint = Arc::clone(&cluster.endpoints()[0]);
        let outcome = probe::check(&endpoint, &health).await;
        outcome.map_err(|failure| failure.reason())
    };

    let timeout = Err("no answer within 200 ms".to_owned());
    let grpc = HealthCheck::Grpc { service: "".into() };
    assert_eq!(checked(http("/")).await, timeout);
    assert_eq!(checked(grpc).await, timeout);
    assert_eq!(checked(HealthCheck::Tcp).await, Ok(()));
}

#[tokio::test]
async fn checks_end_with_their_cluster() {
    let origin = Origin::start("200 OK").await;
    let cluster = Cluster::new(settings(origin.address, http("/")), &Metrics::new()).unwrap();
    let endpoint = Arc::downgrade(&cluster.endpoints()[0]);
    until("a check", || !origin.heads.lock().unwrap().is_empty()).await;

    drop(cluster);

    until("the end", || endpoint.strong_count() == 0).await;
}

#[test]
fn a_pause_has_its_jitter_and_is_short_until_the_first_pass() {
    let checks = |has_passed| Checks {
        endpoint: Weak::new(),
        upstream: "content".into(),
        settings: Arc::new(HealthSettings::new(HealthCheck::Tcp)),
        metrics: Metrics::new(),
        has_passed,
    };
    let millis = |has_passed, random| checks(has_passed).pause(random).as_millis();

    assert_eq!((millis(true, 0.0), millis(true, 1.0)), (4_500, 5_500));
    assert_eq!((millis(false, 0.0), millis(false, 1.0)), (900, 1_100));
}
