//! `edgespan run`: what it says at its start, and which of the two streams tells what.

use super::program::{Call, Program, edgespan};
use crate::support::client;
use crate::support::origin::Origin;
use serde_json::Value;
use std::net::TcpListener;

fn run_to(origin: &str) -> Call {
    edgespan(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--to",
    ])
    .argument(origin)
}

const ANSWER: &str = "\
listeners: {web: {address: '127.0.0.1:0'}}
routes: [{name: hello, match: {path: '/hello/{name}'}, answer: {status: 200, body: hi}}]
";

fn run_config(text: &str) -> Call {
    edgespan(&["run", "--admin", "127.0.0.1:0", "--config"]).file("edgespan.yaml", text)
}

async fn listening(program: &Program) -> std::net::SocketAddr {
    program.address_behind("listening").await
}

/// Each line of a text as JSON.
#[track_caller]
fn json_lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    text.lines().map(parse).collect()
}

#[tokio::test]
async fn it_says_where_it_listens_and_that_the_upstream_answers() {
    let origin = Origin::start().await;
    let url = format!("http://{}", origin.address);
    let program = run_to(&url).start();
    let address = listening(&program).await;

    let told = program.tells("opens the first").await;

    let first = told.lines().next().unwrap();
    let expected = format!("listening  http://{address} -> {url}   answers in ");
    assert!(
        first.starts_with(&expected) && first.ends_with(" ms"),
        "{first}"
    );
    assert!(told.lines().count() <= 6, "{told}");
    assert!(told.contains("\ntraces     http://127.0.0.1:"), "{told}");
    let open = format!(
        "for this machine only; --listen 0.0.0.0:{} opens the first",
        address.port()
    );
    assert!(told.contains(&open), "{told}");
    let ended = program.stopped().await;
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        ended.last_word(),
        "spans accepted 0 = exported 0 (terminal) + rejected 0 + dropped 0 + pending 0"
    );
}

#[tokio::test]
async fn it_starts_before_an_upstream_that_is_down_and_says_so() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let program = run_to(&format!("http://127.0.0.1:{port}")).start();
    let warning =
        format!("warning: 127.0.0.1:{port} refuses connections; requests get 502 until then\n");
    program.tells(&warning).await;

    let reply = client::get(listening(&program).await, "/", &[]).await;

    assert_eq!(reply.status, 502);
    program.shows("\"GET /\" status=502 ").await;
    assert_eq!(program.stopped().await.code, Some(0));
}

#[tokio::test]
async fn in_a_pipe_every_span_is_a_line_with_whole_ids() {
    let origin = Origin::start().await;
    let program = run_to(&format!("http://{}", origin.address)).start();
    let address = listening(&program).await;
    let parent = [(
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )];

    client::get(address, "/orders?token=secret", &parent).await;

    program.shows(" CLIENT ").await;
    let ended = program.stopped().await;
    let [server, client] = ended.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("two lines: {}", ended.stdout);
    };
    let id = server
        .split_once(" span=")
        .unwrap()
        .1
        .split(' ')
        .next()
        .unwrap();
    assert_eq!(id.len(), 16);
    assert!(
        server.contains("Z SERVER edgespan \"GET /orders\" status=200 ms="),
        "{server}"
    );
    assert!(
        server.contains(" trace=4bf92f3577b34da6a3ce929d0e0e4736 span="),
        "{server}"
    );
    assert!(server.ends_with(" parent=00f067aa0ba902b7"), "{server}");
    assert!(
        client.contains("Z CLIENT upstream \"GET /*\" status=200 ms="),
        "{client}"
    );
    assert!(client.ends_with(&format!(" parent={id}")), "{client}");
    assert!(!ended.stdout.contains('\u{1b}') && !ended.stdout.contains("secret"));
    assert_eq!(
        ended.last_word(),
        "spans accepted 2 = exported 2 (terminal) + rejected 0 + dropped 0 + pending 0"
    );
}

#[tokio::test]
async fn quiet_prints_no_span_anywhere() {
    let origin = Origin::start().await;
    let url = format!("http://{}", origin.address);
    for call in [
        run_to(&url),
        run_config(ANSWER).variable("OTEL_TRACES_EXPORTER", "console"),
    ] {
        let program = call.argument("--quiet").start();

        client::get(listening(&program).await, "/hello/ada", &[]).await;

        let ended = program.stopped().await;
        assert_eq!(ended.code, Some(0));
        assert!(!ended.stdout.contains("SERVER"), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn with_a_file_and_no_terminal_stdout_is_the_access_log_and_stderr_the_log() {
    let program = run_config(ANSWER).start();

    client::get(listening(&program).await, "/hello/ada?token=secret", &[]).await;

    program.shows("\n").await;
    let ended = program.stopped().await;
    assert_eq!(ended.code, Some(0));
    let access = json_lines(&ended.stdout);
    let [request] = access.as_slice() else {
        panic!("one line: {}", ended.stdout);
    };
    assert_eq!(request["http.route"], "/hello/{name}");
    assert_eq!(request["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(request["span_id"].as_str().unwrap().len(), 16);
    assert!(!ended.stdout.contains("secret"));
    let log = json_lines(&ended.stderr);
    assert!(
        log.iter()
            .all(|line| line["timestamp"].is_string() && line["level"].is_string())
    );
    let messages: Vec<_> = log
        .iter()
        .filter_map(|line| line["message"].as_str())
        .collect();
    assert!(messages.contains(&"listening") && messages.contains(&"draining"));
    assert!(
        messages
            .iter()
            .any(|message| message.starts_with("spans go nowhere: "))
    );
}

#[tokio::test]
async fn a_warning_of_the_file_keeps_the_log_json() {
    let text =
        format!("{ANSWER}export: [{{otlp: {{endpoint: 'http://127.0.0.1:1', tls: {{}}}}}}]\n");
    let checked = edgespan(&["check"])
        .file("edgespan.yaml", &text)
        .ended()
        .await;
    assert!(checked.stdout.starts_with("warning: "), "{checked:?}");
    let program = run_config(&text).start();
    listening(&program).await;

    let ended = program.stopped().await;

    let log = json_lines(&ended.stderr);
    let warning = log
        .iter()
        .find(|line| line["id"].is_string())
        .expect("a warning");
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["line"], 3);
}

#[tokio::test]
async fn spans_are_printed_beside_a_file_when_asked_for() {
    let by_flag = run_config(ANSWER).argument("--print-spans");
    let by_variable = run_config(ANSWER).variable("OTEL_TRACES_EXPORTER", "console");
    for call in [by_flag, by_variable] {
        let program = call.start();

        client::get(listening(&program).await, "/hello/ada", &[]).await;

        program
            .shows(" SERVER edgespan \"GET /hello/{name}\" status=200 ")
            .await;
        let ended = program.stopped().await;
        assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
        let account =
            "spans accepted 1 = exported 1 (terminal) + rejected 0 + dropped 0 + pending 0";
        let log = json_lines(&ended.stderr);
        assert!(log.iter().any(|line| line["message"] == account), "{log:?}");
    }
}

#[tokio::test]
async fn an_export_that_was_declined_has_no_account() {
    let origin = Origin::start().await;
    let call = run_to(&format!("http://{}", origin.address));
    let program = call.variable("OTEL_TRACES_EXPORTER", "none").start();
    program
        .tells("export     none, as OTEL_TRACES_EXPORTER says\n")
        .await;

    client::get(listening(&program).await, "/", &[]).await;

    program.shows(" SERVER ").await;
    assert!(!program.stopped().await.stderr.contains("spans accepted"));
}

#[tokio::test]
async fn without_recording_it_says_so_and_context_passes() {
    let origin = Origin::start().await;
    let call = run_to(&format!("http://{}", origin.address));
    let program = call.variable("OTEL_SDK_DISABLED", "true").start();
    program
        .tells("export     off, as OTEL_SDK_DISABLED says")
        .await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    client::get(listening(&program).await, "/", &[("traceparent", parent)]).await;

    assert_eq!(origin.sole().one("traceparent"), parent);
    let ended = program.stopped().await;
    assert_eq!(ended.stdout, "");
    assert!(!ended.stderr.contains("spans accepted"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_default_admin_address_that_is_taken_gives_way_to_a_free_one() {
    // Whoever else has it on this machine will do as well.
    let held = TcpListener::bind("127.0.0.1:9901");
    let arguments = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--to",
        "http://127.0.0.1:1",
    ];

    let program = edgespan(&arguments).start();

    let admin = program.address_behind("traces ").await;
    assert_ne!(admin.port(), 9901);
    assert_eq!(
        client::get(admin, "/live", &[("host", "localhost")])
            .await
            .status,
        200
    );
    assert_eq!(program.stopped().await.code, Some(0));
    drop(held);
}

#[tokio::test]
async fn no_file_is_written() {
    let program = run_to("http://127.0.0.1:1").start();
    client::get(listening(&program).await, "/", &[]).await;

    let ended = program.stopped().await;

    assert_eq!(ended.files.len(), 0, "{:?}", ended.files);
}
