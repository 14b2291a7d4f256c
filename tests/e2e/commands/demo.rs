//! `edgespan demo`: the first ten minutes.

use super::program::{Call, edgespan};
use crate::support::browser::Browser;
use crate::support::collector::Collector;
use crate::support::{client, until};
use http::Method;
use std::time::Duration;

fn demo() -> Call {
    edgespan(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
}

#[tokio::test]
async fn the_first_request_is_shown_within_a_second_of_the_start() {
    let program = demo().start();

    program.shows("\n").await;

    let waited = program.started.elapsed();
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    let banner = program.tells("Try: ").await;
    assert!(
        banner
            .lines()
            .take_while(|line| !line.starts_with("Try: "))
            .count()
            <= 10
    );
    assert!(
        program
            .stdout()
            .contains(" SERVER edgespan \"GET /api/v1/orders/{order_id}\" ")
    );
}

#[tokio::test]
async fn it_says_where_everything_is_and_what_to_try() {
    let program = demo().argument("--no-traffic").start();

    let told = program.tells("edgespan trace find").await;

    let gateway = program.address_behind("gateway ").await;
    let [
        title,
        _,
        login,
        traces,
        services,
        export,
        ready,
        look,
        act,
        find,
    ] = told.lines().collect::<Vec<_>>()[..]
    else {
        panic!("ten lines: {told}");
    };
    assert!(title.ends_with("demo: four services that know nothing of tracing, one gateway"));
    let page = format!("http://{gateway}/account");
    assert_eq!(login, format!("  log in    {page}   as ada or bob"));
    assert!(traces.starts_with("  traces    http://127.0.0.1:"));
    assert!(traces.ends_with("   kept here (64 MB, oldest go)"));
    for service in ["login :", "orders :", "chat :", "payout :"] {
        assert!(services.contains(service), "{services}");
    }
    let hint = "none; OTEL_EXPORTER_OTLP_ENDPOINT=URL sends the same spans there";
    assert_eq!(export, format!("  export    {hint}"));
    assert!(
        ready.starts_with("ready in ") && !ready.contains(" 0.0 s"),
        "{ready}"
    );
    assert!(
        ready.ends_with("; no sample traffic; Ctrl-C stops"),
        "{ready}"
    );
    assert_eq!(
        look,
        format!("Try: curl -i http://{gateway}/api/v1/orders/7")
    );
    let expected = format!("     curl -i -X POST http://{gateway}/api/v1/orders/7/release");
    assert_eq!(act, expected);
    assert!(find.starts_with("     edgespan trace find --url http://127.0.0.1:"));
    assert_eq!(told.matches("Try: ").count(), 1);
}

#[tokio::test]
async fn once_an_answer_is_back_its_trace_is_there() {
    let program = demo().argument("--no-traffic").start();
    let gateway = program.address_behind("gateway ").await;
    let mut waits = Vec::new();

    for turn in 0..5_u8 {
        let trace = format!("4bf92f3577b34da6a3ce929d0e0e47{turn:02x}");
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let headers = [("traceparent", parent.as_str())];
        let reply = client::get(gateway, "/api/v1/orders/7", &headers).await;
        let answered = std::time::Instant::now();
        assert_eq!(reply.status, 200);
        until("both spans", || {
            program.stdout().matches(&trace).count() == 2
        })
        .await;
        waits.push(answered.elapsed());
    }

    // A busy machine may be late once.
    assert!(
        waits.iter().min().unwrap() < &Duration::from_millis(100),
        "{waits:?}"
    );
    let ended = program.stopped().await;
    assert_eq!(
        ended.last_word(),
        "spans accepted 10 = exported 10 (terminal) + rejected 0 + dropped 0 + pending 0"
    );
    assert_eq!((ended.code, ended.files.len()), (Some(0), 0));
}

#[tokio::test]
async fn the_services_fail_where_a_newcomer_looks() {
    let program = demo().argument("--no-traffic").start();
    let gateway = program.address_behind("gateway ").await;
    let release = client::request(Method::POST.as_str(), "/api/v1/orders/7/release", &[]);

    let reply = client::send(gateway, release).await;

    assert_eq!(reply.status, 502);
    program
        .shows(" SERVER edgespan \"POST /api/v1/orders/{order_id}/release\" status=502 ")
        .await;
    program.shows(" CLIENT payout ").await;
    assert!(program.stdout().contains(" flow=escrow "));
}

#[tokio::test]
async fn one_variable_sends_the_same_spans_to_a_collector() {
    let collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    let call = demo().argument("--no-traffic");
    let program = call
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .start();
    let gateway = program.address_behind("gateway ").await;
    program
        .tells(&format!(
            "  export    {endpoint}/v1/traces (http/protobuf)\n"
        ))
        .await;

    client::get(gateway, "/api/v1/orders/7", &[]).await;

    let spans = collector.wait_for(2).await;
    program.shows(" CLIENT ").await;
    let ended = program.stopped().await;
    for span in spans {
        let line = format!(" trace={} span={}", span.trace_id(), span.span_id());
        assert!(ended.stdout.contains(&line), "{line} in {}", ended.stdout);
    }
    assert_eq!(
        ended.last_word(),
        "spans accepted 2 = exported 2 + rejected 0 + dropped 0 + pending 0"
    );
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_told_in_plain_words() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let call = demo().argument("--no-traffic");
    let program = call
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .start();
    let gateway = program.address_behind("gateway ").await;

    let reply = client::get(gateway, "/api/v1/orders/7", &[]).await;

    assert_eq!(reply.status, 200);
    let told = program.tells("export failed, spans wait").await;
    assert!(
        told.contains("connection refused") && !told.contains("os error"),
        "{told}"
    );
    let ended = program.stopped().await;
    assert_eq!(ended.code, Some(0));
    assert!(
        ended
            .last_word()
            .starts_with("spans accepted 2 = exported 0 + rejected 0 + dropped 2 ")
    );
}

#[tokio::test]
async fn a_browser_logs_in_with_no_other_program_and_a_second_factor_opens_more() {
    let program = demo().argument("--no-traffic").start();
    let gateway = program.address_behind("gateway ").await;
    let (account, payouts) = (
        format!("http://{gateway}/account"),
        format!("http://{gateway}/account/payouts"),
    );

    let mut ada = Browser::new();
    let page = ada.open(&account).await;
    let page = ada.log_in(&page, "ada").await;
    assert_eq!((page.status(), page.url.as_str()), (200, account.as_str()));
    assert!(
        page.text().contains("Hello, Ada Example"),
        "{}",
        page.text()
    );
    let page = ada.open(&payouts).await;
    let page = ada.submit(&page, &[("factor", "shown")]).await;
    assert_eq!((page.status(), page.url.as_str()), (200, payouts.as_str()));
    assert!(page.text().contains("urn:edgespan:mfa"), "{}", page.text());

    let mut bob = Browser::new();
    let page = bob.open(&payouts).await;
    let page = bob.log_in(&page, "bob").await;
    assert_eq!(page.status(), 403, "{}", page.text());
}
