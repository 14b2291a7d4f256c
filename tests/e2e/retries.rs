//! A request that came to nothing is sent once more where that does no harm, and nowhere else.

use crate::support::client::{Reply, get, request, send, with_body};
use crate::support::collector::Collector;
use crate::support::proxy::{Proxy, Setup};
use crate::support::script::{Scripted, Step, answer, say};
use crate::support::spans::{Edges, SeenSpan};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::time::{Duration, Instant};

/// A proxy before `origin` with these `retries`; without any if the text is empty.
async fn front(origin: &Scripted, retries: &str, collector: &Collector) -> Proxy {
    let retries = match retries {
        "" => String::new(),
        retries => format!(", retries: {retries}"),
    };
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{}'], \
         timeouts: {{connect: 2s, first_byte: 3s}}{retries}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        origin.address
    ))
    .export_to(collector)
    .start()
    .await
}

/// Waits between attempts that no test has to sit through.
const QUICK: &str = "backoff: {base: 1ms, max: 1ms}";

async fn metric(proxy: &Proxy, line: &str) -> String {
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    let found = page.lines().find(|found| found.starts_with(line));
    assert!(found.is_some(), "{line} in {page}");
    let value = found.and_then(|found| found.rsplit(' ').next());
    value.unwrap_or_default().to_owned()
}

fn causes(edges: &Edges) -> Vec<Option<&str>> {
    let clients = edges.clients();
    clients
        .iter()
        .map(|span| span.text("edgespan.retry.cause"))
        .collect()
}

/// Sends one request to an origin that first takes `step`, then answers.
async fn tried(method: &str, step: Step, retries: &str) -> (Reply, Edges, Scripted) {
    let (collector, origin) = (Collector::start().await, Scripted::start([step]).await);
    let proxy = front(&origin, retries, &collector).await;
    let sent = match method {
        "POST" | "PUT" | "PATCH" => with_body(request(method, "/", &[]), "body"),
        _ => request(method, "/", &[]),
    };
    let reply = send(proxy.address, sent).await;
    (reply, collector.next_edges().await, origin)
}

#[tokio::test]
async fn a_pooled_connection_closed_at_the_moment_of_the_request_is_replaced_by_another() {
    let collector = Collector::start().await;
    let origin = Scripted::start([say(200, "first"), Step::Close]).await;
    let proxy = front(&origin, "", &collector).await;

    assert_eq!(get(proxy.address, "/", &[]).await.text(), "first");
    let reply = get(proxy.address, "/again?a=1", &[("x-a", "1"), ("x-a", "2")]).await;

    assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "done"));
    collector.next_edges().await;
    let edges = collector.next_edges().await;
    let clients = edges.clients();
    assert_eq!(clients[0].text("error.type"), Some("connection_reset"));
    assert_eq!(clients[1].int("http.request.resend_count"), Some(1));
    assert_eq!(causes(&edges), [None, Some("reset")]);
    assert_eq!(edges.server().status(), StatusCode::Unset);
    let seen = origin.seen();
    assert_eq!((seen[0].connection, seen[1].connection), (0, 0));
    assert_eq!(seen[2].connection, 1, "another connection");
    let lines = |head: &str| -> Vec<String> {
        let mut lines: Vec<String> = head
            .lines()
            .filter(|line| !line.starts_with("traceparent"))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(
        lines(&seen[1].head),
        lines(&seen[2].head),
        "the same request"
    );
    assert_eq!(seen[1].span_id(), clients[0].span_id());
    assert_eq!(seen[2].span_id(), clients[1].span_id());
}

#[tokio::test]
async fn without_a_setting_a_closed_connection_is_replaced_once_and_no_more() {
    let collector = Collector::start().await;
    let origin = Scripted::start([say(200, "first"), Step::Close, Step::Close]).await;
    let proxy = front(&origin, "", &collector).await;

    get(proxy.address, "/", &[]).await;
    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 502);
    assert_eq!(origin.seen().len(), 3);
    let fresh = get(proxy.address, "/", &[]).await;
    assert_eq!(fresh.status, 200);
}

#[tokio::test]
async fn a_post_that_may_have_been_processed_is_not_sent_again() {
    let collector = Collector::start().await;
    let origin = Scripted::start([say(200, "first"), Step::Close]).await;
    let proxy = front(&origin, "", &collector).await;

    get(proxy.address, "/", &[]).await;
    let reply = send(proxy.address, request("POST", "/", &[])).await;

    assert_eq!(reply.status, 502);
    assert_eq!(origin.seen().len(), 2);
}

#[track_caller]
fn check_retried((reply, edges, origin): (Reply, Edges, Scripted), cause: &str) {
    assert_eq!(
        (reply.status.as_u16(), &*reply.text()),
        (200, "done"),
        "{cause}"
    );
    assert_eq!(causes(&edges), [None, Some(cause)]);
    let clients = edges.clients();
    let counts: Vec<_> = clients
        .iter()
        .map(|span| span.int("http.request.resend_count"))
        .collect();
    assert_eq!(counts, [None, Some(1)]);
    assert_eq!(clients[0].status(), StatusCode::Error);
    assert_eq!(clients[1].status(), StatusCode::Unset);
    assert_eq!(edges.server().int("edgespan.attempts"), Some(2));
    assert_eq!(edges.server().status(), StatusCode::Unset);
    let ids: Vec<String> = origin.seen().iter().map(|seen| seen.span_id()).collect();
    assert_eq!(ids, [clients[0].span_id(), clients[1].span_id()]);
}

#[tokio::test]
async fn each_condition_leads_to_another_attempt() {
    for (on, step, cause) in [
        ("reset", Step::Close, "reset"),
        ("502", say(502, "bad"), "502"),
        ("503", say(503, "busy"), "503"),
        ("504", say(504, "late"), "504"),
        ("429", say(429, "often"), "429"),
        ("5xx", say(500, "oops"), "500"),
        ("gateway_error", say(503, "busy"), "503"),
        ("timeout", Step::Silence, "timeout"),
    ] {
        let policy = format!("{{on: [{on}], per_try_timeout: 300ms, {QUICK}}}");
        check_retried(tried("GET", step, &policy).await, cause);
    }
}

#[tokio::test]
async fn the_defaults_cover_what_is_worth_trying_again() {
    let policy = format!("{{{QUICK}}}");
    check_retried(tried("GET", say(503, "busy"), &policy).await, "503");
    check_retried(tried("DELETE", Step::Close, &policy).await, "reset");

    let (reply, edges, _) = tried("GET", say(500, "oops"), &policy).await;
    assert_eq!(reply.status, 500);
    assert_eq!(edges.server().text("edgespan.retry.denied"), None);
    assert_eq!(edges.client().text("error.type"), Some("500"));
}

#[tokio::test]
async fn what_may_have_been_processed_is_not_retried_for_a_method_that_repeats_its_effect() {
    for (method, step, status) in [
        ("POST", say(503, "busy"), 503),
        ("PATCH", say(503, "busy"), 503),
        ("POST", Step::Close, 502),
        ("POST", Step::Silence, 504),
    ] {
        let policy = "{on: [503, reset, timeout], per_try_timeout: 300ms}";
        let (reply, edges, origin) = tried(method, step, policy).await;
        assert_eq!(reply.status, status);
        assert_eq!(edges.clients().len(), 1);
        assert_eq!(edges.server().text("edgespan.retry.denied"), Some("method"));
        assert_eq!(origin.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_never_mixed_with_another() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_owned();
    let (collector, origin) = (
        Collector::start().await,
        Scripted::start([Step::SayAndClose(half)]).await,
    );
    let proxy = front(&origin, "{on: [reset, 5xx]}", &collector).await;

    let response = crate::support::client::begin(proxy.address, request("GET", "/", &[])).await;
    let body = http_body_util::BodyExt::collect(response.into_body()).await;

    assert!(body.is_err());
    assert_eq!(collector.next_edges().await.clients().len(), 1);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_body_is_sent_again_up_to_its_bound_and_not_beyond() {
    let policy = format!("{{on: [503], body_bytes: 4, {QUICK}}}");
    for (body, retried) in [("abc", true), ("abcd", true), ("abcde", false)] {
        let collector = Collector::start().await;
        let origin = Scripted::start([say(503, "busy")]).await;
        let proxy = front(&origin, &policy, &collector).await;

        let reply = send(proxy.address, with_body(request("PUT", "/", &[]), body)).await;

        let edges = collector.next_edges().await;
        let bodies: Vec<String> = origin.seen().into_iter().map(|seen| seen.body).collect();
        let denied = edges.server().text("edgespan.retry.denied");
        if retried {
            assert_eq!((reply.status.as_u16(), denied), (200, None));
            assert_eq!(bodies, [body, body]);
        } else {
            assert_eq!((reply.status.as_u16(), denied), (503, Some("body")));
            assert_eq!(bodies, [body]);
        }
        let read = edges.server().int("http.request.body.size");
        assert_eq!(read, Some(body.len() as i64), "counted once");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_with_trailers_is_sent_again_as_it_was() {
    use http_body::Frame;
    let collector = Collector::start().await;
    let origin = Scripted::start([say(503, "busy")]).await;
    let policy = format!("{{on: [503], {QUICK}}}");
    let proxy = front(&origin, &policy, &collector).await;

    let headers = [("trailer", "x-end"), ("te", "trailers")];
    let (sender, sent) = crate::support::client::with_stream(request("PUT", "/", &headers));
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-end", http::HeaderValue::from_static("1"));
    for frame in [
        Frame::data("ab".into()),
        Frame::data("cd".into()),
        Frame::trailers(trailers),
    ] {
        sender.send(frame).await.unwrap();
    }
    drop(sender);
    let reply = send(proxy.address, sent).await;

    assert_eq!(reply.status, 200);
    let whole = |body: &str| body.contains("ab") && body.contains("cd");
    let seen = origin.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| whole(&seen.body)), "{seen:?}");
}

#[tokio::test]
async fn the_last_answer_passes_when_attempts_are_used_up() {
    let collector = Collector::start().await;
    let third = Step::Say(answer(503, "x-turn: 3\r\n", "third"));
    let origin = Scripted::start([say(503, "first"), say(503, "second"), third]).await;
    let policy = format!("{{attempts: 2, on: [503], {QUICK}}}");
    let proxy = front(&origin, &policy, &collector).await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!((reply.status.as_u16(), &*reply.text()), (503, "third"));
    assert_eq!(reply.header("x-turn"), Some("3"));
    let edges = collector.next_edges().await;
    assert_eq!(edges.clients().len(), 3);
    assert_eq!(
        edges.server().text("edgespan.retry.denied"),
        Some("attempts")
    );
    let seen = origin.seen();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter().all(|seen| seen.connection == 0),
        "short answers free their connection"
    );
    let labels = "edgespan_upstream_retries_total{upstream=\"origin\",outcome=";
    for (outcome, count) in [("attempted", "2"), ("exhausted", "1"), ("succeeded", "0")] {
        let line = format!("{labels}\"{outcome}\"}}");
        assert_eq!(metric(&proxy, &line).await, count, "{outcome}");
    }
}

#[tokio::test]
async fn retry_after_is_waited_for_up_to_its_bound() {
    let busy = |seconds: &str| {
        let header = format!("retry-after: {seconds}\r\n");
        Step::Say(answer(503, &header, "busy"))
    };
    let policy = "{on: [503], retry_after: 1s}";

    check_retried(tried("GET", busy("0"), policy).await, "503");

    let began = Instant::now();
    check_retried(tried("GET", busy("1"), policy).await, "503");
    assert!(began.elapsed() >= Duration::from_secs(1));

    let (reply, edges, _) = tried("GET", busy("2"), policy).await;
    assert_eq!((reply.status.as_u16(), &*reply.text()), (503, "busy"));
    assert_eq!(reply.header("retry-after"), Some("2"));
    assert_eq!(
        edges.server().text("edgespan.retry.denied"),
        Some("retry_after")
    );
}

#[tokio::test]
async fn without_a_time_of_its_own_an_attempt_takes_all_the_time_there_is() {
    let collector = Collector::start().await;
    let origin = Scripted::start([Step::Silence]).await;
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{}'], timeouts: {{first_byte: 200ms}}, \
         retries: {{on: [timeout]}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        origin.address
    ))
    .export_to(&collector)
    .start()
    .await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 504);
    let edges = collector.next_edges().await;
    assert_eq!(edges.clients().len(), 1);
    assert_eq!(edges.server().text("edgespan.retry.denied"), Some("time"));
}

#[tokio::test]
async fn over_the_budget_the_answer_passes_and_is_counted() {
    let collector = Collector::start().await;
    let origin = Scripted::start(std::iter::repeat_n(say(503, "busy"), 200)).await;
    let policy = format!("{{attempts: 1, on: [503], budget: 0, {QUICK}}}");
    let proxy = front(&origin, &policy, &collector).await;

    // Three a second over ten seconds are allowed whatever the share.
    for _ in 0..30 {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 503);
    }
    assert_eq!(origin.seen().len(), 60);
    let over = "edgespan_upstream_retries_total{upstream=\"origin\",outcome=\"over_budget\"}";
    assert_eq!(metric(&proxy, over).await, "0");
    assert_eq!(get(proxy.address, "/", &[]).await.status, 503);

    assert_eq!(origin.seen().len(), 61);
    assert_eq!(metric(&proxy, over).await, "1");
    until_denied(&collector, "budget").await;
}

async fn until_denied(collector: &Collector, reason: &str) -> SeenSpan {
    loop {
        let edges = collector.next_edges().await;
        let server = edges.server();
        if server.text("edgespan.retry.denied") == Some(reason) {
            return server.clone();
        }
    }
}

#[tokio::test]
async fn a_routes_own_rules_replace_those_of_its_upstream() {
    let collector = Collector::start().await;
    let origin = Scripted::start([say(503, "busy"), say(503, "busy")]).await;
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{}'], retries: {{on: [503], {QUICK}}}}}}}\n\
         routes:\n\
         - {{name: never, match: {{path: /never}}, upstream: origin, retries: {{attempts: 0}}}}\n\
         - {{name: all, match: {{prefix: /}}, upstream: origin}}\n",
        origin.address
    ))
    .export_to(&collector)
    .start()
    .await;

    assert_eq!(get(proxy.address, "/never", &[]).await.status, 503);
    assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    assert_eq!(origin.seen().len(), 3);
}

#[tokio::test]
async fn an_endpoint_that_was_not_tried_comes_first() {
    let collector = Collector::start().await;
    let busy = Scripted::start(std::iter::repeat_n(say(503, "busy"), 9)).await;
    let other = Scripted::start([]).await;
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{}', 'http://{}'], \
         retries: {{attempts: 1, on: [503], {QUICK}}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        busy.address, other.address
    ))
    .export_to(&collector)
    .start()
    .await;

    for _ in 0..4 {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    }
    assert_eq!(other.seen().len(), 4);
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again_with_every_method() {
    let collector = Collector::start().await;
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = dead.local_addr().unwrap();
    drop(dead);
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{address}'], \
         retries: {{attempts: 2, on: [connect], {QUICK}}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
    ))
    .export_to(&collector)
    .start()
    .await;

    let reply = send(proxy.address, with_body(request("POST", "/", &[]), "body")).await;

    assert_eq!(reply.status, 502);
    let edges = collector.next_edges().await;
    assert_eq!(causes(&edges), [None, Some("connect"), Some("connect")]);
    for client in edges.clients() {
        assert_eq!(client.text("error.type"), Some("connection_refused"));
    }
}

#[tokio::test]
async fn at_most_five_endpoints_are_passed_over() {
    for (dead, status, attempts) in [(5, 200, 6), (6, 502, 6)] {
        let (collector, alive) = (Collector::start().await, Scripted::start([]).await);
        let mut endpoints = Vec::new();
        for _ in 0..dead {
            let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            endpoints.push(format!("'http://{}'", closed.local_addr().unwrap()));
        }
        endpoints.push(format!("'http://{}'", alive.address));
        let proxy = Setup::new(&format!(
            "upstreams: {{origin: {{endpoints: [{}]}}}}\n\
             routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
            endpoints.join(", ")
        ))
        .export_to(&collector)
        .start()
        .await;

        let reply = send(proxy.address, with_body(request("POST", "/", &[]), "body")).await;

        assert_eq!(reply.status, status, "{dead} dead");
        assert_eq!(collector.next_edges().await.clients().len(), attempts);
    }
}
