//! Whatever bytes arrive, the proxy answers or closes, and serves the next client.

use crate::support::client::get;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Pieces of requests, in any order and any state of health.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST /a?b HTTP/1.1\r\n",
        b"GET http://user@x/ HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"host: a\r\n",
        b"host: \xff\r\n",
        b"connection: upgrade, te, traceparent, \xff\r\n",
        b"upgrade: websocket\r\n",
        b"expect: 100-continue\r\n",
        b"transfer-encoding: chunked\r\n",
        b"content-length: 3\r\n",
        b"content-length: 99999999999999999999\r\n",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-\r\n",
        b"tracestate: ,=,;\r\nbaggage: \xc3\x28=%;=\r\n",
        b"x-forwarded-for: [::1, ,\"\r\nforwarded: for=\"\\\r\n",
        b"cookie: a\r\nte: trailers\r\n",
        b"\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41\x00",
        b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x80",
        b"\x00\x00\x08\x06\x00\x00\x00\x00\x00abcdefgh",
        b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ]);
    let piece = prop_oneof![
        8 => known.prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

async fn survives(proxy: &Proxy, bytes: &[u8]) -> bool {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    if stream.write_all(bytes).await.is_ok() {
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer);
        if tokio::time::timeout(Duration::from_secs(5), closed)
            .await
            .is_err()
        {
            return false; // neither answered nor closed, though the client has gone
        }
    }
    true
}

#[test]
fn no_bytes_bring_a_listener_down() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let origin = runtime.block_on(Origin::start());
    let proxy = runtime.block_on(Setup::front(&origin).start());
    let config = Config {
        cases: 192,
        failure_persistence: None,
        ..Config::default()
    };

    let checked = TestRunner::new(config).run(&pieces(), |bytes| {
        prop_assert!(runtime.block_on(survives(&proxy, &bytes)), "left hanging");
        Ok(())
    });

    checked.unwrap();
    runtime.block_on(async {
        assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
        let metrics = get(proxy.admin, "/metrics", &[("host", "localhost")])
            .await
            .text();
        assert!(metrics.contains("edgespan_panics_total 0"), "{metrics}");
    });
    assert_eq!(proxy.requests(), 0, "every request has ended");
}
