//! Upgraded connections: spliced, and their spans live until close.

use crate::support::client::{begin, patiently, request};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

/// A WebSocket server that says everything twice.
async fn websocket_origin() -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin {
        address: listener.local_addr().unwrap(),
        ..Origin::detached()
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() {
                        socket.send(message.clone()).await.unwrap();
                        socket.send(message).await.unwrap();
                    }
                }
            });
        }
    });
    origin
}

#[tokio::test]
async fn a_websocket_passes_and_its_spans_end_with_it() {
    let (collector, origin) = (Collector::start().await, websocket_origin().await);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut socket, response) = client_async("ws://app.example.com/chat", stream)
        .await
        .unwrap();
    assert_eq!(response.status(), 101);
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
        }
    }
    assert!(
        collector.stays_silent().await,
        "no span ends while the socket is open"
    );
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}

    let edges = collector.next_edges().await;
    for span in [edges.server(), edges.client()] {
        assert_eq!(span.int("http.response.status_code"), Some(101));
        assert_eq!(
            (span.status(), span.text("error.type")),
            (StatusCode::Unset, None)
        );
        assert!(span.0.end_time_unix_nano - span.0.start_time_unix_nano >= 100_000_000);
    }
}

#[tokio::test]
async fn an_upgrade_that_the_origin_declines_is_an_ordinary_answer() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let asking = [("connection", "upgrade"), ("upgrade", "websocket")];
    let response = begin(proxy.address, request("GET", "/", &asking)).await;

    assert_eq!(response.status(), 200);
    let reply = crate::support::client::whole(response).await;
    assert_eq!(reply.text(), "hello");
    let received = origin.sole();
    assert_eq!(
        (received.one("connection"), received.one("upgrade")),
        ("upgrade".into(), "websocket".into())
    );
    assert_eq!(
        collector
            .next_edges()
            .await
            .client()
            .int("http.response.status_code"),
        Some(200)
    );
}

#[tokio::test]
async fn bytes_that_follow_the_head_at_once_are_not_lost() {
    let origin = Origin::raw(|_| {
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        Some(format!("{head}early").into_bytes())
    })
    .await;
    let proxy = Setup::front(&origin).start().await;

    let asking = [("connection", "upgrade"), ("upgrade", "echo")];
    let mut response = begin(proxy.address, request("GET", "/", &asking)).await;
    assert_eq!(response.status(), 101);
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();

    let mut said = Vec::new();
    let mut stream = TokioIo::new(upgraded);
    stream.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"early");
}

#[tokio::test]
async fn other_upgrades_pass_as_bytes_and_a_closed_half_is_no_end() {
    let collector = Collector::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin {
        address: listener.local_addr().unwrap(),
        ..Origin::detached()
    };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        let granted = b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: parrot\r\n\r\n";
        stream.write_all(granted).await.unwrap();
        // Says everything back once the other side has said that no more comes.
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        stream.write_all(&heard).await.unwrap();
    });
    let proxy = Setup::front(&origin).export_to(&collector).start().await;

    let asking = [("connection", "upgrade"), ("upgrade", "parrot")];
    let request = request("GET", "/", &asking);
    let mut response = begin(proxy.address, request).await;
    assert_eq!(response.headers()["upgrade"], "parrot");
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    stream.write_all(b"\x83 no frame at all").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    patiently(stream.read_to_end(&mut said)).await.unwrap();
    assert_eq!(said, b"\x83 no frame at all");
    drop(stream);

    let edges = collector.next_edges().await;
    let span = edges.server();
    assert_eq!(span.status(), StatusCode::Unset);
    assert_eq!(span.int("http.request.body.size"), Some(17));
    assert_eq!(span.int("http.response.body.size"), Some(17));
    assert_eq!(span.int("edgespan.websocket.close_code"), None);
}
