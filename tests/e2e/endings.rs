//! How an answer ends: with trailers, with the connection; and that this is no client leaving.

use crate::support::client::{get, raw};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use crate::support::spans::Edges;

const WITH_TRAILER: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\
    \r\n2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";

#[track_caller]
fn nobody_left(edges: &Edges) {
    let left = edges.server().bool("edgespan.client_disconnected");
    assert_eq!(left, None, "the client had the whole answer");
}

#[tokio::test]
async fn an_answer_that_ends_with_trailers_is_complete() {
    let collector = Collector::start().await;
    let origin = Origin::raw(|_| Some(WITH_TRAILER.to_vec())).await;
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let reply = get(proxy.address, "/", &[("te", "trailers")]).await;

    assert_eq!(reply.text(), "hi");
    nobody_left(&collector.next_edges().await);
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_all_but_the_trailers() {
    let collector = Collector::start().await;
    let origin = Origin::raw(|_| Some(WITH_TRAILER.to_vec())).await;
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let answer = raw(proxy.address, b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;

    assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
    nobody_left(&collector.next_edges().await);
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection_of_http_1_0() {
    let collector = Collector::start().await;
    let origin = Origin::raw(|_| Some(CHUNKED.to_vec())).await;
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let kept = b"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n";
    let answer = raw(proxy.address, kept).await.to_lowercase();

    assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
    assert!(!answer.contains("keep-alive"), "it closes: {answer}");
    nobody_left(&collector.next_edges().await);
}
