//! A restart under load: the next process takes the listening sockets, and no request fails.

use super::program::{Call, Program, edgespan};
use crate::support::PATIENCE;
use crate::support::client::{get, request, send, with_body};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

fn configuration(port: u16, admin: u16, body: &str) -> String {
    format!(
        "admin: {{address: '127.0.0.1:{admin}'}}\n\
         listeners: {{web: {{address: '127.0.0.1:{port}'}}}}\n\
         drain: {{timeout: 4s}}\n\
         routes: [{{name: all, match: {{prefix: /}}, answer: {{status: 200, body: {body}}}}}]\n"
    )
}

fn run(socket: &Path, text: &str) -> Call {
    edgespan(&["run", "--takeover"])
        .argument(socket)
        .argument("--config")
        .file("edgespan.yaml", text)
}

/// A free port that stays ours until nobody listens there any more.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Clients that ask without a break, over connections that they keep and over new ones.
struct Load {
    over: Arc<AtomicBool>,
    answers: Arc<Mutex<BTreeMap<String, usize>>>,
    clients: JoinSet<()>,
    asked: Arc<AtomicUsize>,
}

impl Load {
    fn begin(to: SocketAddr) -> Self {
        let mut load = Self {
            over: Arc::default(),
            answers: Arc::default(),
            clients: JoinSet::new(),
            asked: Arc::default(),
        };
        for client in 0..8 {
            let (over, answers) = (Arc::clone(&load.over), Arc::clone(&load.answers));
            let (asked, keeps) = (Arc::clone(&load.asked), client % 2 == 0);
            load.clients.spawn(async move {
                let mut kept = None;
                while !over.load(Ordering::Relaxed) {
                    let answer = ask(to, &mut kept, keeps).await;
                    *answers.lock().unwrap().entry(answer).or_default() += 1;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        load
    }

    /// Waits until so many more were answered.
    async fn goes_on(&self, requests: usize) {
        let goal = self.asked.load(Ordering::Relaxed) + requests;
        let goes_on = async {
            while self.asked.load(Ordering::Relaxed) < goal {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, goes_on).await.unwrap();
    }

    async fn end(mut self) -> BTreeMap<String, usize> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        self.answers.lock().unwrap().clone()
    }
}

type Kept = Option<SendRequest<Empty<Bytes>>>;

/// One request: its answer's body, or what went wrong.
async fn ask(to: SocketAddr, kept: &mut Kept, keeps: bool) -> String {
    match tokio::time::timeout(PATIENCE, exchange(to, kept, keeps)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => {
            *kept = None;
            error
        }
        Err(_) => "no answer".to_owned(),
    }
}

async fn exchange(to: SocketAddr, kept: &mut Kept, keeps: bool) -> Result<String, String> {
    let mut sender = match kept.take() {
        Some(sender) => sender,
        None => {
            let stream = TcpStream::connect(to).await;
            let stream = stream.map_err(|error| format!("connect: {error}"))?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        }
    };
    sender
        .ready()
        .await
        .map_err(|error| format!("kept connection: {error}"))?;
    let asked = request("GET", "/", &[]).map(|_| Empty::new());
    let answer = sender.send_request(asked).await;
    let answer = answer.map_err(|error| format!("send: {error}"))?;
    // Who is told that the connection closes sends nothing more on it.
    let closes = answer
        .headers()
        .get("connection")
        .is_some_and(|value| value == "close");
    let status = answer.status();
    let body = answer.into_body().collect().await;
    let body = body.map_err(|error| format!("body: {error}"))?.to_bytes();
    if keeps && !closes {
        *kept = Some(sender);
    }
    Ok(format!(
        "{} {}",
        status.as_u16(),
        String::from_utf8_lossy(&body)
    ))
}

struct Place {
    folder: TempDir,
    port: u16,
    admin: u16,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            port: free_port(),
            admin: free_port(),
        }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("edgespan.sock")
    }

    fn start(&self, body: &str) -> Program {
        let text = configuration(self.port, self.admin, body);
        run(&self.socket(), &text).start()
    }
}

#[tokio::test]
async fn no_request_fails_while_one_process_takes_over_from_another() {
    let place = Place::new();
    let mut serving = place.start("0");
    serving.tells("admin listening").await;
    let load = Load::begin(place.address());
    load.goes_on(200).await;

    for generation in 1..=3 {
        let next = place.start(&generation.to_string());
        next.tells("took over").await;
        let ended = serving.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        load.goes_on(200).await;
        serving = next;
    }

    let answers = load.end().await;
    let expected: Vec<&str> = vec!["200 0", "200 1", "200 2", "200 3"];
    assert_eq!(answers.keys().collect::<Vec<_>>(), expected, "{answers:?}");
    let admin = SocketAddr::from(([127, 0, 0, 1], place.admin));
    let ready = get(admin, "/ready", &[("host", "localhost")]).await;
    assert_eq!(ready.status, 200, "the operator's door went along");
    assert_eq!(serving.stopped().await.code, Some(0));
    assert!(!place.socket().exists(), "the last one cleans up");
}

#[tokio::test]
async fn the_door_for_spans_of_services_goes_along_and_the_traces_do_not() {
    let place = Place::new();
    let door = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let start = || {
        let text = configuration(place.port, place.admin, "0");
        let store = format!("store: {{otlp: {{http: '{door}'}}}}\n");
        run(&place.socket(), &(text + &store)).start()
    };
    let post = async || {
        let json = [("content-type", "application/json")];
        let span = r#"{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7"}"#;
        let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
        send(door, with_body(request("POST", "/v1/traces", &json), body))
            .await
            .status
    };
    let traces = async || {
        let admin = SocketAddr::from(([127, 0, 0, 1], place.admin));
        let figures = get(admin, "/api/edgespan/store", &[("host", "localhost")]).await;
        figures.json()["traces"].as_str().map(str::to_owned)
    };
    let serving = start();
    serving.tells("admin listening").await;
    assert_eq!(post().await, 200);
    assert_eq!(traces().await.as_deref(), Some("1"));

    let next = start();
    next.tells("took over").await;
    assert_eq!(serving.ended().await.code, Some(0));

    assert_eq!(traces().await.as_deref(), Some("0"));
    assert_eq!(post().await, 200);
    assert_eq!(traces().await.as_deref(), Some("1"));
    assert_eq!(next.stopped().await.code, Some(0));
}

#[tokio::test]
async fn a_successor_with_a_wrong_configuration_leaves_the_old_one_serving() {
    let place = Place::new();
    let serving = place.start("0");
    serving.tells("admin listening").await;
    let load = Load::begin(place.address());

    let wrong = run(&place.socket(), "listeners: {}\n")
        .start()
        .ended()
        .await;
    // This one is right, and finds an address taken only after it has got the sockets.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = configuration(place.port, place.admin, "1").replace(
        "listeners: {",
        &format!(
            "listeners: {{no: {{address: '{}'}}, ",
            taken.local_addr().unwrap()
        ),
    );
    let late = run(&place.socket(), &text).start().ended().await;

    assert_eq!(
        (wrong.code, late.code),
        (Some(78), Some(1)),
        "{}",
        late.stderr
    );
    serving.tells("serving on").await;
    load.goes_on(50).await;
    let answers = load.end().await;
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["200 0"], "{answers:?}");
}

#[tokio::test]
async fn a_file_that_a_process_left_behind_is_no_obstacle() {
    let place = Place::new();
    drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());

    let program = place.start("0");

    program.tells("admin listening").await;
    let mode = std::fs::metadata(place.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(get(place.address(), "/", &[]).await.status, 200);
}

#[tokio::test]
async fn who_speaks_another_version_is_refused_and_nothing_changes() {
    let place = Place::new();
    let program = place.start("0");
    program.tells("admin listening").await;

    let mut stream = std::os::unix::net::UnixStream::connect(place.socket()).unwrap();
    let hello = br#"{"say":"hello","version":2}"#;
    let mut frame = u32::try_from(hello.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(hello);
    std::io::Write::write_all(&mut stream, &frame).unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    });

    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap()
        .unwrap();
    assert!(
        answer.contains("refused") && answer.contains("version 2"),
        "{answer}"
    );
    program.tells("serving on").await;
    assert_eq!(get(place.address(), "/", &[]).await.status, 200);
}
