//! `edgespan verify`: headers on a way with a hop in it, and everything that is no account.

use super::program::{Call, edgespan};
use crate::support::client::{get, patiently};
use crate::support::proxy::{Proxy, Setup};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "a secret that both ends know";

/// An edgespan that tells what arrived.
async fn behind() -> Proxy {
    let setup = Setup::new("arrival: {secrets: [{env: SECRET}], rate: 100/s}");
    setup.variable("SECRET", SECRET).start().await
}

fn verify(address: SocketAddr, flags: &[&str]) -> Call {
    let mut call = edgespan(&["verify", &format!("http://{address}")]);
    for flag in flags {
        call = call.argument(flag);
    }
    call.variable("EDGESPAN_VERIFY_SECRET", SECRET)
}

/// A hop for HTTP/1.1: bytes pass through `change` head by head, one request a connection.
async fn hop(to: SocketAddr, change: fn(String) -> String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(passed(client, to, change));
        }
    });
    address
}

async fn passed(mut client: TcpStream, to: SocketAddr, change: fn(String) -> String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = change(String::from_utf8(head).unwrap());
    if head.starts_with("HTTP/1.1 ") {
        let _ = client.write_all(head.as_bytes()).await;
        // What the client still sends is taken, so that it reads the answer and no reset.
        let _ = client.shutdown().await;
        let _ = client.read_to_end(&mut Vec::new()).await;
        return;
    }
    let mut server = TcpStream::connect(to).await.unwrap();
    server.write_all(head.as_bytes()).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

/// Header lines but those that begin so.
fn without(head: &str, start: &str) -> String {
    let kept = head.split_inclusive("\r\n");
    let kept = kept.filter(|line| !line.to_ascii_lowercase().starts_with(start));
    kept.collect()
}

const HTTP_1: &str = "http/1.1,websocket,redirect";

#[tokio::test]
async fn a_way_without_hops_keeps_everything_on_every_way() {
    let edgespan = behind().await;

    let ended = verify(edgespan.address, &[]).ended().await;

    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("; reached edgespan \"web\" "),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("account signed (key "));
    assert!(
        ended
            .stdout
            .contains("HTTP/1.1   HTTP/2    WebSocket  redirect"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .ends_with("10 of 10 headers survive (exit 0)\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stderr, "");
}

#[tokio::test]
async fn what_a_hop_does_to_headers_is_named() {
    let edgespan = behind().await;
    let address = hop(edgespan.address, |head| {
        let head = without(&head, "b3:").replace(
            "tracestate: b=2,c=3\r\ntracestate: d=4",
            "tracestate: b=2,c=3, d=4",
        );
        head.replace(";internal;ttl=60", "")
            .replace("\r\n\r\n", "\r\nVia: 1.1 nginx\r\n\r\n")
    })
    .await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.xml");

    let ended = verify(address, &["--only", HTTP_1, "--json", "--junit"]);
    let ended = ended.argument(&file).ended().await;

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let verdict = |id: &str| {
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["id"] == id).unwrap();
        (
            check["verdict"].as_str().unwrap().to_owned(),
            check["survives"].as_bool().unwrap(),
        )
    };
    assert_eq!(verdict("traceparent"), ("intact".to_owned(), true));
    assert_eq!(verdict("b3"), ("lost".to_owned(), false));
    assert_eq!(verdict("tracestate-lines"), ("merged".to_owned(), true));
    assert_eq!(verdict("baggage"), ("changed".to_owned(), false));
    assert_eq!(report["seen"][0]["hop"], "nginx");
    let junit = std::fs::read_to_string(file).unwrap();
    assert!(
        junit.contains("<failure message=\"b3: did not arrive"),
        "{junit}"
    );
}

#[tokio::test]
async fn what_is_allowed_is_no_failure() {
    let edgespan = behind().await;
    let address = hop(edgespan.address, |head| without(&head, "b3:")).await;

    let ended = verify(address, &["--only", "http/1.1", "--allow", "b3=lost"])
        .ended()
        .await;

    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .ends_with("survive, 1 of them changed as allowed (exit 0)\n"),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn a_header_that_makes_a_hop_refuse_is_told_from_those_beside_it() {
    let edgespan = behind().await;
    let address = hop(edgespan.address, |head| {
        if head.len() > 4096 {
            "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nserver: nginx\r\n\r\n".to_owned()
        } else {
            head
        }
    })
    .await;

    let ended = verify(address, &["--only", "http/1.1"]).ended().await;

    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("✗ baggage 8 KiB"), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("✗ baggage: a request with it is refused with 431"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("raise large_client_header_buffers"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .ends_with("1 of 10 headers does not survive (exit 1)\n"),
        "{}",
        ended.stdout
    );
}

/// What stands in the way answers: a function of the request's head.
type Obstacle = fn(String) -> String;

#[tokio::test]
async fn no_account_is_its_own_sentence_and_never_intact() {
    let edgespan = behind().await;
    let answers: [(Obstacle, &str); 7] = [
        (
            |_| {
                answer(
                    "302 Found",
                    "location: https://id.example.com/login\r\n",
                    "",
                )
            },
            "a login stands in between: redirected to id.example.com",
        ),
        (
            |_| {
                answer(
                    "302 Found",
                    "location: https://team.cloudflareaccess.com/cdn-cgi/access/login/app\r\n",
                    "",
                )
            },
            "Cloudflare Access wants a login",
        ),
        (
            |_| answer("401 Unauthorized", "", ""),
            "a login stands in between (401)",
        ),
        (
            |_| answer("404 Not Found", "", ""),
            "no edgespan behind answers with this secret (404)",
        ),
        (
            |_| answer("421 Misdirected Request", "", ""),
            "a hop takes this host on another connection (421)",
        ),
        (
            |_| answer("200 OK", "content-type: text/html\r\n", "<p>hello</p>"),
            "a web page was answered, no account (200)",
        ),
        (
            |_| {
                answer(
                    "530 ",
                    "content-type: text/html\r\nserver: cloudflare\r\n",
                    "error 1033",
                )
            },
            "a hop reaches nobody behind it (530)",
        ),
    ];
    for (answers, sentence) in answers {
        let address = hop(edgespan.address, answers).await;

        let ended = verify(address, &["--only", "traceparent,http/1.1"])
            .ended()
            .await;

        assert_eq!(ended.code, Some(1), "{sentence}: {}", ended.stdout);
        assert!(
            ended.stdout.contains(sentence),
            "{sentence}: {}",
            ended.stdout
        );
        assert!(!ended.stdout.contains("intact"), "{}", ended.stdout);
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn another_secret_finds_nobody_and_the_secret_is_shown_nowhere() {
    let edgespan = behind().await;

    let ended = verify(edgespan.address, &["--only", "traceparent"])
        .variable("EDGESPAN_VERIFY_SECRET", "quite another secret")
        .ended()
        .await;

    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stdout
            .contains("no edgespan behind answers with this secret (404)"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("another secret") && !ended.stderr.contains("another secret"));
}

#[tokio::test]
async fn nobody_there_is_69_and_wrong_usage_64() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);

    let ended = verify(address, &[]).ended().await;
    assert_eq!(ended.code, Some(69), "{}", ended.stdout);
    assert_eq!(ended.stdout, "");
    assert!(
        ended
            .stderr
            .starts_with(&format!("error: {address} cannot be reached")),
        "{}",
        ended.stderr
    );

    for (arguments, message) in [
        (
            vec!["verify", "app.example.com"],
            "there is no http:// or https://",
        ),
        (
            vec!["verify", "http://127.0.0.1:1"],
            "the secret of the edgespan behind is missing",
        ),
        (
            vec!["verify", "http://127.0.0.1:1", "--echo", "xml"],
            "--echo: one of json",
        ),
        (
            vec![
                "verify",
                "http://127.0.0.1:1",
                "--echo",
                "body",
                "--only",
                "nothing",
            ],
            "--only: there is no check or way called `nothing`",
        ),
        (
            vec![
                "verify",
                "http://127.0.0.1:1",
                "--echo",
                "body",
                "--allow",
                "b3=x",
            ],
            "--allow: `x` is neither",
        ),
        (
            vec![
                "verify",
                "http://127.0.0.1:1",
                "--echo",
                "body",
                "-H",
                "traceparent: 1",
            ],
            "`traceparent` is sent by verify itself",
        ),
    ] {
        let ended = edgespan(&arguments).ended().await;
        assert_eq!(ended.code, Some(64), "{arguments:?}");
        assert!(
            ended.stderr.contains(message),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn a_service_that_echoes_serves_where_no_edgespan_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo: Arc<dyn Fn(&str) -> String + Send + Sync> = Arc::new(|head| {
        let lines = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let lines = lines.map(|(name, value)| serde_json::json!([name, value]));
        let body = serde_json::json!({"headers": lines.collect::<Vec<_>>()}).to_string();
        answer(
            "200 OK",
            "content-type: application/json\r\nconnection: close\r\n",
            &body,
        )
    });
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let echo = Arc::clone(&echo);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match client.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let _ = client
                    .write_all(echo(&String::from_utf8_lossy(&head)).as_bytes())
                    .await;
                let _ = client.shutdown().await;
                let _ = client.read_to_end(&mut Vec::new()).await;
            });
        }
    });

    let ended = edgespan(&[
        "verify",
        &format!("http://{address}/anything"),
        "--echo",
        "json",
        "--http",
        "1.1",
    ]);
    let ended = ended
        .argument("-H")
        .argument("x-tenant: acme")
        .ended()
        .await;

    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("as the service echoes, unsigned"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("  x-tenant "), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .ends_with("11 of 11 headers survive (exit 0)\n"),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn a_hop_that_takes_part_joins_the_trace_and_is_right() {
    let edgespan = behind().await;
    let upstream = edgespan.address.to_string();
    let front = Setup::new(
        "upstreams: {behind: {endpoints: ['http://${behind}']}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: behind, websocket: {}}]\n",
    );
    let front = front.fill("behind", &upstream).start().await;

    let ended = verify(front.address, &["--only", "traceparent,http/1.1,http/2"])
        .ended()
        .await;

    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("traceparent       joined     joined    (allowed)"),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_failure() {
    let edgespan = behind().await;
    let ended = verify(edgespan.address, &["--only", "http/1.1"])
        .read_one_line()
        .ended()
        .await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
}

#[tokio::test]
async fn a_check_of_the_configuration_runs_along_and_tells_metrics() {
    let edgespan = behind().await;
    let watching = Setup::new(
        "verify: {public: {url: 'http://${behind}', secret: {env: SECRET}, every: 1s, \
         only: [traceparent, http/1.1]}}",
    );
    let watching = watching.fill("behind", &edgespan.address.to_string());
    let watching = watching.variable("SECRET", SECRET).start().await;

    let line =
        "edgespan_verify_header_survives{check=\"public\",header=\"traceparent\",http=\"1.1\"} 1";
    let page = patiently(async {
        loop {
            let page = get(watching.admin, "/metrics", &[("host", "localhost")])
                .await
                .text();
            if page.contains(line) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(
        page.contains("edgespan_verify_runs_total{check=\"public\",result=\"intact\"}"),
        "{page}"
    );
    watching.stop().await;
}
