//! What becomes of a request that nobody could decide about.

use super::{allow, routed, scene};
use crate::support::client::{begin, get, request};
use crate::support::origin::{Origin, text, with_headers};
use crate::support::script::{Scripted, Step, answer, say};

/// Nobody listens there.
async fn nobody() -> Origin {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    Origin {
        address: gone.local_addr().unwrap(),
        ..Origin::detached()
    }
}

fn at(scripted: &Scripted) -> Origin {
    Origin {
        address: scripted.address,
        ..Origin::detached()
    }
}

#[tokio::test]
async fn an_authorizer_that_is_down_refuses_everybody_with_503() {
    let scene = routed("", "auth: legacy", nobody().await).await;

    let reply = get(scene.proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["code"], "auth_unavailable");
    assert!(scene.origin.received().is_empty());
    let edges = scene.collector.next_edges().await;
    assert_eq!(edges.server().text("edgespan.auth.decision"), Some("error"));
    assert_eq!(
        edges.server().text("edgespan.auth.reason"),
        Some("unavailable")
    );
    let calls = edges.0.iter().filter(|span| span.name() == "GET");
    let refused: Vec<_> = calls.map(|span| span.text("error.type")).collect();
    assert_eq!(refused, [Some("connection_refused"); 2]);
}

#[tokio::test]
async fn an_authorizer_that_never_answers_refuses_with_504_when_its_time_is_over() {
    let silent = Origin::that_never_answers().await;
    let scene = routed("", "auth: [{policy: legacy, timeout: 100ms}]", silent).await;

    let reply = get(scene.proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 504);
    assert_eq!(reply.json()["code"], "auth_timeout");
    let edges = scene.collector.next_edges().await;
    let decision = edges
        .0
        .iter()
        .find(|span| span.name() == "auth legacy")
        .unwrap();
    assert_eq!(decision.text("edgespan.auth.decision"), Some("timeout"));
    assert_eq!(edges.client().text("error.type"), Some("timeout"));
}

#[tokio::test]
async fn a_5xx_of_its_own_is_a_failure_unless_it_shall_pass() {
    for status in [500, 502, 503, 599] {
        let failing = scene("", move |_| text(status, "stack trace")).await;
        let passing = scene("server_errors: pass", move |_| text(status, "sorry")).await;

        let failed = get(failing.proxy.address, "/", &[]).await;
        let passed = get(passing.proxy.address, "/", &[]).await;

        assert_eq!(failed.status, 503);
        assert!(!failed.text().contains("stack trace"));
        assert_eq!((passed.status.as_u16(), &*passed.text()), (status, "sorry"));
        assert!(failing.origin.received().is_empty() && passing.origin.received().is_empty());
    }
}

#[tokio::test]
async fn the_status_of_a_failure_is_a_setting_of_policy_and_route() {
    for (route, expected) in [
        ("auth: legacy", 403),
        ("auth: [{policy: legacy, failure_status: 401}]", 401),
        ("auth: [{all: [everybody, legacy]}]", 403),
    ] {
        let scene = routed("failure_status: 403", route, nobody().await).await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        assert_eq!(reply.status, expected, "{route}");
        assert_eq!(reply.json()["status"], expected);
    }
}

#[tokio::test]
async fn open_lets_pass_as_nobody() {
    let settings =
        "on_failure: open, identity_headers: [x-auth-user], identity: {subject: x-auth-user}";
    for authorizer in [nobody().await, Origin::answering(|_| text(500, "")).await] {
        let scene = routed(settings, "auth: legacy", authorizer).await;
        let spoofs = [("x-auth-user", "mallory"), ("X_Auth_User", "mallory")];

        let reply = get(scene.proxy.address, "/", &spoofs).await;

        assert_eq!(reply.status, 200);
        let all = format!("{:?}", scene.origin.sole().headers);
        assert!(!all.contains("mallory"), "{all}");
        let edges = scene.collector.next_edges().await;
        let decision = edges
            .0
            .iter()
            .find(|span| span.name() == "auth legacy")
            .unwrap();
        assert_eq!(decision.text("edgespan.auth.decision"), Some("allow"));
        assert_eq!(decision.bool("edgespan.auth.failed_open"), Some(true));
        assert_eq!(decision.text("edgespan.auth.reason"), Some("unavailable"));
        let server = edges.server();
        assert_eq!(server.text("edgespan.auth.decision"), Some("allow"));
        assert_eq!(server.text("edgespan.auth.reason"), Some("unavailable"));
    }
}

#[tokio::test]
async fn open_never_lets_pass_what_was_refused() {
    for status in [401, 403, 302, 429] {
        let scene = scene("on_failure: open", move |_| text(status, "")).await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        assert_eq!(reply.status, status);
        assert!(scene.origin.received().is_empty());
    }
}

#[tokio::test]
async fn a_route_closes_what_the_policy_leaves_open() {
    let route = "auth: [{policy: legacy, on_failure: closed}]";
    let scene = routed("on_failure: open", route, nobody().await).await;

    assert_eq!(get(scene.proxy.address, "/", &[]).await.status, 503);
    assert!(scene.origin.received().is_empty());
}

#[tokio::test]
async fn it_is_asked_once_more_where_there_was_no_answer_and_each_attempt_has_its_span() {
    for (retries, expected, calls) in [(0, 503, 1), (1, 503, 2), (2, 200, 3)] {
        let steps = [Step::Close, Step::Close, say(200, "")];
        let scripted = Scripted::start(steps).await;
        let settings = format!("retries: {retries}");
        let scene = routed(&settings, "auth: legacy", at(&scripted)).await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        assert_eq!(reply.status, expected, "{retries} retries");
        let edges = scene.collector.next_edges().await;
        let decision = edges
            .0
            .iter()
            .find(|span| span.name() == "auth legacy")
            .unwrap();
        let clients = edges.clients();
        let of_decision = clients
            .iter()
            .filter(|span| span.parent_id() == decision.span_id());
        assert_eq!((of_decision.count(), scripted.seen().len()), (calls, calls));
    }
}

#[tokio::test]
async fn a_connection_that_the_authorizer_had_closed_is_no_attempt() {
    let steps = (0..8).map(|_| Step::SayAndClose(answer(200, "", "")));
    let scripted = Scripted::start(steps).await;
    let scene = routed("retries: 0", "auth: legacy", at(&scripted)).await;

    for _ in 0..8 {
        assert_eq!(get(scene.proxy.address, "/", &[]).await.status, 200);
    }
    assert_eq!(scripted.seen().len(), 8);
}

#[tokio::test]
async fn a_broken_answer_never_allows() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 2xx OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x00\x01\x02",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let authorizer = Origin::raw(move |_| Some(bytes.to_vec())).await;
        let scene = routed("retries: 0", "auth: legacy", authorizer).await;

        let reply = get(scene.proxy.address, "/", &[]).await;

        assert_eq!(reply.status, 503, "{}", String::from_utf8_lossy(bytes));
        assert!(scene.origin.received().is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_names_two_users_is_no_answer() {
    let scene = scene("identity: {subject: x-auth-user}", |_| {
        with_headers(200, &[("x-auth-user", "alice"), ("x-auth-user", "bob")], "")
    })
    .await;

    let reply = get(scene.proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 503);
    let edges = scene.collector.next_edges().await;
    assert_eq!(
        edges.server().text("edgespan.auth.reason"),
        Some("bad_answer")
    );
}

#[tokio::test]
async fn a_client_that_leaves_meanwhile_leaves_spans_that_say_so() {
    let silent = Origin::that_never_answers().await;
    let scene = routed("", "auth: legacy", silent).await;

    let pending = tokio::spawn(begin(scene.proxy.address, request("GET", "/", &[])));
    scene.authorizer.wait_for_heads(1).await;
    pending.abort();

    let edges = scene.collector.next_edges().await;
    assert_eq!(
        edges.server().bool("edgespan.client_disconnected"),
        Some(true)
    );
    let decision = edges
        .0
        .iter()
        .find(|span| span.name() == "auth legacy")
        .unwrap();
    assert_eq!(decision.text("edgespan.auth.decision"), Some("cancelled"));
    assert_eq!(edges.clients().len(), 1);
    assert!(scene.origin.received().is_empty());
}

#[tokio::test]
async fn a_route_that_says_off_asks_nobody() {
    let scene = routed("", "auth: off", Origin::answering(allow).await).await;

    assert_eq!(get(scene.proxy.address, "/", &[]).await.status, 200);
    assert!(scene.authorizer.received().is_empty());
}
