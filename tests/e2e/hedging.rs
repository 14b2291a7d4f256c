//! Attempts beside one that is slow: the first good answer wins, and nobody sees the others.

use crate::support::client::{get, request, send, with_body};
use crate::support::collector::Collector;
use crate::support::proxy::{Proxy, Setup};
use crate::support::script::{Scripted, Step, answer, say};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

async fn front(origin: &Scripted, retries: &str, collector: &Collector) -> Proxy {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{}'], retries: {retries}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        origin.address
    ))
    .export_to(collector)
    .start()
    .await
}

async fn hedges(proxy: &Proxy) -> Vec<String> {
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    let count = |outcome: &str| {
        let line = page
            .lines()
            .find(|line| {
                line.starts_with("edgespan_upstream_hedges_total") && line.contains(outcome)
            })
            .unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    ["attempted", "won", "lost"].map(count).to_vec()
}

const HEDGED: &str = "{attempts: 0, hedge: {after: 50ms}}";

#[tokio::test]
async fn a_second_attempt_that_answers_first_wins_and_the_first_is_cancelled() {
    let collector = Collector::start().await;
    let origin = Scripted::start([Step::Silence]).await;
    let proxy = front(&origin, HEDGED, &collector).await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "done"));
    let edges = collector.next_edges().await;
    let clients = edges.clients();
    assert_eq!(clients.len(), 2);
    let seen = origin.seen();
    let lost = clients
        .iter()
        .find(|span| span.span_id() == seen[0].span_id());
    let won = clients
        .iter()
        .find(|span| span.span_id() == seen[1].span_id());
    let (lost, won) = (lost.unwrap(), won.unwrap());
    assert_eq!(
        (lost.status(), won.status()),
        (StatusCode::Unset, StatusCode::Unset)
    );
    assert_eq!(lost.bool("edgespan.cancelled"), Some(true));
    assert_eq!(
        (
            lost.text("error.type"),
            lost.int("http.response.status_code")
        ),
        (None, None)
    );
    assert_eq!(won.bool("edgespan.hedge"), Some(true));
    assert_eq!(won.bool("edgespan.cancelled"), None);
    assert_eq!(won.int("http.request.resend_count"), Some(1));
    assert_eq!(won.int("http.response.status_code"), Some(200));
    assert_eq!(edges.server().int("edgespan.attempts"), Some(2));
    assert_eq!(hedges(&proxy).await, ["1", "1", "0"]);
}

#[tokio::test]
async fn a_first_attempt_that_answers_after_all_wins_and_the_second_is_cancelled() {
    let collector = Collector::start().await;
    let late = Step::SayAfter(2, answer(200, "", "late"));
    let origin = Scripted::start([late, Step::Silence]).await;
    let proxy = front(&origin, HEDGED, &collector).await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.text(), "late");
    let edges = collector.next_edges().await;
    let cancelled: Vec<_> = edges
        .clients()
        .iter()
        .map(|span| (span.bool("edgespan.hedge"), span.bool("edgespan.cancelled")))
        .collect();
    assert_eq!(cancelled, [(Some(true), Some(true)), (None, None)]);
    assert_eq!(hedges(&proxy).await, ["1", "0", "1"]);
}

#[tokio::test]
async fn a_quick_answer_is_not_hedged() {
    let collector = Collector::start().await;
    let origin = Scripted::start([]).await;
    let proxy = front(&origin, "{hedge: {after: 20s}}", &collector).await;

    assert_eq!(get(proxy.address, "/", &[]).await.status, 200);

    assert_eq!(collector.next_edges().await.clients().len(), 1);
    assert_eq!(hedges(&proxy).await, ["0", "0", "0"]);
}

#[tokio::test]
async fn a_bad_answer_does_not_win_while_another_attempt_is_under_way() {
    let collector = Collector::start().await;
    let late = Step::SayAfter(2, answer(200, "", "late"));
    let origin = Scripted::start([late, say(503, "busy")]).await;
    let proxy = front(
        &origin,
        "{attempts: 0, on: [503], hedge: {after: 50ms}}",
        &collector,
    )
    .await;

    // The first may answer before the 503 is read; either way the good answer is passed on.
    assert_eq!(get(proxy.address, "/", &[]).await.text(), "late");
    assert_eq!(collector.next_edges().await.clients().len(), 2);
}

#[tokio::test]
async fn a_method_that_repeats_its_effect_is_not_hedged() {
    let collector = Collector::start().await;
    let origin = Scripted::start([Step::Silence]).await;
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{}'], timeouts: {{first_byte: 300ms}}, \
         retries: {HEDGED}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        origin.address
    ))
    .export_to(&collector)
    .start()
    .await;

    let reply = send(proxy.address, request("POST", "/", &[])).await;

    assert_eq!(reply.status, 504);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_here_is_sent_by_both_attempts() {
    let collector = Collector::start().await;
    let origin = Scripted::start([Step::Silence]).await;
    let proxy = front(&origin, HEDGED, &collector).await;

    let reply = send(proxy.address, with_body(request("PUT", "/", &[]), "body")).await;

    assert_eq!(reply.text(), "done");
    let bodies: Vec<String> = origin.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, ["body", "body"]);
}

#[tokio::test]
async fn as_many_attempts_as_the_setting_says_are_made_beside_the_first() {
    let collector = Collector::start().await;
    let origin = Scripted::start([Step::Silence, Step::Silence]).await;
    let proxy = front(&origin, "{hedge: {after: 30ms, attempts: 2}}", &collector).await;

    assert_eq!(get(proxy.address, "/", &[]).await.text(), "done");

    assert_eq!(collector.next_edges().await.clients().len(), 3);
    assert_eq!(hedges(&proxy).await, ["2", "1", "1"]);
}

#[tokio::test]
async fn a_client_that_leaves_ends_all_attempts() {
    let collector = Collector::start().await;
    let origin = Scripted::start([Step::Silence, Step::Silence]).await;
    let proxy = front(&origin, HEDGED, &collector).await;

    let leaving = tokio::spawn(send(proxy.address, request("GET", "/", &[])));
    origin.wait_for(2).await;
    leaving.abort();

    let edges = collector.next_edges().await;
    assert_eq!(edges.clients().len(), 2);
    for span in &edges.0 {
        assert_eq!(span.status(), StatusCode::Unset);
    }
    assert_eq!(
        edges.server().bool("edgespan.client_disconnected"),
        Some(true)
    );
}
