//! `edgespan probe`: flows asked through before a real edgespan, and how the command ends.

use super::program::{Call, Ended, edgespan};
use crate::support::client::get;
use crate::support::origin::{Answer, Origin, Received, text};
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use serde_json::Value;
use std::time::Duration;

/// A service with a login, orders of whoever is logged in, and a redirect.
fn shop(request: &Received) -> Answer {
    let cookie = request
        .headers
        .get("cookie")
        .map(|line| line.to_str().unwrap());
    let mut answer = match (request.method.as_str(), request.uri.path()) {
        ("POST", "/login") => {
            let mut answer = text(302, "");
            let headers = answer.headers_mut();
            headers.insert("location", "/orders".parse().unwrap());
            headers.insert(
                "set-cookie",
                "sid=s3cr3t-sid; Path=/; HttpOnly".parse().unwrap(),
            );
            answer
        }
        ("GET", "/orders") if cookie == Some("sid=s3cr3t-sid") => {
            text(200, r#"{"orders":[{"id":7,"state":"held"}],"csrf":"c-1"}"#)
        }
        ("POST", "/orders/7/release") => {
            let form = String::from_utf8(request.body.to_vec()).unwrap();
            text(
                if form == "csrf=c-1&note=a+b" {
                    200
                } else {
                    403
                },
                &form,
            )
        }
        ("GET", "/echo") => {
            let authorization = request.headers.get("authorization");
            let authorization = authorization.map_or("", |value| value.to_str().unwrap());
            text(200, &format!("you are {authorization}"))
        }
        _ => text(401, "who are you?"),
    };
    answer
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    answer
}

async fn front() -> (Origin, Proxy) {
    let origin = Origin::answering(shop).await;
    let proxy = Setup::front(&origin)
        .with("service: {name: shop}")
        .start()
        .await;
    (origin, proxy)
}

const FLOW: &str = r#"
name: checkout
base: ${BASE_URL}
steps:
  - name: log in
    request: {method: POST, path: /login, form: {user: alice}, follow: 1}
    capture:
      order: {json: /orders/0/id}
      csrf: {regex: '"csrf":"([^"]+)"', secret: true}
      session: {cookie: sid}
    expect:
      status: 200
      json: {/orders/0/state: held, /orders/0/id: {at_least: 7}}
      spans:
        - {service: shop, kind: server, attributes: {user_agent.synthetic.type: test}, count: 2}
  - name: release
    request:
      method: POST
      path: /orders/{{order}}/release
      form: {csrf: "{{csrf}}", note: a b}
    expect:
      status: 2xx
      headers: {content-type: {matches: json$}, x-nothing: {absent: true}}
      body: {contains: note}
      time: <10s
      spans:
        - {kind: server, attributes: {http.response.status_code: 200}}
        - {kind: client, status: unset}
        - {status: error, count: 0}
"#;

fn probe(proxy: &Proxy, text: &str, flags: &[&str]) -> Call {
    let mut call = edgespan(&["probe"]).file("probe.yaml", text);
    for flag in flags {
        call = call.argument(flag);
    }
    call.variable("BASE_URL", format!("http://{}", proxy.address))
        .variable("EDGESPAN_URL", format!("http://{}", proxy.admin))
}

#[track_caller]
fn check_code(ended: &Ended, expected: i32) {
    assert_eq!(
        ended.code,
        Some(expected),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
}

#[tokio::test]
async fn a_flow_is_asked_through_with_its_cookies_captures_and_spans() {
    let (origin, proxy) = front().await;

    let ended = probe(&proxy, FLOW, &[]).ended().await;

    check_code(&ended, 0);
    assert!(
        ended.stdout.contains("\n2 steps held in "),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stderr, "");
    let received = origin.received.lock().unwrap().clone();
    assert_eq!(received.len(), 3, "login, its redirect, release");
    for request in &received {
        assert!(request.one("user-agent").starts_with("edgespan-probe/"));
        assert_eq!(request.one("baggage"), "user_agent.synthetic.type=test");
    }
    let traces: Vec<String> = received
        .iter()
        .map(|request| request.one("traceparent")[3..35].to_owned())
        .collect();
    assert_eq!(traces[0], traces[1], "a redirect stays in its step's trace");
    assert_ne!(traces[0], traces[2], "a step has a trace of its own");
}

#[tokio::test]
async fn what_does_not_hold_is_told_with_its_place_and_ends_with_1() {
    let (_origin, proxy) = front().await;
    let wrong = FLOW
        .replace("note: a b", "note: other")
        .replace("contains: note", "matches: ^x");

    let ended = probe(&proxy, &wrong, &["--junit", "probe.xml"]).start();
    let home = ended.home().to_owned();
    let xml = home.join("probe.xml");
    until("the report", || xml.exists()).await;
    let xml = std::fs::read_to_string(&xml).unwrap();
    let ended = ended.ended().await;

    check_code(&ended, 1);
    for part in [
        "status  probe.yaml:22:15\n        expected  2xx\n        got       403\n",
        "body  probe.yaml:24:13\n",
        "1 of 2 steps failed",
        "trace show ",
    ] {
        assert!(ended.stdout.contains(part), "{part} in {}", ended.stdout);
    }
    assert!(
        !ended.stdout.contains("c-1"),
        "a secret is masked: {}",
        ended.stdout
    );
    assert!(ended.stdout.contains("csrf=***"), "{}", ended.stdout);
    assert!(xml.contains("failures=\"1\""), "{xml}");
}

#[tokio::test]
async fn spans_that_do_not_come_are_waited_for_and_then_told() {
    let (_origin, proxy) = front().await;
    let text = "name: a\nbase: ${BASE_URL}\nspans: {within: 300ms}\nsteps:\n  - name: one\n    \
                request: {path: /echo}\n    expect:\n      spans:\n        - {peer: nobody}\n  \
                - {name: two, request: {path: /echo}}\n";

    let ended = probe(&proxy, text, &["--json"]).ended().await;

    check_code(&ended, 1);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json["schema"], "edgespan.probe/1");
    let failed = &json["steps"][0]["failed"][0];
    assert_eq!(
        (failed["what"].as_str(), failed["line"].as_u64()),
        (Some("span"), Some(9))
    );
    assert!(
        failed["got"].as_str().unwrap().contains("server GET"),
        "{failed}"
    );
    assert_eq!(json["steps"][1]["result"], "skipped");
}

#[tokio::test]
async fn a_secret_of_the_environment_is_sent_and_never_shown() {
    let (origin, proxy) = front().await;
    let text = "name: a\nbase: ${BASE_URL}\nvariables: {token: {env: TOKEN}}\nsteps:\n  - name: a\n    \
                request: {path: /echo, headers: {authorization: \"Bearer {{token}}\"}}\n    \
                expect: {body: {equals: nothing}}\n";
    for flags in [&[][..], &["--json"]] {
        let call = probe(&proxy, text, flags).variable("TOKEN", "hunter22");
        let ended = call.ended().await;
        check_code(&ended, 1);
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            !all.contains("hunter22") && all.contains("you are ***"),
            "{all}"
        );
    }
    let received = origin.received.lock().unwrap().clone();
    assert_eq!(received[0].one("authorization"), "Bearer hunter22");
}

#[tokio::test]
async fn nobody_there_is_69_a_wrong_file_78_and_wrong_usage_64() {
    let (_origin, proxy) = front().await;
    let gone = probe(&proxy, FLOW, &["--base", "http://127.0.0.1:1"])
        .ended()
        .await;
    check_code(&gone, 69);
    assert!(
        gone.stderr.contains("127.0.0.1:1 cannot be reached"),
        "{}",
        gone.stderr
    );
    assert!(gone.stderr.contains("help: "), "{}", gone.stderr);

    let wrong = probe(&proxy, "name: a\nsteps: [{nam: b}]\n", &[])
        .ended()
        .await;
    check_code(&wrong, 78);
    assert!(
        wrong.stderr.contains("did you mean `name`?"),
        "{}",
        wrong.stderr
    );
    assert!(
        wrong.stderr.ends_with("nothing was sent (exit 78)\n"),
        "{}",
        wrong.stderr
    );
    let missing = edgespan(&["probe", "nowhere.yaml"]).ended().await;
    check_code(&missing, 78);

    let checked = probe(&proxy, FLOW, &["--check"]).ended().await;
    check_code(&checked, 0);
    assert_eq!(checked.stdout, "probe.yaml: no errors, 2 steps\n");
    for flags in [&["--base", "nonsense"][..], &["--spans", "loki+http://a"]] {
        check_code(&probe(&proxy, FLOW, flags).ended().await, 64);
    }
}

#[tokio::test]
async fn a_backend_of_spans_that_is_down_is_a_failed_step_and_no_hang() {
    let (_origin, proxy) = front().await;
    let text = FLOW.replace("steps:", "spans: {within: 300ms}\nsteps:");
    let ended = probe(&proxy, &text, &["--spans", "http://127.0.0.1:1"])
        .ended()
        .await;
    check_code(&ended, 1);
    assert!(
        ended.stdout.contains("cannot ask http://127.0.0.1:1"),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn a_step_is_tried_again_until_it_holds_and_no_longer() {
    let origin = Origin::answering({
        let asked = std::sync::atomic::AtomicUsize::new(0);
        move |_| {
            let before = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            text(if before < 2 { 503 } else { 200 }, "")
        }
    })
    .await;
    let proxy = Setup::front(&origin).start().await;
    let text = "name: a\nbase: ${BASE_URL}\nsteps: [{name: a, request: {path: /}, retry: {every: \
                10ms, for: 10s}}]\n";
    let ended = probe(&proxy, text, &["--json"]).ended().await;
    check_code(&ended, 0);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json["steps"][0]["tries"], 3);
}

#[tokio::test]
async fn on_a_terminal_without_colour_and_into_a_closed_pipe_it_reads_the_same() {
    let (_origin, proxy) = front().await;
    let narrow = probe(&proxy, FLOW, &[])
        .on_terminal(40)
        .variable("NO_COLOR", "1");
    let narrow = narrow.ended().await;
    check_code(&narrow, 0);
    let plain = narrow.stdout.replace("\r\u{1b}[K", "\n");
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    assert!(plain.contains("2 steps held"), "{plain}");
    let closed = probe(&proxy, FLOW, &[]).read_one_line().ended().await;
    assert_eq!((closed.code, closed.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_probe_of_the_configuration_runs_again_and_again_and_is_counted_apart() {
    let origin = Origin::start().await;
    let target = Setup::front(&origin).start().await;
    let probes = format!(
        "probes:\n  - every: 1s\n    inline:\n      name: up\n      base: \"http://{}\"\n      \
         steps: [{{name: home, request: {{path: /}}, expect: {{body: hello}}}}]\n",
        target.address
    );
    let proxy = Setup::front(&origin).with(&probes).start().await;

    let page = async |proxy: &Proxy| {
        get(proxy.admin, "/metrics", &[("host", "localhost")])
            .await
            .text()
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let counted = loop {
        let page = page(&proxy).await;
        if page.contains("edgespan_probe_runs_total{probe=\"up\",result=\"held\"} 2") {
            break page;
        }
        assert!(tokio::time::Instant::now() < deadline, "{page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };

    assert!(
        counted.contains("edgespan_probe_success{probe=\"up\"} 1"),
        "{counted}"
    );
    assert!(
        counted
            .contains("edgespan_probe_step_duration_seconds_count{probe=\"up\",step=\"home\"} 2"),
        "{counted}"
    );
    let there = page(&target).await;
    assert!(
        there.contains("edgespan_synthetic_requests_total{result=\"ok\"} "),
        "{there}"
    );
    assert!(
        !there.contains("edgespan_synthetic_requests_total{result=\"ok\"} 0"),
        "{there}"
    );
    assert!(
        !there.contains("http_server_request_duration_seconds_count{"),
        "{there}"
    );
}

#[tokio::test]
async fn a_run_asks_its_own_store_for_spans_and_marks_nothing_where_that_is_off() {
    let origin = Origin::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let text = format!(
        "listeners: {{web: {{address: \"{address}\"}}}}\nupstreams: {{app: {{endpoints: \
         [\"http://{}\"]}}}}\nroutes: [{{name: all, match: {{prefix: /}}, upstream: app}}]\n\
         spans: {{synthetic: false}}\nprobes:\n  - every: 1s\n    inline:\n      name: own\n      \
         base: \"http://{address}\"\n      steps:\n        - name: home\n          request: \
         {{path: /}}\n          expect:\n            spans:\n              - {{kind: server, \
         attributes: {{user_agent.synthetic.type: {{absent: true}}}}}}\n",
        origin.address
    );
    let proxy = Setup::new(&text).start().await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
            .await
            .text();
        if page.contains("edgespan_probe_success{probe=\"own\"} 1") {
            assert!(
                page.contains("edgespan_synthetic_requests_total{result=\"ok\"} 0"),
                "{page}"
            );
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
