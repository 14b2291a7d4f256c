//! How much of an upstream may be in use at a time, and what becomes of the rest.

use crate::support::client::{Reply, begin, get, patiently, request};
use crate::support::collector::Collector;
use crate::support::proxy::{Proxy, Setup};
use crate::support::script::{Scripted, Step, answer};
use crate::support::{PATIENCE, until};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

async fn front(origin: &Scripted, limits: &str, collector: &Collector) -> Proxy {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{}'], limits: {limits}, \
         timeouts: {{connect: 5s}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        origin.address
    ))
    .export_to(collector)
    .start()
    .await
}

fn ask(to: SocketAddr) -> JoinHandle<Reply> {
    tokio::spawn(async move { get(to, "/", &[]).await })
}

/// Whether a limit of the upstream is reached.
async fn is_open(proxy: &Proxy, limit: &str) -> bool {
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    let line = page
        .lines()
        .find(|line| line.starts_with("edgespan_upstream_circuit_open") && line.contains(limit));
    line.unwrap().ends_with(" 1")
}

#[tokio::test]
async fn requests_wait_for_a_connection_up_to_a_bound_and_one_more_is_refused_at_once() {
    let collector = Collector::start().await;
    // The first is answered once the proxy is asked no more.
    let held = Step::SayAfter(1, answer(200, "", "one"));
    let origin = Scripted::start([Step::Silence, held]).await;
    let proxy = front(&origin, "{connections: 1, pending: 1}", &collector).await;

    let in_use = ask(proxy.address);
    origin.wait_for(1).await;
    let waiting = ask(proxy.address);
    let began = Instant::now();
    while !is_open(&proxy, "pending").await {
        assert!(began.elapsed() < PATIENCE);
    }
    let refused = get(proxy.address, "/", &[]).await;

    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json()["code"], "overloaded");
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "not after the connect time-out"
    );
    let edges = collector.next_edges().await;
    assert_eq!(
        edges.server().text("edgespan.shed.reason"),
        Some("upstream_pending")
    );
    assert_eq!(edges.client().text("error.type"), Some("overloaded"));
    assert_eq!(origin.seen().len(), 1, "one connection, one request");

    // The place is given back by a request that is given up, too.
    in_use.abort();
    assert_eq!(waiting.await.unwrap().text(), "one");
    assert!(!is_open(&proxy, "pending").await);
}

#[tokio::test]
async fn a_connection_that_becomes_free_serves_who_waited_for_it() {
    let collector = Collector::start().await;
    let slow = Step::SayAfter(1, answer(200, "", "x"));
    let origin = Scripted::start(std::iter::repeat_n(slow, 40)).await;
    let proxy = front(&origin, "{connections: 2, pending: 40}", &collector).await;

    let asked: Vec<_> = (0..40).map(|_| ask(proxy.address)).collect();
    for one in asked {
        assert_eq!(one.await.unwrap().status, 200);
    }

    let seen = origin.seen();
    assert_eq!(seen.len(), 40);
    assert!(
        seen.iter().all(|seen| seen.connection < 2),
        "never more than two"
    );
}

#[tokio::test]
async fn who_waits_longer_than_a_connection_may_take_gets_504() {
    let collector = Collector::start().await;
    let origin = Scripted::start([Step::Silence]).await;
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{}'], limits: {{connections: 1}}, \
         timeouts: {{connect: 200ms}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        origin.address
    ))
    .export_to(&collector)
    .start()
    .await;

    let in_use = ask(proxy.address);
    origin.wait_for(1).await;
    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 504);
    assert_eq!(
        collector.next_edges().await.client().text("error.type"),
        Some("timeout")
    );
    in_use.abort();
    until("an end", || collector.spans().len() == 2).await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_granted_keeps_its_connections_place_until_its_answer_ends() {
    let half = "HTTP/1.1 200 Any\r\ncontent-length: 8\r\n\r\nhalf";
    let origin = Scripted::start([Step::Say(half.to_owned())]).await;
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://{}'], limits: {{connections: 1}}, \
         timeouts: {{connect: 200ms}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        origin.address
    ))
    .start()
    .await;
    let asking = [("connection", "upgrade"), ("upgrade", "echo")];
    let unread = begin(proxy.address, request("GET", "/", &asking)).await;
    assert_eq!(unread.status(), 200);

    assert_eq!(get(proxy.address, "/", &[]).await.status, 504);
    assert_eq!(origin.seen().len(), 1);

    drop(unread);
    let address = proxy.address;
    patiently(async { while get(address, "/", &[]).await.status != 200 {} }).await;
}

#[tokio::test]
async fn the_breaker_of_requests_opens_at_its_bound_and_closes_below_it() {
    let collector = Collector::start().await;
    let origin = Scripted::start([Step::Silence]).await;
    let proxy = front(&origin, "{requests: 1}", &collector).await;
    assert!(!is_open(&proxy, "requests").await);

    let in_use = ask(proxy.address);
    origin.wait_for(1).await;
    assert!(is_open(&proxy, "requests").await);
    assert_eq!(get(proxy.address, "/", &[]).await.status, 503);
    let edges = collector.next_edges().await;
    assert_eq!(
        edges.server().text("edgespan.shed.reason"),
        Some("upstream")
    );
    assert!(edges.clients().is_empty());

    in_use.abort();
    collector.next_edges().await;
    assert!(!is_open(&proxy, "requests").await);
    assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
}
