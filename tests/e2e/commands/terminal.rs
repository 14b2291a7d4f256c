//! On a terminal: trees, colours, widths and signs.

use super::program::{Call, Ended, edgespan};
use crate::support::client;

const RED: &str = "\u{1b}[31m";

fn demo(columns: u16) -> Call {
    edgespan(&[
        "demo",
        "--no-traffic",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
    ])
    .on_terminal(columns)
}

/// Shows one failed request.
async fn release(call: Call) -> Ended {
    let program = call.start();
    let gateway = program.address_behind("gateway ").await;
    let request = client::request("POST", "/api/v1/orders/7/release", &[]);
    assert_eq!(client::send(gateway, request).await.status, 502);
    program.shows("CLIENT").await;
    program.stopped().await
}

/// The lines of the tree: head, SERVER, CLIENT and what belongs to them.
fn tree(ended: &Ended) -> Vec<&str> {
    let lines = ended
        .stdout
        .lines()
        .skip_while(|line| !line.contains("502"));
    lines
        .take_while(|line| !line.contains("draining"))
        .collect()
}

#[tokio::test]
async fn a_request_is_a_coloured_tree_with_bars_and_durations() {
    let ended = release(demo(80)).await;

    let [head, server, client] = tree(&ended)[..] else {
        panic!("three lines: {}", ended.stdout);
    };
    let name = "\u{1b}[1mPOST /api/v1/orders/{order_id}/release\u{1b}[0m";
    assert!(
        head.starts_with(&format!("{name}  {RED}✗ 502\u{1b}[0m  ")),
        "{head:?}"
    );
    assert!(head.contains(" ms  escrow  \u{1b}[2m"), "{head:?}");
    assert!(
        server.starts_with("└ SERVER \u{1b}[36medgespan\u{1b}[0m "),
        "{server:?}"
    );
    assert!(client.starts_with("  └ CLIENT \u{1b}[36mpayout\u{1b}[0m \u{1b}[1mPOST\u{1b}[0m  "));
    assert!(
        server.contains('█') && server.ends_with(" ms"),
        "{server:?}"
    );
}

#[tokio::test]
async fn no_line_is_wider_than_the_terminal() {
    for columns in [80, 60, 40] {
        let ended = release(demo(columns).argument("--color=never")).await;

        assert!(!ended.stdout.contains('\u{1b}'));
        for line in ended.stdout.lines() {
            let is_whole = line.starts_with("Try: ") || line.starts_with("     curl");
            let one_line = is_whole || line.starts_with("draining") || line.starts_with("spans ");
            assert!(
                line.chars().count() <= columns.into() || one_line,
                "{columns}: {line}"
            );
        }
    }
}

#[tokio::test]
async fn colour_is_asked_for_and_declined_in_the_usual_ways() {
    let check = async |call: Call, coloured: bool| {
        let ended = release(call).await;
        assert_eq!(
            ended.stdout.contains('\u{1b}'),
            coloured,
            "{}",
            ended.stdout
        );
    };
    check(demo(80), true).await;
    check(demo(80).variable("NO_COLOR", "1"), false).await;
    check(
        demo(80)
            .variable("NO_COLOR", "1")
            .argument("--color=always"),
        true,
    )
    .await;
    check(demo(80).variable("TERM", "dumb"), false).await;
    check(demo(80).variable("EDGESPAN_COLOR", "never"), false).await;
}

#[tokio::test]
async fn a_locale_without_utf8_gets_ascii_alone() {
    let ended = release(demo(80).variable("LANG", "C")).await;

    let tree = tree(&ended).join("\n");
    assert!(
        tree.is_ascii() && tree.contains("! 502") && tree.contains("####"),
        "{tree}"
    );
}

#[tokio::test]
async fn with_a_file_a_terminal_gets_trees_too_and_a_log_for_people() {
    let text = "listeners: {web: {address: '127.0.0.1:0'}}\n\
                routes: [{name: hello, match: {path: /hello}, answer: {status: 200}}]\n";
    let call = edgespan(&["run", "--admin", "off", "--config"]).file("edgespan.yaml", text);
    let program = call.on_terminal(80).start();
    let address = program.address_behind("listening").await;

    client::get(address, "/hello", &[]).await;

    program.shows("└ SERVER ").await;
    let ended = program.stopped().await;
    assert!(ended.stdout.contains("\u{1b}[1mGET /hello\u{1b}[0m  200  "));
    assert!(!ended.stdout.contains('{'), "no JSON: {}", ended.stdout);
    assert!(
        ended
            .stdout
            .ends_with("(terminal) + rejected 0 + dropped 0 + pending 0\n")
    );
}
