//! PROXY protocol: whom a balancer speaks for, and who may be one.

use super::{counted, cut};
use crate::support::client::{get, patiently, raw, request, send_over};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: app.example.com\r\nconnection: close\r\n\r\n";

async fn front(origin: &Origin, collector: &Collector, settings: &str) -> Proxy {
    Setup::front(origin)
        .with(&format!(
            "listeners: {{web: {{address: '127.0.0.1:0', proxy_protocol: {{{settings}}}, \
             timeouts: {{header: 300ms}}}}}}"
        ))
        .export_to(collector)
        .start()
        .await
}

#[tokio::test]
async fn the_client_is_whom_the_balancer_names() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = front(&origin, &collector, "from: [127.0.0.1]").await;

    for header in [V1, V2] {
        let answer = raw(proxy.address, &[header, GET].concat()).await;

        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let edges = collector.next_edges().await;
        let server = edges.server();
        assert_eq!(server.text("client.address"), Some("192.0.2.7"));
        assert_eq!(server.text("network.peer.address"), Some("127.0.0.1"));
    }
    for received in origin.received() {
        assert_eq!(received.one("x-forwarded-for"), "192.0.2.7");
    }
}

#[tokio::test]
async fn a_header_that_comes_in_pieces_is_one() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = front(&origin, &collector, "from: [127.0.0.1], required: false").await;

    for header in [V1, V2] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in header {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let reply = send_over(stream, request("GET", "/", &[])).await;

        assert_eq!(reply.status, 200);
        let edges = collector.next_edges().await;
        assert_eq!(edges.server().text("client.address"), Some("192.0.2.7"));
    }
}

#[tokio::test]
async fn a_balancers_own_connection_is_its_own() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = front(&origin, &collector, "from: [127.0.0.1]").await;

    for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
        raw(proxy.address, &[header, GET].concat()).await;

        let edges = collector.next_edges().await;
        assert_eq!(edges.server().text("client.address"), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn nobody_else_gets_in_where_it_is_required() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = front(&origin, &collector, "from: [192.0.2.0/24]").await;

    assert_eq!(raw(proxy.address, &[V1, GET].concat()).await, "");
    assert_eq!(raw(proxy.address, GET).await, "");

    assert!(origin.received().is_empty());
    assert!(counted(&proxy, &cut("proxy_protocol_untrusted")).await >= 2.0);
}

#[tokio::test]
async fn a_trusted_peer_without_a_header_or_with_a_bad_one_is_cut_off() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = front(&origin, &collector, "from: [127.0.0.1]").await;

    assert_eq!(raw(proxy.address, GET).await, "");
    let bad = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n";
    assert_eq!(raw(proxy.address, &[bad, GET].concat()).await, "");
    assert!(counted(&proxy, &cut("proxy_protocol_invalid")).await >= 2.0);

    // One that never ends has no more time than a request's head.
    let mut silent = TcpStream::connect(proxy.address).await.unwrap();
    silent.write_all(b"PROXY TC").await.unwrap();
    assert_eq!(patiently(silent.read(&mut [0])).await.unwrap_or(0), 0);
    assert!(counted(&proxy, &cut("proxy_protocol_timeout")).await >= 1.0);
    assert!(origin.received().is_empty());
}

#[tokio::test]
async fn where_it_is_not_required_everybody_may_speak_for_itself() {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = front(&origin, &collector, "from: [127.0.0.1], required: false").await;

    assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    let edges = collector.next_edges().await;
    assert_eq!(edges.server().text("client.address"), Some("127.0.0.1"));

    // What a peer that is not named sends is never read as a header.
    let strict = front(&origin, &collector, "from: [192.0.2.0/24], required: false").await;
    let answer = raw(strict.address, &[V1, GET].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}
