//! The doors over real sockets.

use super::*;
use crate::clock;
use crate::telemetry::metrics::ServerObservation;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Both doors, open on free ports.
struct Doors {
    admin: SocketAddr,
    probes: SocketAddr,
    state: AdminState,
    cancel: CancellationToken,
    serving: JoinHandle<()>,
}

impl Doors {
    async fn open() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let settings = AdminSettings {
            address: Some(any),
            address_is_default: false,
            probes: Some(any),
        };
        let listeners = bind(&settings, HandedDoors::default()).await.unwrap();
        let (admin, probes) = (listeners.admin_address(), listeners.probes_address());
        let account = SpanAccount {
            exporter: "collector:4317".into(),
            accepted: 3,
            exported: 3,
            ..SpanAccount::default()
        };
        let state = AdminState {
            metrics: Metrics::new(),
            readiness: Readiness::new(),
            accounts: Arc::new(move || vec![account.clone()]),
            telemetry: Arc::new(Vec::new),
            upstreams: Arc::new(Vec::new),
            store: Arc::new(|| None),
            further: axum::Router::new(),
            lacks: Arc::new(|| vec!["the keys of https://id.example.com".to_owned()]),
            config: Arc::new(|| "listeners: {}\n".into()),
            last_reload: LastReload::default(),
            drain: Arc::new(Notify::new()),
        };
        let cancel = CancellationToken::new();
        Self {
            admin: admin.unwrap(),
            probes: probes.unwrap(),
            serving: tokio::spawn(serve(listeners, state.clone(), cancel.clone())),
            state,
            cancel,
        }
    }
}

/// Sends `head` and reads until the other side closes, with the status first.
async fn exchange(address: SocketAddr, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("{head}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), answer)
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}")).await
}

#[tokio::test]
async fn readiness_follows_the_process_on_both_doors() {
    let doors = Doors::open().await;
    for address in [doors.admin, doors.probes] {
        assert_eq!(get(address, "/live").await.0, 200);
        assert_eq!(get(address, "/ready").await.0, 503);
    }

    doors.state.readiness.ready();
    for address in [doors.admin, doors.probes] {
        let (status, answer) = get(address, "/ready").await;
        assert_eq!(status, 200);
        // Some requests are refused as yet, and the others are not.
        let missing = "ready\nmissing: the keys of https://id.example.com\n";
        assert!(answer.ends_with(missing), "{answer}");
    }

    doors.state.readiness.draining();
    for address in [doors.admin, doors.probes] {
        let (status, answer) = get(address, "/ready").await;
        assert_eq!(status, 503);
        assert!(answer.contains("\r\n\r\ndraining\n"));
        assert_eq!(get(address, "/live").await.0, 200);
    }
}

#[tokio::test]
async fn the_index_lists_what_is_there() {
    let doors = Doors::open().await;
    let (status, index) = get(doors.admin, "/").await;
    assert_eq!(status, 200);
    for path in [
        "/live",
        "/ready",
        "/metrics",
        "/upstreams",
        "/config",
        "/drain",
    ] {
        assert!(index.contains(path), "{index}");
    }
    assert!(index.contains("content-type: text/plain"));
    assert!(index.contains("x-content-type-options: nosniff"));
    assert!(index.contains("cache-control: no-store"));
    for path in ["/upstreams", "/config"] {
        assert_eq!(get(doors.admin, path).await.0, 200);
        // Only for the operator, never where anybody may ask.
        assert_eq!(get(doors.probes, path).await.0, 404);
    }
    assert_eq!(get(doors.admin, "/nothing").await.0, 404);
}

#[tokio::test]
async fn metrics_come_in_the_text_that_was_asked_for_with_the_span_account() {
    let doors = Doors::open().await;
    let ask = async |accept: &str| {
        let host = doors.probes;
        let head = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}");
        exchange(host, &head).await.1
    };

    let page = ask("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert!(page.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(page.contains("edgespan_spans_accepted_total{exporter=\"collector:4317\"} 3\n"));
    assert!(page.contains("http_server_active_requests 0\n"));
    assert!(page.ends_with("# EOF\n"));

    let page = ask("text/plain").await;
    assert!(page.contains("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!page.contains("# EOF"));
}

#[tokio::test]
async fn a_drain_is_a_post_and_nothing_else() {
    let doors = Doors::open().await;
    doors.state.readiness.ready();
    let host = doors.admin;

    let (status, answer) = get(host, "/drain").await;
    assert_eq!(status, 405);
    assert!(answer.contains("allow: POST"), "{answer}");
    assert_eq!(doors.state.readiness.state(), ReadinessState::Ready);

    let post = format!("POST /drain HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0");
    assert_eq!(exchange(host, &post).await.0, 202);
    assert_eq!(get(host, "/ready").await.0, 503);
    timeout(Duration::from_secs(5), doors.state.drain.notified())
        .await
        .unwrap();

    let post = post.replace(&host.to_string(), &doors.probes.to_string());
    assert_eq!(exchange(doors.probes, &post).await.0, 404);
}

#[tokio::test]
async fn a_foreign_page_gets_nothing_through_its_visitors_browser() {
    let doors = Doors::open().await;
    let host = doors.admin;

    let rebound = "GET /metrics HTTP/1.1\r\nHost: evil.example:9901";
    let (status, answer) = exchange(host, rebound).await;
    assert_eq!(status, 421);
    assert!(
        answer.contains("This is edgespan's admin interface."),
        "{answer}"
    );
    assert!(!answer.contains("http_server"));

    let form = format!(
        "POST /drain HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example\r\nContent-Length: 0"
    );
    let (status, answer) = exchange(host, &form).await;
    assert_eq!(status, 403);
    assert!(answer.contains("another site's page"), "{answer}");
    assert_eq!(doors.state.readiness.state(), ReadinessState::Starting);

    let unknown = "GET /nothing HTTP/1.1\r\nHost: evil.example";
    assert_eq!(exchange(host, unknown).await.0, 421);
    assert_eq!(exchange(host, "GET / HTTP/1.0").await.0, 421);
}

#[tokio::test]
async fn probes_answer_whatever_they_are_called() {
    let doors = Doors::open().await;
    doors.state.readiness.ready();
    let head = "GET /ready HTTP/1.1\r\nHost: edge.prod.svc:9902";
    assert_eq!(exchange(doors.probes, head).await.0, 200);
    assert_eq!(get(doors.probes, "/").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_says_nothing_is_gone_soon() {
    let doors = Doors::open().await;
    for begun in ["", "GET /live HTTP/1.1\r\nHost: "] {
        let mut stream = TcpStream::connect(doors.admin).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        timeout(Duration::from_secs(20), read)
            .await
            .expect("closed")
            .unwrap();
        assert_eq!(answer, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_does_not_read_its_answer_is_gone_soon() {
    let doors = Doors::open().await;
    fill(&doors.state.metrics);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(doors.admin).await.unwrap();
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", doors.admin);
    stream.write_all(head.as_bytes()).await.unwrap();

    sleep(Duration::from_secs(20)).await;

    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    assert!(read.is_err() || !answer.ends_with(b"# EOF\n"));
    assert_eq!(get(doors.admin, "/live").await.0, 200);
}

/// Megabytes of series.
fn fill(metrics: &Metrics) {
    for index in 0..4_000 {
        let route = format!("/{index}").into();
        metrics.server_request(&ServerObservation {
            route: Some(&route),
            method: "GET",
            status: Some(200),
            scheme: "http",
            version: "1.1",
            error_type: None,
            duration: Duration::ZERO,
            internal: Duration::ZERO,
            ended: clock::wall(),
            exemplar: None,
            request_bytes: 0,
            response_bytes: 0,
        });
    }
}

#[tokio::test]
async fn at_the_bound_visitors_wait_their_turn() {
    let doors = Doors::open().await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(doors.admin).await.unwrap());
    }

    let waiting = get(doors.admin, "/live");
    tokio::pin!(waiting);
    assert!(
        timeout(Duration::from_millis(100), &mut waiting)
            .await
            .is_err()
    );
    // The other door is not held up by this one.
    assert_eq!(get(doors.probes, "/live").await.0, 200);

    drop(silent.pop());
    let answered = timeout(Duration::from_secs(4), waiting).await;
    assert_eq!(answered.expect("its turn").0, 200);
}

#[tokio::test]
async fn a_silent_visitor_does_not_hold_up_the_end() {
    let doors = Doors::open().await;
    let _silent = TcpStream::connect(doors.admin).await.unwrap();
    assert_eq!(get(doors.admin, "/live").await.0, 200);

    doors.cancel.cancel();

    timeout(Duration::from_secs(3), doors.serving)
        .await
        .expect("ended")
        .unwrap();
    assert!(TcpStream::connect(doors.admin).await.is_err());
}
