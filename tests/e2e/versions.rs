//! Endpoints that choose their HTTP version at each connection, and change their mind.

use crate::support::client::{get, patiently};
use crate::support::origin::{Origin, Received, Speaks, text, with_headers};
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use crate::support::websocket::{Http, WebSocketOrigin, echo, open};
use crate::tls::{Authority, provider};
use http::Version;
use rustls::ServerConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify};
use tokio_rustls::TlsAcceptor;

/// Its certificate is of `authority` and for localhost.
fn acceptor(authority: &Authority, alpn: &[&str]) -> TlsAcceptor {
    let signed = authority.sign("localhost");
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.certificate.clone()], signed.private.clone_key())
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|one| one.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn front(listener: &TcpListener, authority: &Authority, connect: &str) -> Proxy {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['https://localhost:{}'], tls: {{ca: '{}'}}, \
         timeouts: {{connect: {connect}}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin}}]\n",
        listener.local_addr().unwrap().port(),
        authority.ca().display(),
    ))
    .start()
    .await
}

#[tokio::test]
async fn an_endpoint_that_speaks_http2_no_more_is_connected_to_by_many_at_once() {
    let authority = Authority::new();
    let (newer, older) = (
        acceptor(&authority, &["h2"]),
        acceptor(&authority, &["http/1.1"]),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = front(&listener, &authority, "5s").await;
    let (replaced, gone) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (replacing, leaving) = (Arc::clone(&replaced), Arc::clone(&gone));
    tokio::spawn(async move {
        let answer = Arc::new(|_: &Received| text(200, "newer"));
        let (stream, _) = listener.accept().await.unwrap();
        let stream = newer.accept(stream).await.unwrap();
        tokio::select! {
            () = Origin::detached().connection(stream, Speaks::H2c, answer) => {}
            () = replacing.notified() => {}
        }
        leaving.store(1, Ordering::Relaxed);
        let both = Arc::new(Barrier::new(2));
        let mut number = 0;
        while let Ok((stream, _)) = listener.accept().await {
            let (older, both) = (older.clone(), Arc::clone(&both));
            number += 1;
            tokio::spawn(async move {
                // Behind the first, nobody gets on alone.
                if number > 1 {
                    both.wait().await;
                }
                let answer = |_: &Received| with_headers(200, &[("connection", "close")], "older");
                let stream: tokio_rustls::server::TlsStream<TcpStream> =
                    older.accept(stream).await.unwrap();
                let serving =
                    Origin::detached().connection(stream, Speaks::Http1, Arc::new(answer));
                serving.await;
            });
        }
    });
    assert_eq!(get(proxy.address, "/", &[]).await.text(), "newer");
    replaced.notify_one();
    until("the end of the newer", || gone.load(Ordering::Relaxed) == 1).await;

    assert_eq!(get(proxy.address, "/", &[]).await.text(), "older");
    let (one, other) = tokio::join!(get(proxy.address, "/", &[]), get(proxy.address, "/", &[]));

    assert_eq!((&*one.text(), &*other.text()), ("older", "older"));
}

#[tokio::test]
async fn an_endpoint_that_is_slow_to_say_what_it_takes_is_asked_again_another_time() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority, &["h2", "http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = front(&listener, &authority, "1s").await;
    let origin = WebSocketOrigin::start(Http::Two).await;
    let (behind, quiet) = (origin.clone(), Arc::new(Notify::new()));
    let leaving = Arc::clone(&quiet);
    tokio::spawn(async move {
        // The first says nothing.
        let (stream, _) = listener.accept().await.unwrap();
        let silent = acceptor.accept(stream).await.unwrap();
        tokio::spawn(async move {
            leaving.notified().await;
            drop(silent);
        });
        while let Ok((stream, _)) = listener.accept().await {
            let stream = acceptor.accept(stream).await.unwrap();
            let http = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Http::Two,
                _ => Http::One,
            };
            tokio::spawn(behind.clone().connection(stream, http));
        }
    });

    let opened = open(proxy.address, Http::One, "/", &[]).await;
    echo(&mut opened.socket().await, "hello").await;
    quiet.notify_one();
    let page = || async {
        let page = get(proxy.admin, "/metrics", &[("host", "localhost")]).await;
        page.text()
    };
    let gauge = "edgespan_upstream_connections_open{upstream=\"origin\"} 0\n";
    patiently(async { while !page().await.contains(gauge) {} }).await;

    let opened = open(proxy.address, Http::One, "/", &[]).await;
    echo(&mut opened.socket().await, "hello").await;
    let versions: Vec<Version> = {
        let asked = origin.asked.lock().unwrap();
        asked.iter().map(|asked| asked.version).collect()
    };
    assert_eq!(versions, [Version::HTTP_11, Version::HTTP_2]);
}
