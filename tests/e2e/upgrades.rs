//! Upgraded connections: spliced, and their spans live until close.

use crate::support::client::{begin, request};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
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
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said)
        .await
        .unwrap();
    assert_eq!(said, b"early");
}
