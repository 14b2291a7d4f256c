//! WebSocket over HTTP/1.1 and HTTP/2, every client to every origin, and what its spans say.

use crate::support::client::{get, patiently};
use crate::support::collector::Collector;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, Setup};
use crate::support::spans::Edges;
use crate::support::until;
use crate::support::websocket::{
    Asked, Http, KEY, Opened, Socket, WebSocketOrigin, closed, echo, open,
};
use futures_util::{SinkExt, StreamExt};
use http::Version;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// A proxy before this origin.
pub(crate) fn before(origin: &WebSocketOrigin, http: Http, websocket: &str) -> Setup {
    let scheme = if http == Http::One { "http" } else { "h2c" };
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['{scheme}://${{origin}}']}}}}\n\
         routes: [{{name: all, match: {{prefix: /, methods: [GET]}}, upstream: origin, \
         websocket: {{{websocket}}}}}]\n"
    ))
    .origin(&origin.plain())
}

async fn leave(socket: &mut Socket, code: u16) {
    let reason = "a secret".into();
    let frame = CloseFrame {
        code: code.into(),
        reason,
    };
    socket.close(Some(frame)).await.unwrap();
    closed(socket).await;
}

#[tokio::test]
async fn every_client_reaches_every_origin_and_both_spans_tell_the_session() {
    for client in [Http::One, Http::Two] {
        for server in [Http::One, Http::Two] {
            check_pairing(client, server).await;
        }
    }
}

async fn check_pairing(client: Http, server: Http) {
    let (collector, origin) = (
        Collector::start().await,
        WebSocketOrigin::start(server).await,
    );
    let proxy = before(&origin, server, "").export_to(&collector);
    let proxy = proxy.start().await;

    let headers = [
        ("sec-websocket-protocol", "chat.v2,  chat"),
        (
            "sec-websocket-extensions",
            "permessage-deflate; client_max_window_bits",
        ),
        ("origin", "https://app.example.com"),
    ];
    let opened = open(proxy.address, client, "/chat?room=7", &headers).await;
    check_head(&opened, client, &headers);
    let mut socket = opened.socket().await;
    echo(&mut socket, "one").await;
    echo(&mut socket, &"x".repeat(70_000)).await;
    leave(&mut socket, 1000).await;

    check_asked(&origin.sole(), server, &headers);
    let edges = collector.next_edges().await;
    check_edges(&edges, client, server);
    until("the origin's close", || {
        *origin.closes.lock().unwrap() == [Some(1000)]
    })
    .await;
}

fn check_head(opened: &Opened, client: Http, headers: &[(&str, &str)]) {
    let head = &opened.head;
    assert!(opened.stream.is_some(), "granted: {head:?}");
    for (name, value) in &headers[..2] {
        assert_eq!(head.headers()[*name], value, "byte for byte");
    }
    if client == Http::One {
        assert_eq!(head.status(), 101);
        assert_eq!(
            head.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(head.headers()["upgrade"], "websocket");
    } else {
        assert_eq!(head.status(), 200);
        for none in ["sec-websocket-accept", "upgrade", "connection"] {
            assert!(!head.headers().contains_key(none), "{none}");
        }
    }
}

fn check_asked(asked: &Asked, server: Http, headers: &[(&str, &str)]) {
    assert_eq!(asked.path, "/chat?room=7");
    for (name, value) in headers {
        assert_eq!(asked.headers[*name], value, "byte for byte");
    }
    assert_eq!(asked.headers["sec-websocket-version"], "13");
    if server == Http::One {
        assert_eq!(
            (asked.method.as_str(), asked.version),
            ("GET", Version::HTTP_11)
        );
        assert_eq!(asked.headers["sec-websocket-key"].len(), KEY.len());
    } else {
        assert_eq!(asked.method.as_str(), "CONNECT");
        assert_eq!(asked.protocol.as_deref(), Some("websocket"));
        assert_eq!(asked.scheme.as_deref(), Some("http"));
        assert!(!asked.headers.contains_key("sec-websocket-key"));
        assert!(!asked.headers.contains_key("upgrade"));
    }
    assert!(asked.headers.contains_key("traceparent"));
}

fn check_edges(edges: &Edges, client: Http, server: Http) {
    let status = |http| Some(if http == Http::One { 101 } else { 200 });
    let (received, sent) = (edges.server(), edges.client());
    assert_eq!(received.int("http.response.status_code"), status(client));
    assert_eq!(sent.int("http.response.status_code"), status(server));
    assert_eq!(received.name(), "GET /*");
    for span in [received, sent] {
        assert_eq!(
            (span.status(), span.text("error.type")),
            (StatusCode::Unset, None)
        );
        assert_eq!(span.text("http.request.method"), Some("GET"));
        assert_eq!(span.int("edgespan.websocket.messages_received"), Some(2));
        assert_eq!(span.int("edgespan.websocket.messages_sent"), Some(2));
        assert_eq!(span.int("edgespan.websocket.close_code"), Some(1000));
        assert_eq!(span.text("edgespan.websocket.closed_by"), Some("client"));
        let said_why = format!("{:?}", span.0).contains("a secret");
        assert!(!said_why, "the reason is nobody's business");
        assert_eq!(span.bool("edgespan.client_disconnected"), None);
    }
    // Client to origin: masked headers of 6 and 14 bytes, and a Close of 6 + 2 + 8.
    let up = 6 + 3 + 14 + 70_000 + 6 + 10;
    assert_eq!(received.int("edgespan.websocket.bytes_received"), Some(up));
    assert_eq!(sent.int("edgespan.websocket.bytes_sent"), Some(up));
    assert_eq!(received.int("http.request.body.size"), Some(up));
    let down = received.int("edgespan.websocket.bytes_sent");
    assert_eq!(down, sent.int("edgespan.websocket.bytes_received"));
    assert_eq!(down, received.int("http.response.body.size"));
}

#[tokio::test]
async fn a_refusal_of_the_origin_reaches_the_client_as_it_is() {
    for client in [Http::One, Http::Two] {
        for server in [Http::One, Http::Two] {
            let origin = WebSocketOrigin::refusing(server, Some(403)).await;
            let proxy = before(&origin, server, "").start().await;

            let opened = open(proxy.address, client, "/chat", &[]).await;

            assert_eq!(opened.head.status(), 403, "{client:?} to {server:?}");
            assert_eq!(opened.head.headers()["x-why"], "tired");
            assert_eq!(opened.body, "no");
        }
    }
}

#[tokio::test]
async fn a_client_of_http2_is_never_told_200_by_what_is_no_websocket() {
    let origin = WebSocketOrigin::refusing(Http::One, Some(200)).await;
    let proxy = before(&origin, Http::One, "").start().await;
    let opened = open(proxy.address, Http::Two, "/", &[]).await;
    assert_eq!(opened.head.status(), 502);
    // To a client of HTTP/1.1 it is an ordinary answer.
    let opened = open(proxy.address, Http::One, "/", &[]).await;
    assert_eq!(
        (opened.head.status().as_u16(), &*opened.body),
        (200, &b"no"[..])
    );

    let proxy = Setup::new("routes: [{name: all, answer: {status: 200, body: hi}}]");
    let proxy = proxy.start().await;
    let opened = open(proxy.address, Http::Two, "/", &[]).await;
    assert_eq!(opened.head.status(), 501);
}

#[tokio::test]
async fn an_origin_of_http2_without_extended_connect_is_asked_without_upgrade() {
    let origin = WebSocketOrigin::start(Http::TwoPlain).await;
    let proxy = before(&origin, Http::TwoPlain, "").start().await;

    for client in [Http::One, Http::Two] {
        let opened = open(proxy.address, client, "/", &[]).await;
        assert_eq!(opened.head.status(), 426, "{client:?}");
    }
    let asked = origin.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|asked| asked.method == "GET"), "{asked:?}");
}

#[tokio::test]
async fn other_protocols_and_plain_connect_are_refused() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let proxy = Setup::front(&origin).export_to(&collector).start().await;
    for (protocol, status, reason) in [(Some("connect-udp"), 501, Some("501")), (None, 405, None)] {
        let stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
        *request.method_mut() = http::Method::CONNECT;
        let target = match protocol {
            Some(_) => "http://app.example.com/",
            None => "app.example.com:443",
        };
        *request.uri_mut() = target.parse().unwrap();
        if let Some(protocol) = protocol {
            let protocol = hyper::ext::Protocol::from_static(protocol);
            request.extensions_mut().insert(protocol);
        }

        let response = patiently(sender.send_request(request)).await.unwrap();

        assert_eq!(response.status(), status);
        let span = collector.next_edges().await;
        assert_eq!(
            span.server().status() == StatusCode::Error,
            reason.is_some()
        );
    }
    assert!(origin.received().is_empty());
}

/// Opens one, has it end in some way, and tells what the spans say.
async fn ended_by<F: Future<Output = ()>>(
    websocket: &str,
    client: Http,
    end: impl FnOnce(Socket) -> F,
) -> (Edges, WebSocketOrigin, Proxy) {
    let (collector, origin) = (
        Collector::start().await,
        WebSocketOrigin::start(Http::One).await,
    );
    let proxy = before(&origin, Http::One, websocket).export_to(&collector);
    let proxy = proxy.start().await;
    let mut socket = open(proxy.address, client, "/", &[]).await.socket().await;
    echo(&mut socket, "hello").await;
    end(socket).await;
    (collector.next_edges().await, origin, proxy)
}

#[track_caller]
pub(crate) fn check_end(edges: &Edges, code: i64, by: &str, error: Option<&str>) {
    for span in [edges.server(), edges.client()] {
        assert_eq!(span.int("edgespan.websocket.close_code"), Some(code));
        assert_eq!(span.text("edgespan.websocket.closed_by"), Some(by));
        assert_eq!(span.text("error.type"), error);
        let is_error = span.status() == StatusCode::Error;
        assert_eq!(is_error, error.is_some());
    }
}

#[tokio::test]
async fn a_close_is_an_error_only_where_its_code_is_one() {
    for (code, error) in [
        (1001, None),
        (4000, None),
        (1011, Some("websocket_1011")),
        (1002, Some("websocket_1002")),
    ] {
        let (edges, ..) = ended_by("", Http::One, async |mut socket| {
            let ask = Message::text(format!("close {code}"));
            socket.send(ask).await.unwrap();
            assert_eq!(closed(&mut socket).await, Some(code));
        })
        .await;
        check_end(&edges, code.into(), "upstream", error);
    }
    let (edges, ..) = ended_by("", Http::Two, async |mut socket| {
        socket.close(None).await.unwrap();
        closed(&mut socket).await;
    })
    .await;
    check_end(&edges, 1005, "client", None);
}

#[tokio::test]
async fn a_client_that_vanishes_is_no_error_and_an_upstream_that_does_is() {
    for client in [Http::One, Http::Two] {
        let (edges, ..) = ended_by("", client, async |socket| drop(socket)).await;
        check_end(&edges, 1006, "client", None);
        let left = edges.server().bool("edgespan.client_disconnected");
        assert_eq!(left, Some(true));

        let (edges, ..) = ended_by("", client, async |mut socket| {
            socket.send(Message::text("vanish")).await.unwrap();
            assert_eq!(closed(&mut socket).await, None);
        })
        .await;
        check_end(&edges, 1006, "upstream", Some("connection_reset"));
    }
}

#[tokio::test]
async fn each_message_is_an_event_up_to_the_bound_and_the_rest_is_counted() {
    let (edges, ..) = ended_by("message_events: true", Http::Two, async |mut socket| {
        for _ in 0..64 {
            echo(&mut socket, "again").await;
        }
        socket.send(Message::Ping("?".into())).await.unwrap();
        leave(&mut socket, 1000).await;
    })
    .await;

    let server = &edges.server().0;
    assert_eq!(server.events.len(), 128);
    assert_eq!(server.dropped_events_count, 2, "130 messages");
    assert!(edges.client().0.events.is_empty());
    let first = format!("{:?}", server.events[0]);
    assert_eq!(server.events[0].name, "edgespan.websocket.message");
    for told in ["received", "text", "IntValue(5)"] {
        assert!(first.contains(told), "{told} in {first}");
    }
    assert!(format!("{:?}", server.events[1]).contains("\"sent\""));
}

#[tokio::test]
async fn who_is_silent_or_stays_too_long_gets_a_close_from_both_sides() {
    for (bound, cause) in [("idle: 200ms", "idle"), ("lifetime: 200ms", "lifetime")] {
        for client in [Http::One, Http::Two] {
            let (edges, origin, _) = ended_by(bound, client, async |mut socket| {
                assert_eq!(closed(&mut socket).await, Some(1001));
            })
            .await;

            check_end(&edges, 1001, "edgespan", None);
            let told = edges.server().text("edgespan.websocket.close_cause");
            assert_eq!(told, Some(cause));
            until("the origin's close", || {
                *origin.closes.lock().unwrap() == [Some(1001)]
            })
            .await;
        }
    }
}

#[tokio::test]
async fn who_says_something_in_time_is_not_idle() {
    let (edges, ..) = ended_by("idle: 600ms", Http::One, async |mut socket| {
        for _ in 0..10 {
            // The time that passes is what this is about.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            socket.send(Message::Ping("?".into())).await.unwrap();
            while !patiently(socket.next()).await.unwrap().unwrap().is_pong() {}
        }
        leave(&mut socket, 1000).await;
    })
    .await;

    check_end(&edges, 1000, "client", None);
}

#[tokio::test]
async fn at_the_end_of_a_drain_clients_are_told_to_go_elsewhere() {
    for client in [Http::One, Http::Two] {
        let (collector, origin) = (
            Collector::start().await,
            WebSocketOrigin::start(Http::One).await,
        );
        let proxy = before(&origin, Http::One, "").with("drain: {timeout: 1s}");
        let proxy = proxy.export_to(&collector).start().await;
        let mut socket = open(proxy.address, client, "/", &[]).await.socket().await;
        echo(&mut socket, "hello").await;

        let stopping = tokio::spawn(proxy.stop());
        echo(&mut socket, "the drain's time is the session's").await;
        assert_eq!(closed(&mut socket).await, Some(1001));
        drop(socket);

        assert!(patiently(stopping).await.unwrap().clean);
        let edges = collector.next_edges().await;
        check_end(&edges, 1001, "edgespan", None);
        let told = edges.server().text("edgespan.websocket.close_cause");
        assert_eq!(told, Some("drain"));
    }
}

#[tokio::test]
async fn an_open_websocket_counts_as_an_open_connection_to_its_upstream() {
    let origin = WebSocketOrigin::start(Http::One).await;
    let proxy = before(&origin, Http::One, "").start().await;
    let mut socket = open(proxy.address, Http::One, "/", &[])
        .await
        .socket()
        .await;
    echo(&mut socket, "hello").await;

    let open_line = "edgespan_upstream_connections_open{upstream=\"origin\"}";
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    for line in [
        &format!("{open_line} 1"),
        "edgespan_websockets_open 1",
        "edgespan_websocket_messages_total{from=\"upstream\"} 1",
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
    leave(&mut socket, 1000).await;

    let over = async {
        loop {
            let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
                .await
                .text();
            if page.contains(&format!("{open_line} 0")) && page.contains("websockets_open 0") {
                return page;
            }
        }
    };
    let page = patiently(over).await;
    let closes = "edgespan_websocket_closes_total{by=\"client\",code=\"1000\"} 1";
    assert!(page.contains(closes), "{page}");
}
