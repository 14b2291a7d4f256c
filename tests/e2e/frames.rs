//! The frames of a WebSocket on their way: counted, never changed, held back only by who reads.

use crate::support::client::patiently;
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::Setup;
use crate::support::spans::Edges;
use crate::support::websocket::{Http, WebSocketOrigin, open};
use crate::websocket::{before, check_end};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

/// The 101 of an origin that then says these bytes and listens.
fn talkative(bytes: &'static [u8]) -> impl Future<Output = Origin> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    Origin::raw(move |_| Some([head.as_bytes(), bytes].concat()))
}

async fn raw_from(bytes: &'static [u8]) -> (Vec<u8>, Edges) {
    let (collector, origin) = (Collector::start().await, talkative(bytes).await);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;
    let opened = open(proxy.address, Http::One, "/", &[]).await;
    let mut stream = TokioIo::new(opened.stream.unwrap());
    let mut said = Vec::new();
    patiently(stream.read_to_end(&mut said)).await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    (said, collector.next_edges().await)
}

#[tokio::test]
async fn deflated_messages_in_fragments_are_counted_by_their_end() {
    // Two fragments with a ping between them, RSV1 on the first; then a Close of 1000.
    let bytes = b"\x41\x03abc\x89\x00\x80\x02de\xc2\x01f\x88\x02\x03\xe8";

    let (said, edges) = raw_from(bytes).await;

    assert_eq!(said, bytes);
    let messages = edges.server().int("edgespan.websocket.messages_sent");
    assert_eq!(messages, Some(2));
    check_end(&edges, 1000, "upstream", None);
}

#[tokio::test]
async fn what_is_no_frame_passes_untouched_and_the_span_says_so() {
    let bytes = b"\x81\x01a\xf3 this is no frame";

    let (said, edges) = raw_from(bytes).await;

    assert_eq!(said, bytes);
    let span = edges.server();
    assert_eq!(span.int("edgespan.websocket.messages_sent"), Some(1));
    assert_eq!(span.text("edgespan.websocket.malformed"), Some("upstream"));
}

#[tokio::test]
async fn who_does_not_read_holds_the_sender_back() {
    for client in [Http::One, Http::Two] {
        let origin = WebSocketOrigin::start(Http::One).await;
        let proxy = before(&origin, Http::One, "").start().await;
        let opened = open(proxy.address, client, "/", &[]).await;
        let (mut sink, mut source) = opened.socket().await.split();

        // An echo that is not read fills every buffer on the way, and then the client waits.
        let piece = vec![7; 64 * 1024];
        let mut sent = 0_usize;
        let stuck = std::time::Duration::from_millis(500);
        while tokio::time::timeout(stuck, sink.send(Message::binary(piece.clone())))
            .await
            .is_ok()
        {
            sent += 1;
            assert!(sent < 4_000, "256 MB found room somewhere");
        }
        // What is stuck is not lost.
        let reading = async {
            for _ in 0..sent {
                assert_eq!(source.next().await.unwrap().unwrap().len(), piece.len());
            }
        };
        patiently(reading).await;
    }
}
