//! `edgespan trace`: found, shown, followed, taken away; with nobody there, in a pipe, on terminals.

use super::program::{Call, edgespan};
use crate::support::backends::{ID, Jaeger, Tempo, jaeger, tempo, zipkin};
use crate::support::client;
use crate::support::origin::{Origin, text};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

fn trace(words: &str, of: SocketAddr) -> Call {
    let words: Vec<&str> = words.split_whitespace().collect();
    edgespan(&["trace"])
        .arguments(&words)
        .variable("EDGESPAN_URL", format!("http://{of}"))
        .variable("TZ", "UTC")
}

/// The demo's gateway and admin address.
async fn demo() -> (super::program::Program, SocketAddr, SocketAddr) {
    let arguments = [
        "demo",
        "--no-traffic",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let program = edgespan(&arguments).start();
    let gateway = program.address_behind("gateway ").await;
    let admin = program.address_behind("traces ").await;
    (program, gateway, admin)
}

async fn request(gateway: SocketAddr, id: &str) {
    let parent = format!("00-{id}-00f067aa0ba902b7-01");
    let headers = [("host", "127.0.0.1"), ("traceparent", parent.as_str())];
    let request = client::request("POST", "/api/v1/orders/7/release", &headers);
    let answer = client::begin(gateway, request).await;
    client::whole(answer).await;
}

#[tokio::test]
async fn a_request_to_the_demo_is_found_and_shown_at_the_first_try() {
    let (_demo, gateway, admin) = demo().await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    request(gateway, id).await;

    let found = trace("find --flow escrow --service payout", admin)
        .ended()
        .await;
    let shown = trace("show 4bf92f35 --wait 1ms", admin).ended().await;
    let json = trace("find --json", admin).ended().await;

    assert_eq!(found.code, Some(0), "{found:?}");
    let fields: Vec<_> = found.stdout.trim_end().split('\t').collect();
    assert_eq!(fields.len(), 7, "{found:?}");
    assert_eq!(
        (fields[5], fields[6]),
        ("POST /api/v1/orders/{order_id}/release", id)
    );
    assert_eq!(found.stderr, "");
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(
        shown.stdout.contains("SERVER") && shown.stdout.contains(id),
        "{shown:?}"
    );
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json[0]["schema"], "edgespan.find/1");
    assert_eq!(json[0]["traceID"], id);
}

#[tokio::test]
async fn every_backend_is_found_out_and_tells_the_same_row() {
    let backends = [
        tempo(Tempo::Now).await,
        jaeger(Jaeger::Both).await,
        zipkin().await,
    ];
    for backend in backends {
        let found = trace("find --service payout --error", backend.address)
            .ended()
            .await;
        let shown = trace("show 00f92f35 --json", backend.address).ended().await;

        assert_eq!(found.code, Some(0), "{found:?}");
        let fields: Vec<_> = found.stdout.trim_end().split('\t').collect();
        assert_eq!(
            (fields[2], fields[3], fields[6]),
            ("502", "2", ID),
            "{found:?}"
        );
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(shown["schema"], "edgespan.show/1");
    }
}

#[tokio::test]
async fn a_terminal_gets_a_table_and_where_it_is_from() {
    let backend = tempo(Tempo::Now).await;
    for columns in [80, 60, 40] {
        let call = trace("find --error --last 30m", backend.address);
        let found = call
            .on_terminal(columns)
            .variable("NO_COLOR", "1")
            .ended()
            .await;
        let source = format!("from http://{}", backend.address);
        let words = found
            .stdout
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(words.contains("1 of 1, newest first"), "{found:?}");
        assert!(words.contains(&source), "{found:?}");
        assert!(words.contains("trace show 00f92f35"), "{found:?}");
        assert!(!found.stdout.contains("\u{1b}[3"), "{found:?}");
    }
}

#[tokio::test]
async fn with_nobody_there_it_ends_with_69_and_what_to_do() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for command in ["find", "show 4bf92f35", "tail", "export 4bf92f35"] {
        let ended = trace(command, nobody).ended().await;
        assert_eq!(ended.code, Some(69), "{command}: {ended:?}");
        assert_eq!(ended.stdout, "");
        assert_eq!(
            ended.stderr,
            format!(
                "error: nobody to ask for traces at http://{nobody}\n  {nobody} cannot be reached\n    \
                 connection refused\n  help: is it running, and is \
                 this its address? --url or EDGESPAN_URL names another\n"
            )
        );
    }
}

#[tokio::test]
async fn whoever_is_no_backend_is_told_so() {
    let page = Origin::answering(|_| text(404, "no")).await;
    let ended = trace("find", page.address).ended().await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("is no edgespan, Tempo, Jaeger or Zipkin"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("unless its store is off"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_token_a_tenant_and_what_to_do_without_them() {
    let guarded = tempo(Tempo::Guarded).await;
    let refused = trace("find", guarded.address).ended().await;
    let url = format!("tempo+http://{}", guarded.address);
    let told = trace("find --url", guarded.address)
        .argument(&url)
        .ended()
        .await;
    let let_in = trace("find --tenant team", guarded.address)
        .variable("EDGESPAN_TOKEN", "secret")
        .ended()
        .await;

    assert_eq!(refused.code, Some(1));
    assert!(
        told.stderr.contains("401 Unauthorized: no org id"),
        "{told:?}"
    );
    assert!(told.stderr.contains("EDGESPAN_TOKEN"), "{told:?}");
    assert_eq!(let_in.code, Some(0), "{let_in:?}");
    assert_eq!(let_in.stdout.lines().count(), 1);
}

#[tokio::test]
async fn no_match_is_no_failure_and_the_nearest_range_is_told() {
    let backend = tempo(Tempo::Now).await;
    let before = trace("find --last 1s", backend.address).ended().await;
    let never = trace("find --flow nothing --json", backend.address)
        .ended()
        .await;

    assert_eq!((before.code, before.stdout.as_str()), (Some(0), ""));
    let told = "no trace matches in the last 1s; the nearest one began 20";
    assert!(before.stderr.starts_with(told), "{before:?}");
    assert!(
        before.stderr.trim_end().ends_with("+00:00: --last 2m"),
        "{before:?}"
    );
    assert_eq!((never.code, never.stdout.as_str()), (Some(0), "[]\n"));
    assert!(
        never.stderr.contains("nor in the seven days before"),
        "{never:?}"
    );
}

#[tokio::test]
async fn a_trace_that_is_not_there_is_waited_for_and_the_reasons_are_told() {
    let backend = tempo(Tempo::Now).await;
    let gone = trace(
        "show 4bf92f3577b34da6a3ce929d0e0e4736 --wait 300ms",
        backend.address,
    );
    let gone = gone.ended().await;
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(1), ""));
    assert!(
        gone.stderr
            .contains("not sampled, older than what is kept there, or in another backend")
    );

    // One that comes at the third question.
    let questions = AtomicUsize::new(0);
    let late = Origin::answering(move |received| {
        let path = received.uri.path();
        if path == "/api/echo" {
            return text(200, "echo");
        }
        if path.contains("/traces/") && questions.fetch_add(1, Ordering::Relaxed) > 4 {
            let document = serde_json::json!({"resourceSpans": crate::support::backends::groups()});
            return crate::support::origin::with_headers(
                200,
                &[("content-type", "application/json")],
                &document.to_string(),
            );
        }
        text(404, "")
    })
    .await;
    let shown = trace("show", late.address).argument(ID).ended().await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains(ID));
}

#[tokio::test]
async fn a_wait_is_told_on_a_terminal_and_gone_afterwards() {
    let backend = tempo(Tempo::Now).await;
    let call = trace(
        "show 4bf92f3577b34da6a3ce929d0e0e4736 --wait 2s",
        backend.address,
    );
    let ended = call.on_terminal(80).ended().await;
    assert!(
        ended
            .stdout
            .contains("waiting for the trace (1 s)\r\u{1b}[K"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("error:"), "{ended:?}");
    assert_eq!(ended.code, Some(1));
}

#[tokio::test]
async fn a_prefix_of_two_traces_lists_both_and_shows_neither() {
    let (_demo, gateway, admin) = demo().await;
    let ids = [
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "4bf92f3577b34da6a3ce929d0e0e4737",
    ];
    for id in ids {
        request(gateway, id).await;
    }

    let both = trace("show 4bf92f35", admin).ended().await;
    let one = trace("show 4bf92f3577b34da6a3ce929d0e0e4737", admin)
        .ended()
        .await;
    let gone = trace("show 12345678 --wait 1ms", admin).ended().await;

    assert_eq!((both.code, both.stdout.as_str()), (Some(1), ""));
    assert!(
        both.stderr
            .starts_with("error: 2 traces begin with 4bf92f35\n"),
        "{both:?}"
    );
    assert!(ids.iter().all(|id| both.stderr.contains(id)), "{both:?}");
    assert_eq!(one.code, Some(0));
    assert!(
        gone.stderr.contains("older than the store (begins "),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_trace_is_exported_and_never_over_a_file_unasked() {
    let backend = tempo(Tempo::Now).await;
    let to_stdout = trace("export", backend.address).argument(ID).ended().await;
    let to_file = |words: &str| trace(words, backend.address).argument(ID);
    let json = to_file("export -o t.json").ended().await;
    let in_the_way = to_file("export -o t.pb")
        .beside("t.pb", "mine")
        .ended()
        .await;
    let forced = to_file("export --force -o t.pb")
        .beside("t.pb", "mine")
        .ended()
        .await;
    let odd = to_file("export -o t.txt").ended().await;

    let document: serde_json::Value = serde_json::from_str(&to_stdout.stdout).unwrap();
    assert_eq!(
        document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"],
        ID
    );
    assert_eq!((json.code, json.stdout.as_str()), (Some(0), ""), "{json:?}");
    assert!(
        json.stderr
            .starts_with(&format!("t.json: trace {ID}, 2 spans, ")),
        "{json:?}"
    );
    assert_eq!(json.files, ["t.json"]);
    assert_eq!(in_the_way.code, Some(1));
    assert!(
        in_the_way
            .stderr
            .contains("t.pb is there already\n  help: --force"),
        "{in_the_way:?}"
    );
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert_eq!(odd.code, Some(64));
}

#[tokio::test]
async fn tail_tells_what_comes_and_ends_well() {
    let (_demo, gateway, admin) = demo().await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let tail = trace("tail --flow escrow --json", admin).start();
    // Nobody can tell from outside when it has begun to listen: requests go on until one is told.
    let mut sent = 0_u8;
    while !tail.stdout().contains("\n") {
        request(gateway, &format!("{}{sent:02x}", &id[..30])).await;
        sent = sent.checked_add(1).expect("none was told");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let ended = tail.stopped().await;

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let first: serde_json::Value =
        serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["schema"], "edgespan.tail/1");
    assert!(first["traceID"].as_str().unwrap().starts_with(&id[..30]));
}

#[tokio::test]
async fn tail_of_a_backend_without_a_feed_asks_again_and_tells_each_trace_once() {
    let backend = zipkin().await;
    let tail = trace("tail", backend.address).start();
    tail.shows(ID).await;
    let asked_before = *backend.heads.lock().unwrap();
    backend.wait_for_heads(asked_before + 1).await;
    let ended = tail.stopped().await;
    assert_eq!(ended.stdout.matches(ID).count(), 1, "{ended:?}");
    assert_eq!(ended.code, Some(0));
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_failure() {
    let backend = tempo(Tempo::Now).await;
    for command in ["find", "tail", "find --json"] {
        let program = trace(command, backend.address).read_one_line().start();
        program.shows("\n").await;
        // Also `tail`, though nothing more comes that it could fail to write.
        let ended = program.ended().await;
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{command}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn hostile_names_drive_no_terminal() {
    let hostile = "GET /\u{1b}]0;owned\u{7}\u{202e}\u{1b}[2J";
    let name = Mutex::new(hostile.to_owned());
    let backend = Origin::answering(move |received| match received.uri.path() {
        "/api/echo" => text(200, "echo"),
        "/api/search" => {
            let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
            let name = name.lock().unwrap().clone();
            let found = serde_json::json!({"traces": [{"traceID": ID, "rootServiceName": name,
                "rootTraceName": name, "startTimeUnixNano": now.to_string(), "durationMs": 1}]});
            text(200, &found.to_string())
        }
        _ => text(500, &format!("{hostile}\n")),
    })
    .await;
    for call in [
        trace("find", backend.address).on_terminal(80),
        trace("find", backend.address),
        trace("show", backend.address).argument(ID).on_terminal(80),
    ] {
        let ended = call.ended().await;
        let all = ended.stdout + &ended.stderr;
        for bad in ["\u{1b}]", "\u{1b}[2J", "\u{7}", "\u{202e}"] {
            assert!(!all.contains(bad), "{all:?}");
        }
    }
}
